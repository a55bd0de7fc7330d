"""When a pull will have fetched everything: as fast as the quota allows, and no faster than so far."""

from collections import Counter
from collections.abc import Mapping

import trio

from rcfs.model import Priority, UsageGroup
from rcfs.transport import Gate

_LEAST_PACED = 20
"""Contents from which the forecast takes a pace, at least: with fewer it is wrong by more than 5 %."""


class Forecast:
    """The quota's forecast, corrected by the pace at which contents come; for the trio thread."""

    def __init__(self, gate: Gate) -> None:
        """Begins without a pace; `gate` knows the quota."""
        self._gate = gate
        self._paced = 0
        """Contents that came since the last penalty; the first and the last of them came at these times:"""
        self._paced_from_s = self._paced_to_s = 0.0

    def note_arrival(self) -> None:
        """Notes that a content has come now."""
        now_s = trio.current_time()
        self._paced_from_s, self._paced_to_s = self._paced_from_s if self._paced else now_s, now_s
        self._paced += 1

    def left_s(self, left: Mapping[UsageGroup, int], asked: Counter[UsageGroup]) -> float:
        """Seconds until the last content comes.

        A slow line, or other processes of the login, may keep the pull from using all that the quota allows.

        Args:
            left: Contents that have not come yet, by the usage plan group of their requests.
            asked: Those of them whose requests wait or were sent already.
        """
        groups = {group: count for group, count in left.items() if count > 0}
        if not groups:
            return 0.0
        by_quota_s = max(
            self._gate.answered_s(group, Priority.BULK, max(0, count - asked[group]))
            for group, count in groups.items()
        )
        if any(state.group in groups and state.frozen_for_s for state in self._gate.states()):
            self._paced = 0  # A penalty says nothing of the pace that comes after.
        if self._paced < _LEAST_PACED:
            return by_quota_s
        # Divided by the contents and not by the gaps, so that a burst, after which the quota pauses, does not
        # look like a slow line.
        pace_s = (self._paced_to_s - self._paced_from_s) / self._paced
        return max(by_quota_s, self._paced_to_s + sum(groups.values()) * pace_s - trio.current_time())
