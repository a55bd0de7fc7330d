"""Small notes about mailboxes in the index: at most one per mailbox and topic.

A note only saves requests or puts them into a better order. So a failing index is not reported here: the note
is neither read nor written, and the next use of the index reports the failure.
"""

from contextlib import suppress
from typing import Literal

from rcfs.errors import StoreError
from rcfs.mailbox._context import Context
from rcfs.store import Note

Topic = Literal["used", "refused", "none", "records"]
"""``used``: a person looked into the mailbox. ``refused``: the login may not read it; the text is the error
code. ``none``: the extension has no mailbox; the text is its type. ``records``: see `_adoption`."""


def read_note(context: Context, topic: Topic, account_id: str, extension_id: int) -> Note | None:
    """The note about a mailbox, None without one; for the event loop, since it takes tens of microseconds."""
    with suppress(StoreError):
        return context.index.reader.noted(_name(topic, account_id, extension_id))
    return None


async def write_note(context: Context, topic: Topic, account_id: str, extension_id: int, text: str) -> None:
    """Writes a note with the present time, in place of an earlier one."""
    with suppress(StoreError):
        await context.note(_name(topic, account_id, extension_id), text)


def _name(topic: Topic, account_id: str, extension_id: int) -> str:
    return f"mailbox {account_id}/{extension_id} {topic}"
