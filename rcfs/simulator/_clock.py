"""The account's time: starts where the generated messages end, and can be moved forward and sped up.

Only messages and tasks follow it. Logins and rate limits use the simulator's own clock, so a test that moves
the account's time by five days stays logged in.
"""

from collections.abc import Callable

import attrs


@attrs.define(eq=False)
class AccountClock:
    """Seconds since 1970-01-01 UTC in the simulated account; the clock never goes back."""

    _account_s: float
    """The account's time at the real time `_real_s`."""
    _real: Callable[[], float]
    """A monotonic clock, in real seconds from any origin."""
    _real_s: float = attrs.field(init=False)
    _speed: float = attrs.field(default=1.0, init=False)
    _fast_until: float = attrs.field(default=0.0, init=False)
    _listeners: list[Callable[[], None]] = attrs.field(factory=list, init=False)

    @_real_s.default
    def _start(self) -> float:
        return self._real()

    @property
    def speed(self) -> float:
        """Account seconds per real second, now."""
        self.now()
        return self._speed

    def now(self) -> float:
        """The account's time."""
        real_s = self._real()
        now_s = self._account_s + (real_s - self._real_s) * self._speed
        if self._speed != 1 and now_s >= self._fast_until:
            # Time after the end of the hurry, or after a move past its end, runs at normal speed.
            end_s = max(self._fast_until, self._account_s)
            self._real_s += (end_s - self._account_s) / self._speed
            self._account_s, self._speed = end_s, 1.0
            return self._account_s + real_s - self._real_s
        return now_s

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every move of the clock and every change of its speed."""
        self._listeners.append(listener)

    def real_s_until(self, moment_s: float) -> float:
        """Real seconds until the clock shows `moment_s`, unless somebody moves it; 0 if that has passed."""
        now_s = self.now()
        if moment_s <= now_s:
            return 0.0
        fast_s = max(0.0, min(moment_s, self._fast_until) - now_s) if self._speed != 1 else 0.0
        # Differences first: adding to a number as large as seconds since 1970 would round small ones away.
        return fast_s / self._speed + ((moment_s - now_s) - fast_s)

    def advance(self, by_s: float) -> None:
        """Move the clock forward by `by_s` seconds, at least 0.

        Raises:
            ValueError: `by_s` is negative or no number.
        """
        if not 0 <= by_s < float("inf"):
            raise ValueError(f"time cannot be moved by {by_s} seconds")
        self._settle()
        self._account_s += by_s
        self._tell()

    def hurry(self, speed: float, for_s: float) -> None:
        """Let the next `for_s` seconds of the account pass `speed` times as fast as real ones.

        Raises:
            ValueError: `speed` is not above 0 or no number.
        """
        if not 0 < speed < float("inf"):
            raise ValueError(f"time cannot pass {speed} times as fast")
        self._settle()
        self._speed, self._fast_until = speed, self._account_s + for_s
        self._tell()

    def _settle(self) -> None:
        """Make the present the new reference point of the clock."""
        now_s = self.now()
        # In this order: otherwise real time that passes between the two statements would count twice.
        self._real_s += (now_s - self._account_s) / self._speed
        self._account_s = now_s

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
