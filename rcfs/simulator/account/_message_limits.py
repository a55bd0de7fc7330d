"""Messages that the platform deletes by itself: those too old, and the oldest of a full mailbox.

Nothing is deleted unless a test asks for it, because generated accounts reach back further, and hold more,
than real ones can. The retention period applies once a client has set it, the other limits with an option.

The platform's documentation does not say whether such messages pass through the trash; here they are purged.

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
"""Days that a sent fax is kept; with HIPAA, received faxes and voicemails are kept as long."""

MOST_IN_INBOX = 200
"""Fax and voice messages in a user's inbox together."""

MOST_TEXTS = 5000
"""SMS and MMS in each folder of a user. The Outbox counts as Sent, as nothing stays in it."""

_VOICE_AND_FAX = ("Fax", "VoiceMail")


class MailboxLimits:
    """Deletes the messages in `store` that exceed `rules`; the attributes of both may change at any time.

    It does nothing before the first call of `enforce`.
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
        """Apply the present rules to all messages, and from now on to new ones.

        This reads each message of the account, some 15 µs each, and drops those beyond the limits, some 60 µs
        and 1 kB each. After each step, a block of a mailbox, the caller may run other tasks.
        """
        if not self._is_watching:
            self._is_watching = True
            self._store.listen(self._noticed)
        for extension in self._account.extensions:
            self._store.settle(extension.id, now_s)
            mailbox = self._account.mailbox(extension.id)
            # Oldest first, so that a folder that is too full keeps the newest.
            for block in range(mailbox.blocks):
                for message in reversed(mailbox.messages(block)):
                    self._hold(message, now_s)
                self._store.settle(extension.id, now_s)
                yield

    def _noticed(self, message: SimMessage, _is_new: bool) -> None:
        self._hold(message, message.last_modified)

    def _hold(self, message: SimMessage, now_s: float) -> None:
        """Plan the end of `message`, and count it in its folder."""
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
        """Drop a message, unless its end has been moved meanwhile."""
        message = self._account.message(extension_id, message_id)
        if message is not None and self._ends.get(message_id) == due_s:
            self._store.delete(message, due_s, purge=True)

    def _kept_s(self, message: SimMessage) -> float | None:
        """Seconds that `message` is kept after its creation; None for no limit, and for a purged one."""
        if message.type not in _VOICE_AND_FAX or message.availability == Availability.PURGED:
            return None
        days = [] if self._rules.retention_days is None else [self._rules.retention_days]
        if self._rules.limited and (self._rules.hipaa or message.direction == "Outbound"):
            days.append(SENT_FAX_DAYS)
        return min(days) * DAY_S if days else None

    def _file(self, message: SimMessage, now_s: float) -> None:
        """Put `message` into its folder, and drop the folder's oldest message if it is too full."""
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
    """Ids of the messages in it."""
    by_age: list[tuple[float, int]] = attrs.field(factory=list)
    """A heap of creation times and ids of these messages, and of some that have left."""


def _folder(message: SimMessage) -> Hashable:
    """The folder that `message` counts for; None for none."""
    if message.availability == Availability.PURGED:
        return None
    if message.type == "SMS":
        is_alive = message.availability == Availability.ALIVE
        return message.extension_id, "SMS", message.direction if is_alive else "Deleted"
    if message.type in _VOICE_AND_FAX and message.direction == "Inbound":
        return (message.extension_id, "Inbox") if message.availability == Availability.ALIVE else None
    return None
