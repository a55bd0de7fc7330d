"""The clock of a server, as a client knows it: within bounds that each answer narrows.

A server that answers tells its time. The client knows when it asked and when it had the answer, on a clock of
its own that nobody can set; the server read its clock in between. So the difference of the two clocks lies
between two bounds. A report is dated with the latest time that it can be at the server, a request for a slot
with the earliest: then the clocks of two clients never free a slot early, however long their answers take.
"""

import math
from typing import Final

_DRIFT: Final = 1e-3
"""How much the difference of two clocks may change, as a part of the time: daemons slew each by up to
500 ppm. Source: adjtimex(2)."""


class ServerClock:
    """Bounds for the server's time; local times are in seconds of one clock of this machine.

    Args:
        guess_s: The probable difference, server minus local, before the first answer.
        doubt_s: How wrong that may be.
    """

    def __init__(self, guess_s: float, doubt_s: float) -> None:
        self._least_s, self._most_s = guess_s - doubt_s, guess_s + doubt_s
        self._at_s = math.inf
        """Local time of the latest answer; inf before the first."""

    @property
    def is_known(self) -> bool:
        """Whether the server has ever told its time."""
        return self._at_s < math.inf

    def earliest_s(self, local_s: float) -> float:
        """The earliest time that the server's clock may show at `local_s`."""
        return local_s + self._least_s - self._drift_s(local_s)

    def latest_s(self, local_s: float) -> float:
        """The latest time that the server's clock may show at `local_s`."""
        return local_s + self._most_s + self._drift_s(local_s)

    def observe(self, asked_s: float, answered_s: float, server_s: float) -> float:
        """Learn from an answer that says `server_s`.

        Returns:
            0, or if somebody has set the server's clock: the number of seconds to add to it, so that it
            agrees with what it showed before.
        """
        drift_s = (answered_s - asked_s) * _DRIFT
        least_s, most_s = server_s - answered_s - drift_s, server_s - asked_s + drift_s
        if not self.is_known:
            self._least_s, self._most_s, self._at_s = least_s, most_s, answered_s
            return 0.0
        drift_s = self._drift_s(answered_s)
        self._least_s, self._most_s = self._least_s - drift_s, self._most_s + drift_s
        self._at_s = answered_s
        if most_s < self._least_s or least_s > self._most_s:
            return (self._least_s + self._most_s - least_s - most_s) / 2
        self._least_s, self._most_s = max(self._least_s, least_s), min(self._most_s, most_s)
        return 0.0

    def _drift_s(self, local_s: float) -> float:
        return max(0.0, local_s - self._at_s) * _DRIFT
