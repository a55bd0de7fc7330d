"""The life of messages: they arrive, are read, deleted, purged and forgotten, each at its time.

The account holds the messages; this module changes them. Nothing runs by itself: a mailbox catches up with
the account's time when somebody reads it (`settle`). All planned changes that are due by then are applied in
order, with the times at which they were due. So a test that moves the clock sees the changes of days at once,
and the same requests get the same answers at any speed.

Source: "Message store" of RingCentral's API documentation; deleteMessage and patchMessage of the official
description.
"""

import heapq
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import attrs

from rcfs.model import Availability
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._drafts import Draft
from rcfs.simulator.account._plan import DAY_S, DELETED_KEPT_S, TRASH_RESTS_S, SimMessage

PURGED_KEPT_S = 5 * DAY_S
"""Seconds that the record of a purged message stays ("about 5 more days")."""

TRANSCRIBED_AFTER_S = 45.0
"""Seconds from a voicemail's arrival to its transcript: users report some tens."""

Action = Callable[[float], None]
"""A planned change; called with the time at which it was due."""

Listener = Callable[[SimMessage, bool], None]
"""Called with each message that has changed, and whether it is new."""


@attrs.define(eq=False)
class StoreRules:
    """Rules of the account and its simulator for message stores; they may change at run time."""

    hipaa: bool = False
    """The account must keep messages for as long as the law says, and nobody can change that (ACT-340)."""
    retention_days: int | None = None
    """Days that fax and voice messages are kept; None for no limit, until a client sets one."""
    limited: bool = False
    """Whether mailboxes are limited as the documentation's tables of retention say."""
    sync_token_lifetime_s: float | None = None
    """Lifetime of a sync token, in seconds of the account; None for no limit."""
    sync_token_error: str = "MSG-333"  # noqa: S105 - a code
    """``errorCode`` for an invalid sync token."""
    sync_tokens_since_s: float = 0.0
    """Sync tokens issued before this account time are invalid."""


