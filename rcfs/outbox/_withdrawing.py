"""Puts messages back whose changes nobody wants any more, or RingCentral refuses."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter

from rcfs.mailbox import Account
from rcfs.model import MessageChange
from rcfs.outbox import _course as course
from rcfs.outbox._rows import Edited, Rows
from rcfs.transport import Recorder


class Withdrawing:
    """Ends the changes of one account that are WITHDRAWN; any number of tasks may use it."""

    def __init__(self, account: Account, recorder: Recorder, rows: Rows) -> None:
        """Withdraws changes among `rows`."""
        self._account = account
        self._recorder = recorder
        self._rows = rows

    async def put_back(self, withdrawn: Sequence[MessageChange]) -> None:
        """Shows messages again as the platform has them, whose changes were withdrawn, and forgets those.

        Raises:
            StoreError: The outbox or the index fails.
        """
        for each in withdrawn:
            if course.is_impossible(each):
                self._recorder.fault("change", f"message {each.message_id} was purged before it was restored")
        for owner_id, changes in by_owner(withdrawn):
            raws = [each.record for each in changes if each.record]
            ids = [each.message_id for each in changes]
            await self._account.mailboxes.show(owner_id, ids, partial(_with_records, raws))
        if withdrawn:
            gone = set(withdrawn)

            def plan(changes: tuple[MessageChange, ...]) -> tuple[Edited, None]:
                return Edited({each: None for each in changes if each in gone}), None

            await self._rows.edit(plan, {each.key for each in withdrawn})


def by_owner(changes: Iterable[MessageChange]) -> list[tuple[int, list[MessageChange]]]:
    """The changes of each mailbox, by the id of its extension."""
    ordered = sorted(changes, key=attrgetter("owner_id"))
    return [(owner_id, list(found)) for owner_id, found in groupby(ordered, attrgetter("owner_id"))]


def _with_records(raws: Sequence[str], _shown: object, _told: object) -> Sequence[str]:
    return raws
