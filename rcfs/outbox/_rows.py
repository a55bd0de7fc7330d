"""Changes as rows of the outbox, and transactions on them."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import attrs
import trio

from rcfs.errors import StoreError
from rcfs.model import MessageChange
from rcfs.store import Intent, OutboxBook

KIND = "change"
"""Kind of the intents that are changes of messages."""
_MOST_ATTEMPTS = 100
"""Attempts of a transaction while other processes change the same rows, each some milliseconds."""

_MOST_LOOKUPS = 200
"""Messages that are looked up one by one; for more, all changes of the account are read."""

T = TypeVar("T")
Edit = Mapping[MessageChange, MessageChange | None]
"""Changes that are replaced, each with what replaces it; None to remove it."""


@attrs.frozen
class Edited:
    """The effect of a plan on the outbox."""

    replaced: Edit = attrs.field(factory=dict)
    """Changes of the outbox, with their new values."""
    added: Sequence[MessageChange] = ()
    """Changes of messages that have none."""


Plan = Callable[[tuple[MessageChange, ...]], tuple[Edited, T]]
"""Decides about changes of an account; called again if another process changes them meanwhile."""


Keys = Collection[tuple[int, int]]
"""Owners and messages."""


class Rows:
    """The changes of one account; all methods but `edit_here` run in the trio thread."""

    def __init__(self, book: OutboxBook, account_id: Callable[[], str]) -> None:
        self._book = book
        self._account_id = account_id
        self._changed = trio.Event()

    def version(self) -> int:
        """See `OutboxBook.version`.

        Raises:
            StoreError: The outbox cannot be read.
        """
        return self._book.version()

    async def all(self) -> tuple[MessageChange, ...]:
        """All changes, oldest first.

        Raises:
            StoreError: The outbox cannot be read.
        """
        return await trio.to_thread.run_sync(changes_of, self._book, self._account_id())

    async def edit(self, plan: Plan[T], keys: Keys | None = None) -> T:
        """See `edit`; what it does is complete even if the caller is cancelled."""
        result = await trio.to_thread.run_sync(self.edit_here, plan, keys)
        self.note_edited()
        return result

    def edit_here(self, plan: Plan[T], keys: Keys | None = None) -> T:
        """See `edit`; for a worker thread. `note_edited` must be called afterwards."""
        return edit(self._book, self._account_id(), plan, keys)

    def note_edited(self) -> None:
        """Ends the waits for a change."""
        self._changed.set()
        self._changed = trio.Event()

    async def wait_changed(self, most_s: float) -> None:
        """Waits until this process changes something, `most_s` seconds at most."""
        with trio.move_on_after(most_s):
            await self._changed.wait()


def changes_of(book: OutboxBook, account_id: str, keys: Keys | None = None) -> tuple[MessageChange, ...]:
    """The changes of an account, oldest first; with `keys` only those of these messages, in any order.

    Those that another version of rcfs wrote in other words are left out.

    Raises:
        StoreError: The outbox cannot be read.
    """
    return tuple(_rows_of(book, account_id, keys))


def edit(book: OutboxBook, account_id: str, plan: Plan[T], keys: Keys | None = None) -> T:
    """Does to the outbox what `plan` says, in one transaction, and returns its other result.

    With `keys`, the plan gets only the changes of these messages.

    Raises:
        StoreError: The outbox fails, and is as before.
    """
    for _attempt in range(_MOST_ATTEMPTS):
        rows = _rows_of(book, account_id, keys)
        edited, result = plan(tuple(rows))
        before = [rows[each] for each in edited.replaced]
        after = _intents(account_id, [*(each for each in edited.replaced.values() if each), *edited.added])
        if not (before or after) or book.change(before, after):
            return result
    raise StoreError("the outbox is busy: other processes change it all the time")


def _rows_of(book: OutboxBook, account_id: str, keys: Keys | None) -> dict[MessageChange, Intent]:
    """Changes, each with its row as it is on the disk."""
    if keys is None or len(keys) > _MOST_LOOKUPS:
        intents = book.all(account_id, KIND)
    else:
        intents = book.find([_row_id(account_id, *key) for key in keys])
    found = ((_change_of(intent), intent) for intent in intents)
    return {each: row for each, row in found if each is not None and (keys is None or each.key in keys)}


def _intents(account_id: str, changes: Iterable[MessageChange]) -> list[Intent]:
    return [_intent_of(account_id, change) for change in changes]


def _intent_of(account_id: str, change: MessageChange) -> Intent:
    return Intent(
        _row_id(account_id, change.owner_id, change.message_id),
        account_id,
        KIND,
        change.state.value,
        change.created_s,
        change.changed_s,
        change.body,
    )


def _row_id(account_id: str, owner_id: int, message_id: int) -> str:
    """One row for each message: two processes that add one at the same time notice it."""
    return f"{KIND} {account_id}/{owner_id}/{message_id}"


def _change_of(intent: Intent) -> MessageChange | None:
    return MessageChange.parse(intent.body, intent.state, intent.created_s, intent.changed_s)