class MessageStore:
    """The life of all messages of `account`; times are the account's, in seconds since 1970 UTC.

    Use it from one thread only. Settle a mailbox before reading or changing it.
    """

    def __init__(self, account: SimAccount) -> None:
        self._account = account
        self._agendas: dict[int, list[tuple[float, int, Action]]] = {}
        self._order = count()
        self._ends_at: dict[int, float] = {}
        self._watched: set[int] = set()
        self._listeners: list[Listener] = []
        self._planners: list[Callable[[], None]] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` at once after every change from now on."""
        self._listeners.append(listener)

    def settle(self, extension_id: int, now_s: float) -> None:
        """Apply the changes of one mailbox that are due by `now_s`."""
        if extension_id not in self._watched:
            self._watched.add(extension_id)
            rested_s = self._account.spec.end_s + TRASH_RESTS_S
            self.plan(extension_id, rested_s, partial(self._watch_trash, extension_id))
        agenda = self._agendas[extension_id]
        while agenda and agenda[0][0] <= now_s:
            due_s, _, action = heapq.heappop(agenda)
            action(due_s)

    def settle_all(self, now_s: float) -> Iterator[None]:
        """Apply the changes of all mailboxes that are due by `now_s`, in order.

        After each step, the changes of one mailbox at one time, the caller may run other tasks.
        """
        while (due_s := self.next_due_s()) is not None and due_s <= now_s:
            for extension_id, agenda in list(self._agendas.items()):
                if agenda and agenda[0][0] <= due_s:
                    self.settle(extension_id, due_s)
                    yield

    def next_due_s(self) -> float | None:
        """Time of the next planned change; None if nothing is planned."""
        return min((agenda[0][0] for agenda in self._agendas.values() if agenda), default=None)

    def plan(self, extension_id: int, due_s: float, action: Action) -> None:
        """Call `action` for a mailbox at `due_s`; actions of equal times run in the order of planning."""
        heapq.heappush(self._agendas.setdefault(extension_id, []), (due_s, next(self._order), action))
        for planner in self._planners:
            planner()

    def listen_to_plans(self, planner: Callable[[], None]) -> None:
        """Call `planner` each time when a change has been planned."""
        self._planners.append(planner)

    # Arrivals.

    def arrive(self, message: SimMessage, draft: Draft | None = None) -> None:
        """Add a new message as the newest of its mailbox; `draft` as in `SimAccount.revise`.

        The transcript of a voicemail follows later.
        """
        self._account.add(message, draft)
        whole = self._account.draft(message)
        if message.type == "VoiceMail" and len(whole.parts) > 1:
            fields = {**whole.fields, "vmTranscriptionStatus": "InProgress"}
            self._account.revise(message.id, Draft(fields, whole.parts[:1]))
            done_s = message.last_modified + TRANSCRIBED_AFTER_S
            self.plan(message.extension_id, done_s, partial(self.revise, message, draft))
        self._tell(message, is_new=True)

    def revise(self, message: SimMessage, draft: Draft | None, now_s: float) -> None:
        """Set the text and attachments of `message` (`SimAccount.revise`), unless it is gone."""
        if self._is_there(message):
            self._account.revise(message.id, draft)
            self._touch(message, now_s)

    # Changes by clients.

    def mark(self, message: SimMessage, read_status: str, now_s: float) -> None:
        """Set the read status of `message` to ``Read`` or ``Unread``; no change if it has it already."""
        if message.read_status != read_status:
            message.read_status = read_status
            self._touch(message, now_s)

    def restore(self, message: SimMessage, now_s: float) -> None:
        """Take `message`, which must not be purged, out of the trash; no change if it is not there."""
        if message.availability == Availability.DELETED:
            self._ends_at.pop(message.id, None)
            message.availability = Availability.ALIVE
            self._touch(message, now_s)

    def delete(self, message: SimMessage, now_s: float, *, purge: bool = False) -> None:
        """Delete `message`: move it to the trash; purge it if it is there already, or with `purge`.

        A purged message stays as it is.
        """
        if message.availability == Availability.PURGED:
            return
        in_trash = message.availability == Availability.DELETED
        message.availability = Availability.PURGED if purge or in_trash else Availability.DELETED
        self._touch(message, now_s)
        self._expect_end(message, now_s)

    def _watch_trash(self, extension_id: int, _due_s: float) -> None:
        """Plan the end of all messages that are in the trash since the start: some 6 µs for each message."""
        for message, deleted_s in self._account.mailbox(extension_id).still_in_trash():
            if message.id not in self._ends_at:
                self._expect_end(message, deleted_s)

    def _expect_end(self, message: SimMessage, since_s: float) -> None:
        """Plan the next step of `message`, which is in the trash or purged since `since_s`."""
        kept_s = DELETED_KEPT_S if message.availability == Availability.DELETED else PURGED_KEPT_S
        self._ends_at[message.id] = since_s + kept_s
        end = partial(self._end, message.extension_id, message.id)
        self.plan(message.extension_id, since_s + kept_s, end)

    def _end(self, extension_id: int, message_id: int, due_s: float) -> None:
        """Purge or forget a message, unless it was restored, or has already taken that step."""
        message = self._account.message(extension_id, message_id)
        if message is None or self._ends_at.get(message_id) != due_s:
            return
        if message.availability == Availability.DELETED:
            self.delete(message, due_s)
        else:
            # No sync reports this step, as documented, so the listeners are not called.
            del self._ends_at[message_id]
            self._account.remove(message)

    def _is_there(self, message: SimMessage) -> bool:
        return self._account.message(message.extension_id, message.id) is message

    def _touch(self, message: SimMessage, now_s: float) -> None:
        """Note the time of a change to `message`; the time never goes back."""
        message.last_modified = max(message.last_modified, whole_ms(now_s))
        self._tell(message, is_new=False)

    def _tell(self, message: SimMessage, *, is_new: bool) -> None:
        for listener in self._listeners:
            listener(message, is_new)


def new_message(
    account: SimAccount, extension_id: int, kind: str, direction: str, now_s: float
) -> SimMessage:
    """A new message in a mailbox at `now_s`; the caller adds it."""
    created_s = whole_ms(now_s)
    return SimMessage(
        id=account.new_message_id(),
        extension_id=extension_id,
        type=kind,
        direction=direction,
        created_s=created_s,
        read_status="Unread" if direction == "Inbound" else "Read",
        availability=Availability.ALIVE,
        last_modified=created_s,
    )


def whole_ms(time_s: float) -> float:
    """`time_s` rounded to whole milliseconds, the resolution of records."""
    return int(time_s * 1000) / 1000
