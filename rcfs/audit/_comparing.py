"""Compares the list of a mailbox at the platform with the index, with as few requests as possible.

One request asks for the newest page, of a thousand messages, and the answer also counts the whole list. If
all of its messages are in the index except *n*, and the list has *n* more than the index, then the index has
all the others: they agree in number, and the platform adds no message with an old date. So a mailbox of any
size costs one Light request. Only if the numbers differ, or the platform does not count, or rcfs never
loaded the mailbox, it reads the list to its end: a request for each thousand messages.

The index is not changed. A sync would cost the same request, but then the index would only be compared with
what it was told itself.
"""

import json
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from rcfs.audit._values import Basis
from rcfs.engine import Engine
from rcfs.model import Message, Priority, message_from
from rcfs.platform import list_messages
from rcfs.pull import Seen
from rcfs.transport import PagedList, RequestOptions
from rcfs.tree import PURGED

_LARGEST_ID = (1 << 63) - 1
"""An id is an int64. Source: ``id`` of the schema GetMessageInfoResponse."""
_DATE_STEP_S = 1.0
"""The Date header has whole seconds (RFC 9110, 5.6.7), so a list ends one second after it."""


class Comparison:
    """The comparison of one mailbox; `run` it once."""

    def __init__(self, engine: Engine, owner: int, mailbox: int | None, label: str) -> None:
        """For the mailbox of `owner`, which is `mailbox` in the index; None if it was never loaded."""
        self._engine = engine
        self._owner = owner
        self._mailbox = mailbox
        self._options = RequestOptions(Priority.BULK, label=label)
        self._listed: array[int] = array("q")
        self._seen = Seen()
        self.basis = Basis.NOTHING
        """How far the lists were compared."""
        self.total: int | None = None
        """Messages at the platform; None before it is known."""
        self.indexed: int | None = None
        """Messages in the index, without those that it keeps although the platform purged them."""
        self.grown: dict[int, Message] = {}
        """The messages that have more attachments than in the index, by id."""
        self.requests = 0
        """Pages that were requested."""

    async def run(self, on_unknown: Callable[[Sequence[Message]], None]) -> None:
        """Asks the platform; `on_unknown` gets the messages that the index lacks, in a worker thread.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
            StoreError: The index fails.
        """
        engine = self._engine
        if self._mailbox is not None:
            self.indexed = await trio.to_thread.run_sync(engine.index.reader.count_of, self._mailbox, PURGED)
        until_s = engine.client.server_now_s() + _DATE_STEP_S
        pages = PagedList(engine.requester, list_messages(self._owner, until_s=until_s), self._options)
        count, self.requests = 0, 1
        while (page := await pages.page()) is not None:
            self.requests = pages.pages
            count += await trio.to_thread.run_sync(self._take, page, on_unknown)
            self.total = pages.of_records
            if pages.pages == 1 and self._agrees(len(page), count):
                self.basis = Basis.COUNTED
                break
        else:
            self.basis, self.total = Basis.LISTED, len(self._listed)
        self._listed = array("q", sorted(self._listed))
        if self.total == len(self._listed):
            self.basis = Basis.LISTED

    def is_listed(self, message_id: int) -> bool:
        """Whether the platform still has a message of the index; True if that follows from the numbers."""
        if self.basis is not Basis.LISTED:
            return True
        place = bisect_left(self._listed, message_id)
        return place < len(self._listed) and self._listed[place] == message_id

    def _agrees(self, listed: int, unknown: int) -> bool:
        """Whether the first page shows that the rest of the list is in the index."""
        if self.total is None or self.indexed is None or self.total < listed:
            return False
        return self.total - unknown == self.indexed

    def _take(
        self, page: Sequence[Mapping[str, Any]], on_unknown: Callable[[Sequence[Message]], None]
    ) -> int:
        """Takes a page, and returns the number of messages that the index lacks; each counts once."""
        found = (message_from(record) for record in page)
        messages = [each for each in found if each is not None and each.id <= _LARGEST_ID]
        new = [each for each in messages if self._seen.add((str(each.id),))]
        known: Mapping[int, str] = {}
        if self._mailbox is not None:
            known = self._engine.index.reader.known(self._mailbox, [message.id for message in new])
        self._listed.extend(each.id for each in new)
        unknown = []
        for each in new:
            if each.id not in known:
                unknown.append(each)
            elif _has_more(each, message_from(json.loads(known[each.id]))):
                self.grown[each.id] = each
        on_unknown(unknown)
        return len(unknown)


def _has_more(listed: Message, indexed: Message | None) -> bool:
    """Whether a message has attachments at the platform that the index lacks, such as a late transcript."""
    known = set() if indexed is None else {each.id for each in indexed.fetched_attachments}
    return any(each.id not in known for each in listed.fetched_attachments)
