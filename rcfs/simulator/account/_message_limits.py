"""What the platform drops by itself: messages that are too old, and the oldest of a mailbox that is full.

Nothing is dropped unless it was asked for, as the generated accounts reach back further, and hold more, than
real ones can: the retention period counts once a client has set it, the rest with an option.

That what is dropped is purged, and not thrown into the trash first, is inferred: it is to be gone.

Source: "Message Store Exports" of the API's documentation (its tables of retention); schema
MessageStoreConfiguration.
"""

import heapq
from collections.abc import Hashable, Iterator
from functools import partial

import attrs

from rcfs.model import Availability
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._message_filter import created_s
from rcfs.simulator.account._message_store import MessageStore, StoreRules
from rcfs.simulator.account._plan import DAY_S, SimMessage

SENT_FAX_DAYS = 30
"""Days that a sent fax is kept; with HIPAA those of the inbox are, too, and voice messages."""

MOST_IN_INBOX = 200
"""Fax and voice messages of a user's inbox, taken together."""

MOST_TEXTS = 5000
"""SMS and MMS of each folder of a user. The Outbox counts as Sent, as nothing stays in it."""

_VOICE_AND_FAX = ("Fax", "VoiceMail")


class MailboxLimits:
    """Lets `store` drop what the `rules` do not allow; both may be asked for anything else at the same time.

    Until `enforce` is called, this does nothing.
    """

    def __init__(self, account: SimAccount, store: MessageStore, rules: StoreRules) -> None:
        self._account = account
        self._store = store
        self._rules = rules
        self._is_watching = False
        self._ends: dict[int, float] = {}
        self._folders: dict[Hashable, _Folder] = {}
        self._folder_of: dict[int, Hashable] = {}

    def enforce(self, now_s: float) -> Iterator[None]:
        """Hold all messages to the rules as they are now, and those that come from now on.

        This looks at each message of the account, some 15 µs each, and drops what it has to, some 60 µs and
        1 kB each. After each step, a block of a mailbox, the caller may let others act.
        """
        if not self._is_watching:
            self._is_watching = True
            self._store.listen(self._noticed)
        for extension in self._account.extensions:
            self._store.settle(extension.id, now_s)
            mailbox = self._account.mailbox(extension.id)
            # Oldest first, so that of a folder that is too full the newest stay.
            for block in range(mailbox.blocks):
                for message in reversed(mailbox.messages(block)):
                    self._hold(message, now_s)
                self._store.settle(extension.id, now_s)
                yield

    def _noticed(self, message: SimMessage, _is_new: bool) -> None:
        self._hold(message, message.last_modified)

    def _hold(self, message: SimMessage, now_s: float) -> None:
        """Let `message` end in time, and have its place in a folder."""
        kept_s = self._kept_s(message)
        if kept_s is None:
            self._ends.pop(message.id, None)
        else:
            end_s = max(created_s(message) + kept_s, now_s)
            if self._ends.get(message.id) != end_s:
                self._ends[message.id] = end_s
                end = partial(self._end, message.extension_id, message.id)
                self._store.plan(message.extension_id, end_s, end)
        self._file(message, now_s)

    def _end(self, extension_id: int, message_id: int, due_s: float) -> None:
        """Drop a message, unless it is to end at another time by now."""
        message = self._account.message(extension_id, message_id)
        if message is not None and self._ends.get(message_id) == due_s:
            self._store.delete(message, due_s, purge=True)

    def _kept_s(self, message: SimMessage) -> float | None:
        """How long `message` is kept, in seconds from its creation; None for ever, or as it is dropped."""
        if message.type not in _VOICE_AND_FAX or message.availability == Availability.PURGED:
            return None
        days = [] if self._rules.retention_days is None else [self._rules.retention_days]
        if self._rules.limited and (self._rules.hipaa or message.direction == "Outbound"):
            days.append(SENT_FAX_DAYS)
        return min(days) * DAY_S if days else None

    def _file(self, message: SimMessage, now_s: float) -> None:
        """Put `message` into its folder, and drop the folder's oldest if it is too full."""
        former = self._folder_of.get(message.id)
        folder = _folder(message) if self._rules.limited else None
        if folder == former:
            return
        if former is not None:
            self._folders[former].ids.discard(message.id)
            del self._folder_of[message.id]
        if folder is None:
            return
        self._folder_of[message.id] = folder
        there = self._folders.setdefault(folder, _Folder())
        there.ids.add(message.id)
        heapq.heappush(there.by_age, (created_s(message), message.id))
        most = MOST_TEXTS if message.type == "SMS" else MOST_IN_INBOX
        while len(there.ids) > most:
            _, oldest_id = heapq.heappop(there.by_age)
            oldest = self._account.message(message.extension_id, oldest_id)
            if oldest is not None and oldest_id in there.ids:
                self._store.delete(oldest, now_s, purge=True)


@attrs.define
class _Folder:
    """The messages of a folder."""

    ids: set[int] = attrs.field(factory=set)
    """Those that are in it now."""
    by_age: list[tuple[float, int]] = attrs.field(factory=list)
    """A heap of creation times and ids: of those, and of some that have left."""


def _folder(message: SimMessage) -> Hashable:
    """The folder that `message` takes a place of; None for none."""
    if message.availability == Availability.PURGED:
        return None
    if message.type == "SMS":
        is_alive = message.availability == Availability.ALIVE
        return message.extension_id, "SMS", message.direction if is_alive else "Deleted"
    if message.type in _VOICE_AND_FAX and message.direction == "Inbound":
        return (message.extension_id, "Inbox") if message.availability == Availability.ALIVE else None
    return None
