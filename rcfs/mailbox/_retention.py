"""What the platform will drop next, and how long it keeps what: the setting is asked for once a day.

Concurrency: all methods run in the trio thread but `outlook`, which is for a worker thread.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import trio

from rcfs.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    OfflineError,
    RcfsError,
    StoreError,
    UnreachableError,
)
from rcfs.mailbox._context import Context
from rcfs.model import (
    DAY_S,
    AttachmentKey,
    Availability,
    End,
    Extension,
    Message,
    Priority,
    Retention,
    Rule,
    iso_time,
    message_from,
    retention_days,
)
from rcfs.platform import read_store_configuration
from rcfs.status import LossStatus, RetentionStatus
from rcfs.store import Note
from rcfs.transport import Demand

SOON_S = 7 * DAY_S
"""What goes within a week is told: time for a pull at the weekend."""
_ASK_AGAIN_S = DAY_S
"""How long the setting, or a refusal to tell it, is taken for true: administrators change it hardly ever."""
_LOOK_EVERY_S = 3600.0
"""How often to look whether that is over; and so the time to the next attempt after one that failed."""
_SCOPE = "EditAccounts"
"""Scope of the app without which the setting is never told. Source: ``x-app-permission`` of
readMessageStoreConfiguration."""


@attrs.frozen
class Expiring:
    """What goes of one mailbox within `SOON_S`."""

    extension: Extension
    """Whose mailbox."""
    messages: int
    """How many messages."""
    uncached: int
    """How many of their attachments are not whole in the cache."""
    first: Message
    """The message that goes first."""
    end: End
    """When that one goes."""


class RetentionTracker:
    """Knows how long messages are kept, as far as that can be known."""

    def __init__(self, context: Context) -> None:
        """Begins with what the index remembers of the login."""
        self._context = context
        self._topic = f"retention {context.login}"
        self._asking = trio.Lock()
        self._note: Note | None = None
        try:
            self._note = context.index.reader.noted(self._topic)
        except StoreError as exc:
            context.recorder.fault("retention", str(exc))

    @property
    def current(self) -> Retention:
        """How long messages are kept."""
        return Retention(self._known().get("days"))

    async def run(self) -> None:
        """Keeps the setting known, for as long as the account is used."""
        while True:
            await self._context.network.wait_up()
            await self.learn()
            await trio.sleep(_LOOK_EVERY_S)

    async def learn(self) -> None:
        """Asks for the setting, unless it is known, or was refused, since less than a day; never raises."""
        async with self._asking:
            if self._is_fresh or self._context.network.is_down:
                return
            demand = Demand(Priority.METADATA, attempts=1, label="retention")
            try:
                await self._context.lane.session.token(demand)
                found = await self._ask(demand)
                self._note = Note(json.dumps(found), self._context.wall_clock())
                await self._context.note(self._topic, self._note.text)
            except (OfflineError, UnreachableError):
                pass  # Said once by whoever notices, and asked again.
            except RcfsError as exc:
                self._context.recorder.failure("retention", exc)
            except Exception as exc:  # noqa: BLE001 - nothing depends on it
                self._context.recorder.crash("retention", exc)

    async def _ask(self, demand: Demand) -> Mapping[str, object]:
        scopes = self._context.lane.session.scopes
        if scopes and _SCOPE not in scopes:
            return {"refused": f"the app has not the scope {_SCOPE}"}
        try:
            return {
                "days": await self._context.requester.read(read_store_configuration(), retention_days, demand)
            }
        except (ForbiddenError, NotFoundError, BadRequestError) as exc:
            return {"refused": f"the server does not tell ({exc.code or type(exc).__name__})"}

    @property
    def _is_fresh(self) -> bool:
        return self._note is not None and self._context.age_s(self._note.noted_s) < _ASK_AGAIN_S

    def _known(self) -> dict[str, Any]:
        known = None if self._note is None else json.loads(self._note.text)
        return known if isinstance(known, dict) else {}

    def outlook(self, account_id: str, extensions: Iterable[Extension]) -> RetentionStatus:
        """How long messages are kept, and what will be lost; for a worker thread.

        Raises:
            StoreError: The index fails.
        """
        known, now_s = self._known(), self._context.wall_clock()
        expiring = [self._expiring(account_id, extension, now_s) for extension in extensions]
        return RetentionStatus(
            configured_days=known.get("days"),
            asked=None if self._note is None else iso_time(self._note.noted_s),
            unknown_because=None if "days" in known else known.get("refused", "it was not asked yet"),
            within_days=SOON_S / DAY_S,
            mailboxes=tuple(
                _expiring_status(each, now_s)
                for each in sorted(filter(None, expiring), key=lambda each: each.end.at_s)
            ),
        )

    def _expiring(self, account_id: str, extension: Extension, now_s: float) -> Expiring | None:
        """What goes of one mailbox; None when nothing does, or it was never loaded."""
        state = self._context.index.reader.mailbox(account_id, extension.id)
        if state is None or not state.loaded:
            return None
        found: dict[int, tuple[End, Message]] = {}
        for rule in self.current.rules:
            for message in self._candidates(state.number, rule, now_s):
                end = self.current.end_of(message, now_s)
                if end is not None and end.at_s <= now_s + SOON_S:
                    found[message.id] = (end, message)
        if not found:
            return None
        end, first = min(found.values(), key=lambda each: each[0].at_s)
        keys = [
            AttachmentKey(account_id, extension.id, message.id, attachment.id)
            for _end, message in found.values()
            for attachment in message.fetched_attachments
        ]
        uncached = sum(self._context.cache.contains(key) != "yes" for key in keys)
        return Expiring(extension, len(found), uncached, first, end)

    def _candidates(self, mailbox: int, rule: Rule, now_s: float) -> Sequence[Message]:
        """The messages that `rule` may drop soon."""
        availability = Availability.DELETED if rule.deleted else Availability.ALIVE
        shelved = self._context.shelving.shelve(Message(0, rule.type, availability=availability))
        if shelved is None:
            return ()
        span_s = self.current.span_s(rule, now_s, SOON_S)
        records = self._context.index.reader.records_between(mailbox, shelved.home.view, span_s)
        messages = (message_from(json.loads(raw)) for raw in records)
        return [message for message in messages if message is not None]


def _expiring_status(expiring: Expiring, now_s: float) -> LossStatus:
    created_s = expiring.first.created_s
    return LossStatus(
        extension=expiring.extension.id,
        number=expiring.extension.number,
        name=expiring.extension.name,
        messages=expiring.messages,
        uncached=expiring.uncached,
        first_created=None if created_s is None else iso_time(created_s),
        first_goes=iso_time(expiring.end.at_s),
        first_goes_in_s=max(0.0, expiring.end.at_s - now_s),
        certain=expiring.end.certain,
    )
