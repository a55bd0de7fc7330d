"""Whether pulls can keep up with the recordings that an account makes."""

import attrs
import trio

from rcfs.engine import Engine
from rcfs.model import HEAVY


@attrs.frozen
class KeepingUp:
    """The new recordings of an account, and how many of them the logins can fetch."""

    new_a_day: float
    """New recordings a day, by the newest loaded months."""
    fetched_a_day: float
    """Most recordings that the budget brings in a day."""
    beside_persons_a_day: float
    """The same while somebody reads in a mount all day."""
    logins: int = 1
    """Number of the logins that fetch them."""

    @property
    def behind_a_day(self) -> float:
        """By how many recordings a complete copy falls behind each day, at the least."""
        return max(0.0, self.new_a_day - self.fetched_a_day)

    @property
    def is_hard(self) -> bool:
        """Whether it fails to keep up, at least while somebody reads in a mount."""
        return self.new_a_day > self.beside_persons_a_day


async def keeping_up(engine: Engine) -> KeepingUp | None:
    """Whether the logins of `engine` can keep up; None if too little is known.

    Raises:
        StoreError: The index fails.
    """
    counts = await trio.to_thread.run_sync(engine.account.calls.outlook.counts)
    if counts.recordings_a_day is None:
        return None
    share = engine.budget.daily_share(HEAVY)
    return KeepingUp(counts.recordings_a_day, share.most, share.beside_persons, engine.budget.logins)
