"""Decides when a store that failed is left alone, and when it is asked again. Pure; times are in seconds."""

from typing import Final

_FIRST_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0
"""A store that is back is used again within a minute. Each probe is one request that no reader waits for."""


class Breaker:
    """Open from a failure on until a probe succeeds; no reader waits for a store meanwhile."""

    def __init__(self) -> None:
        self.problem = ""
        """Why the store is passed over; empty while it is used."""
        self._pause_s = _FIRST_PAUSE_S

    @property
    def is_open(self) -> bool:
        """Whether the store is passed over."""
        return bool(self.problem)

    def failed(self, problem: str) -> bool:
        """Notes a failure; whether the store was used until now, so that the caller starts to probe it."""
        was_used, self.problem = not self.problem, problem or "it fails"
        return was_used

    def next_pause_s(self) -> float:
        """Time until the next probe; each is twice as long as the one before, up to a minute."""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return pause_s

    def succeeded(self) -> None:
        """Notes that a probe succeeded: the store is used again."""
        self.problem, self._pause_s = "", _FIRST_PAUSE_S
