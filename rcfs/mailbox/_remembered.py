"""What is remembered of mailboxes besides their messages: small notes in the index, one for each and topic.

They only save requests or put them into a better order. So where the index fails they are neither read nor
kept, without a word: the next question to the index says what is wrong.
"""

from contextlib import suppress
from typing import Final, Literal

from rcfs.errors import StoreError
from rcfs.mailbox._context import Context
from rcfs.store import Note

Topic = Literal["used", "refused", "none"]
"""``used``: a person looked into it. ``refused``: the login may not read it. ``none``: the extension has no
mailbox, its type being the text."""

USED: Final = "used"
REFUSED: Final = "refused"
NONE: Final = "none"


class Remembered:
    """The notes of one index."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def recall(self, topic: Topic, account_id: str, extension_id: int) -> Note | None:
        """The note of a mailbox; None when there is none. For the event loop: tens of microseconds."""
        with suppress(StoreError):
            return self._context.index.reader.noted(_name(topic, account_id, extension_id))
        return None

    async def keep(self, topic: Topic, account_id: str, extension_id: int, text: str = "") -> None:
        """Remembers `text`, as of now, in place of the note that there was."""
        with suppress(StoreError):
            await self._context.note(_name(topic, account_id, extension_id), text)


def _name(topic: Topic, account_id: str, extension_id: int) -> str:
    return f"mailbox {account_id}/{extension_id} {topic}"
