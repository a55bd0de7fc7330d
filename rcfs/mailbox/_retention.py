"""How long the platform keeps messages and recordings, and which it deletes next.

rcfs reads the setting of the account once a day.

Concurrency: all methods run in the trio thread, except `outlook`, which is for a worker thread.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import trio

from rcfs.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    OfflineError,
    RcfsError,
    StoreError,
    UncertainError,
    UnreachableError,
)
from rcfs.mailbox._call_logs import CallLogs
from rcfs.mailbox._context import Context
from rcfs.mailbox._records import parse_messages
from rcfs.model import (
    DAY_S,
    RECORDING_DAYS,
    AttachmentKey,
    Availability,
    End,
    Extension,
    Message,
    Priority,
    Retention,
    Rule,
    iso_time,
    retention_days,
)
from rcfs.platform import read_store_configuration, update_store_configuration
from rcfs.status import ExpiryStatus, RetentionStatus
from rcfs.store import Note
from rcfs.transport import RequestOptions

_SOON_S = 7 * DAY_S
"""The status names what the platform deletes within a week: time for a pull at the weekend."""
_ASK_AGAIN_S = DAY_S
"""How long rcfs believes the setting, or a refusal to tell it: administrators seldom change it."""
_LOOK_EVERY_S = 3600.0
"""How often to check whether that time is over, and the pause after a failed attempt."""
_SCOPE = "EditAccounts"
"""Scope that an app needs to read the setting. Source: ``x-app-permission`` of
readMessageStoreConfiguration."""


class RetentionTracker:
    """Knows how long the platform keeps the messages and recordings of one account."""

    def __init__(self, context: Context, calls: CallLogs) -> None:
        """Begins with the setting that the index remembers for the login, if there is one."""
        self._context = context
        self._calls = calls
        self._topic = f"retention {context.login}"
        self._asking = trio.Lock()
        self._note: Note | None = None
        try:
            self._note = context.index.reader.noted(self._topic)
        except StoreError as exc:
            context.recorder.fault("retention", str(exc))

    @property
    def current(self) -> Retention:
        """How long the platform keeps messages."""
        return Retention(self._known().get("days"))

    async def run(self) -> None:
        """Keeps the setting current until it is cancelled."""
        while True:
            await self._context.network.wait_up()
            await self.learn()
            await trio.sleep(_LOOK_EVERY_S)

    async def learn(self) -> None:
        """Asks the platform for the setting, unless it answered less than a day ago. Never raises."""
        async with self._asking:
            if self._is_fresh or self._context.network.is_down:
                return
            options = RequestOptions(Priority.METADATA, attempts=1, label="retention")
            try:
                await self._context.lane.session.token(options)
                await self._keep(await self._ask(options))
            except (OfflineError, UnreachableError):
                pass  # The network reports an outage, and `run` tries again.
            except RcfsError as exc:
                self._context.recorder.failure("retention", exc)
            except Exception as exc:  # noqa: BLE001 - nothing depends on it
                self._context.recorder.crash("retention", exc)

    async def ask(self) -> int:
        """Asks the platform now how long the account keeps faxes and voicemails, in days.

        Raises:
            PlatformError: The server refused, failed or could not be reached.
        """
        days = await self._context.requester.read(read_store_configuration(), retention_days, _by_a_person())
        await self._keep({"days": days})
        return days

    async def change(self, days: int) -> int:
        """Sets how long the account keeps faxes and voicemails, and returns the days that the platform tells.

        Raises:
            ValueError: `days` is out of the bounds of `RETENTION_DAYS`.
            PlatformError: The server refused, failed or could not be reached.
        """
        request = update_store_configuration(days)
        try:
            found = await self._context.requester.read(request, retention_days, _by_a_person())
        except UncertainError as exc:
            self._context.recorder.failure("retention", exc)
            return await self.ask()
        await self._keep({"days": found})
        return found

    async def _keep(self, found: Mapping[str, object]) -> None:
        self._note = Note(json.dumps(found), self._context.wall_clock())
        await self._context.note(self._topic, self._note.text)

    async def _ask(self, options: RequestOptions) -> Mapping[str, object]:
        scopes = self._context.lane.session.scopes
        if scopes and _SCOPE not in scopes:
            return {"refused": f"the app lacks the scope {_SCOPE} (add it in the developer console)"}
        try:
            return {
                "days": await self._context.requester.read(
                    read_store_configuration(), retention_days, options
                )
            }
        except (ForbiddenError, NotFoundError, BadRequestError) as exc:
            return {"refused": f"the server refuses to tell it ({exc.code or type(exc).__name__})"}

    @property
    def _is_fresh(self) -> bool:
        return self._note is not None and self._context.age_s(self._note.noted_s) < _ASK_AGAIN_S

    def _known(self) -> dict[str, Any]:
        return {} if self._note is None else dict(json.loads(self._note.text))

    def outlook(self, account_id: str, extensions: Iterable[Extension]) -> RetentionStatus:
        """How long the platform keeps messages and recordings, and which go soon; for a worker thread.

        Raises:
            StoreError: The index fails.
        """
        known, now_s = self._known(), self._context.now_s()
        expiring = (self._expiring(account_id, extension, now_s) for extension in extensions)
        return RetentionStatus(
            configured_days=known.get("days"),
            asked=None if self._note is None else iso_time(self._note.noted_s),
            unknown_because=None if "days" in known else known.get("refused", "rcfs has not asked yet"),
            within_days=_SOON_S / DAY_S,
            mailboxes=tuple(sorted(filter(None, expiring), key=lambda each: each.first_goes)),
            recording_days=RECORDING_DAYS,
            recordings=self._calls.outlook.expiring(self.current, _SOON_S),
        )

    def _expiring(self, account_id: str, extension: Extension, now_s: float) -> ExpiryStatus | None:
        """The messages that a mailbox loses within `_SOON_S`; None without any, or if it was never loaded."""
        state = self._context.index.reader.mailbox(account_id, extension.id)
        if state is None or not state.loaded:
            return None
        found: dict[int, tuple[End, Message]] = {}
        for rule in self.current.rules:
            for message in self._candidates(state.number, rule, now_s):
                end = self.current.end_of(message, now_s)
                if end is not None and end.at_s <= now_s + _SOON_S:
                    found[message.id] = (end, message)
        if not found:
            return None
        end, first = min(found.values(), key=lambda each: each[0].at_s)
        lacking = {
            message.id: count
            for _end, message in found.values()
            if (count := self._lacking(account_id, extension.id, message))
        }
        created_s = [s for each in lacking if (s := found[each][1].created_s) is not None]
        loss_s = min((found[each][0].at_s for each in lacking), default=None)
        return ExpiryStatus(
            extension=extension.id,
            number=extension.number,
            name=extension.name,
            messages=len(found),
            uncached=sum(lacking.values()),
            first_created=None if first.created_s is None else iso_time(first.created_s),
            first_goes=iso_time(end.at_s),
            first_goes_in_s=max(0.0, end.at_s - now_s),
            certain=end.certain,
            oldest_uncached=iso_time(min(created_s)) if created_s else None,
            loss_in_s=None if loss_s is None else max(0.0, loss_s - now_s),
        )

    def _lacking(self, account_id: str, extension_id: int, message: Message) -> int:
        """Number of attachments of a message that are not whole in the cache."""
        keys = (
            AttachmentKey(account_id, extension_id, message.id, each.id)
            for each in message.fetched_attachments
        )
        return sum(self._context.cache.contains(key) != "yes" for key in keys)

    def _candidates(self, mailbox: int, rule: Rule, now_s: float) -> Iterator[Message]:
        """The messages that `rule` may delete soon."""
        availability = Availability.DELETED if rule.deleted else Availability.ALIVE
        shelved = self._context.shelving.shelve(Message(0, rule.type, availability=availability))
        if shelved is None:
            return iter(())
        span_s = self.current.span_s(rule, now_s, _SOON_S)
        return parse_messages(self._context.index.reader.records_between(mailbox, shelved.home.view, span_s))


def _by_a_person() -> RequestOptions:
    return RequestOptions(Priority.PERSON, label="retention")
