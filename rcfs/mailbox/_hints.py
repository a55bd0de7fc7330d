"""Hints: over a WebSocket the platform names the mailbox or call log in which something happened.

A hint is only a reason to sync: rcfs takes nothing else from a notification than the extension, and continues
to poll, less often. Without a WebSocket it polls as usual. The platform tells at once that a call has ended,
but its record comes up to half a minute later, and its recording another minute later. So rcfs waits with the
sync.

Each connection costs a request of the auth group, and one of the medium group that subscribes to the loaded
mailboxes and call logs; the subscription is changed when more are loaded. rcfs remembers a refusal for a day.

Concurrency: all methods run in the trio thread. There is one connection at a time; its tasks end with it.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterable

import trio

from rcfs.errors import (
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    OfflineError,
    RateLimitedError,
    RcfsError,
    ServerError,
    StoreError,
    TransportError,
    UnreachableError,
)
from rcfs.mailbox._collections import Collections
from rcfs.mailbox._context import Context
from rcfs.mailbox._rights import CALL_CONTROL, Rights
from rcfs.model import CALLS, MAILBOX, Priority, collection_of, iso_time, kind_of, owner_of
from rcfs.platform import (
    MEDIUM,
    Frame,
    MessageStream,
    frame_from,
    heartbeat_frame,
    socket_access,
    socket_token,
    subscription_frame,
)
from rcfs.status import HintsStatus
from rcfs.transport import RequestOptions, run_together

_SCOPE = "websocket"
"""Beginning, in lower case, of the scope that lets an app open a WebSocket: the official description calls
the scope ``WebSocket``, consoles call it ``WebSocketsSubscription``."""
_ASK_AGAIN_S = 86_400.0
"""How long rcfs believes a refusal: scopes and permissions seldom change."""
_LOOK_EVERY_S = 3600.0
"""How often to check whether that time is over."""
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 600.0
"""Bounds of the pause before the next connection, which doubles with every failure. Each connection needs one
of the auth group's five requests a minute, which a login may need too; between connections rcfs polls."""
_STEADY_S = 60.0
"""A connection that lasted this long ends a series of failures."""
_ANSWER_WITHIN_S = 30.0
"""Longest wait for the first frame, and for the answer to a question over the connection."""
_BEAT_S = 60.0
"""Time between two heartbeats. The platform gives up after half an hour of silence, routers forget idle
connections after some minutes, and rcfs should notice a dead peer before a person does."""
_SETTLE_S = 20.0
"""Time from the first load of a mailbox to the change of the subscription: more loads may follow, and each
change costs a request."""
_RECORD_AFTER_S = 30.0
"""Time from the end of a call to its record in the call log, at most. Source: documentation of the call
log, 15 to 30 s."""
_RECORDING_AFTER_S = 120.0
"""Time from the end of a call after which its record usually names the recording."""
_ATTEMPTS = 3
"""Attempts to subscribe within one connection, when the platform answers with 429."""


class Hints:
    """Keeps a WebSocket open and syncs the mailboxes and call logs that it names; `run` it once."""

    def __init__(self, context: Context, collections: Collections, rights: Rights) -> None:
        """Syncs mailboxes and call logs of `collections`."""
        self._context = context
        self._topic = f"hints {context.login}"
        self._collections = collections
        self._rights = rights
        self._calls_refused = False
        """Whether the server refused a subscription because of the calls in it."""
        self._ended_s: dict[int, float] = {}
        """By owner of a call log: when a call last ended, while rcfs waits for its record."""
        self._jitter = random.random
        self._numbers = itertools.count(1)
        self._questions: dict[str, trio.MemorySendChannel[Frame]] = {}
        self._heard = trio.Event()
        self._recovery = ""
        self._subscription_id = ""
        self._covered: frozenset[str] = frozenset()
        """The collections that the subscription covers."""
        self._since_s: float | None = None
        self._off_because = "no mailbox is loaded yet"

    def status(self) -> HintsStatus:
        """Whether hints come, and if not, why."""
        on = self._since_s is not None
        return HintsStatus(
            state="on" if on else "off",
            since=None if self._since_s is None else iso_time(self._since_s),
            mailboxes=len(_owners(MAILBOX, self._covered)) if on else 0,
            call_logs=len(_owners(CALLS, self._covered)) if on else 0,
            off_because=None if on else self._off_because,
        )

    async def run(self) -> None:
        """Passes hints on until it is cancelled; while the platform refuses, it waits for the day to pass."""
        failures = 0
        while True:
            await self._collections.wait_loaded((MAILBOX, CALLS), frozenset())
            await self._context.network.wait_up()
            if self._is_refused():
                await trio.sleep(_LOOK_EVERY_S)
                continue
            begun_s = trio.current_time()
            try:
                await self._connect()
                self._off_because = "the server has closed the connection"
            except (ForbiddenError, NotFoundError, BadRequestError) as exc:
                await self._keep_refusal(
                    f"the server does not allow notifications ({exc.code})" if exc.code else str(exc)
                )
                continue
            except RcfsError as exc:
                self._off_because = str(exc)
                if not isinstance(exc, (OfflineError, UnreachableError)):
                    self._context.recorder.failure("hints", exc)
            except Exception as exc:  # noqa: BLE001 - the mount works without hints, too
                self._off_because = "unexpected error; see the log"
                self._context.recorder.crash("hints", exc)
            failures = 1 if trio.current_time() - begun_s >= _STEADY_S else failures + 1
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (failures - 1))
            # Half of the pause is random, so that clients that were cut off together come back apart.
            await trio.sleep(pause_s * (1 + self._jitter()) / 2)

    def _is_refused(self) -> bool:
        try:
            note = self._context.index.reader.noted(self._topic)
        except StoreError:
            return False
        if note is None or self._context.age_s(note.noted_s) >= _ASK_AGAIN_S:
            return False
        self._off_because = json.loads(note.text)
        return True

    async def _keep_refusal(self, reason: str) -> None:
        self._off_because = reason
        self._context.recorder.note("hints refused", reason=reason)
        try:
            await self._context.note(self._topic, json.dumps(reason))
        except StoreError as exc:
            self._context.recorder.fault("hints", str(exc))
            await trio.sleep(_LOOK_EVERY_S)  # in place of the note

    async def _connect(self) -> None:
        """Opens a connection and uses it; returns when the server has closed it.

        Raises:
            RcfsError: The connection failed, or could not be opened.
        """
        options = RequestOptions(Priority.METADATA, attempts=1, label="notifications")
        await self._context.lane.session.token(options)
        scopes = self._context.lane.session.scopes
        if scopes and not any(scope.lower().startswith(_SCOPE) for scope in scopes):
            raise ForbiddenError("the app lacks the scope WebSocket; add it in the developer console")
        access = await self._context.requester.read(socket_token(), socket_access, options)
        try:
            async with self._context.client.open_socket(access.url(self._recovery)) as socket:
                await self._serve(socket)
        finally:
            self._since_s = None
            self._questions.clear()
            self._collections.listen(frozenset())

    async def _serve(self, socket: MessageStream) -> None:
        """Uses a connection until the server closes it."""
        await self._begin(socket)
        await run_together(
            (lambda: self._hear(socket), lambda: self._subscribe(socket), lambda: self._beat(socket)),
            until_one_returns=True,
        )

    async def _begin(self, socket: MessageStream) -> None:
        """Receives the first frame, which tells whether the last connection's subscription still holds."""
        frame = None
        with trio.move_on_after(_ANSWER_WITHIN_S):
            text = await socket.receive()
            frame = None if text is None else frame_from(text)
        if frame is None:
            raise TransportError("the server sent no first frame on the WebSocket")
        if frame.kind != "ConnectionDetails":
            raise ServerError(f"the server refused the WebSocket: {frame.refusal('notifications')}")
        self._recovery = frame.recovery
        if not frame.is_recovered:
            self._covered, self._subscription_id = frozenset(), ""

    async def _hear(self, socket: MessageStream) -> None:
        while (text := await socket.receive()) is not None:
            frame = frame_from(text)
            self._heard.set()
            self._recovery = frame.recovery or self._recovery
            question = self._questions.pop(frame.message_id, None)
            if question is not None:
                question.send_nowait(frame)
            elif frame.kind == "ServerNotification" and frame.told_extension is not None:
                mailbox = collection_of(MAILBOX, frame.told_extension)
                if mailbox in self._covered:
                    self._collections.hint(mailbox)
            elif frame.kind == "ServerNotification" and frame.told_call is not None:
                self._call_ended(frame.told_call)
            elif frame.kind == "Error":
                raise ServerError(str(frame.refusal("notifications")))

    def _call_ended(self, owner: int) -> None:
        """Notes that a call has ended, and syncs its log when the platform has its record and recording."""
        is_waiting = owner in self._ended_s
        self._ended_s[owner] = trio.current_time()
        if not is_waiting:
            self._context.nursery.start_soon(self._hint_later, owner)

    async def _hint_later(self, owner: int) -> None:
        await trio.sleep(_RECORD_AFTER_S)
        self._hint_calls(owner)
        while (due_s := self._ended_s[owner] + _RECORDING_AFTER_S) > trio.current_time():
            await trio.sleep_until(due_s)
            self._hint_calls(owner)
        del self._ended_s[owner]

    def _hint_calls(self, owner: int) -> None:
        for collection_id in self._covered:
            if kind_of(collection_id) == CALLS and owner_of(collection_id) == owner:
                self._collections.hint(collection_id)

    async def _subscribe(self, socket: MessageStream) -> None:
        """Makes the subscription cover what is loaded, and nothing else, since only that is synced."""
        if self._covered:  # A recovered connection delivers the notifications that were missed.
            self._tell_covered(self._covered)
        while True:
            wanted = await self._collections.wait_loaded(self._kinds(), self._covered)
            if self._covered:
                await trio.sleep(_SETTLE_S)
                wanted = self._collections.loaded(*self._kinds()) or self._covered
            # The months of a call log have one subscription.
            before = _filters(self._covered)
            if _filters(wanted) != before and not await self._ask(socket, wanted):
                continue
            self._covered = wanted
            self._tell_covered(wanted)
            for collection_id in wanted:
                if _filter(collection_id) not in before:
                    self._collections.doubt(collection_id)  # for what happened before the subscription

    def _kinds(self) -> tuple[str, ...]:
        """The kinds of collections that the app may have notifications about."""
        if self._calls_refused or self._rights.lacks(CALL_CONTROL):
            return (MAILBOX,)
        return (MAILBOX, CALLS)

    def _tell_covered(self, collection_ids: frozenset[str]) -> None:
        if self._since_s is None:
            self._since_s = self._context.wall_clock()
            self._context.recorder.note("hints", mailboxes=len(_owners(MAILBOX, collection_ids)))
        self._collections.listen(collection_ids)

    async def _ask(self, socket: MessageStream, collection_ids: frozenset[str]) -> bool:
        """Creates the subscription, or changes it, so that it covers `collection_ids`.

        Returns:
            False if the server refuses, perhaps because of the calls: later ones must not have them.

        Raises:
            PlatformError: The server refused for another reason.
            TransportError: The server did not answer.
        """
        extension_ids, callers = _owners(MAILBOX, collection_ids), _owners(CALLS, collection_ids)
        for _attempt in range(_ATTEMPTS):
            operation = "updateSubscription" if self._subscription_id else "createSubscription"
            options = RequestOptions(Priority.METADATA, label="subscription")
            async with self._context.lane.gate.slot(operation, MEDIUM, options) as slot:
                frame = await self._question(
                    socket,
                    lambda number: subscription_frame(number, extension_ids, self._subscription_id, callers),
                )
                slot.answered(frame.status, frame.rate, frame.retry_after_s)
            if frame.status < 400:
                self._subscription_id = frame.subscription_id
                return True
            if frame.status == 404 and self._subscription_id:
                self._subscription_id = ""  # It has ended; create another one.
            elif frame.status == 403 and callers:
                self._calls_refused = True
                self._context.recorder.note("no hints about calls")
                return False
            elif frame.status != 429:
                raise frame.refusal("createSubscription")
        raise RateLimitedError(f"the server refused the subscription to notifications {_ATTEMPTS} times")

    async def _question(self, socket: MessageStream, text_of: Callable[[str], str]) -> Frame:
        """Sends `text_of` a new number over the connection, and returns the answer.

        Raises:
            TransportError: The server did not answer in time.
        """
        number = f"rcfs-{next(self._numbers)}"
        self._questions[number], answer = trio.open_memory_channel[Frame](1)
        with trio.move_on_after(_ANSWER_WITHIN_S):
            await socket.send(text_of(number))
            return await answer.receive()
        raise TransportError("the server did not answer a request on the WebSocket")

    async def _beat(self, socket: MessageStream) -> None:
        """Sends heartbeats, and ends a connection that has fallen silent.

        Raises:
            TransportError: The server did not answer a heartbeat in time.
        """
        while True:
            await trio.sleep(_BEAT_S)
            self._heard = heard = trio.Event()
            with trio.move_on_after(_ANSWER_WITHIN_S):
                await socket.send(heartbeat_frame(f"rcfs-{next(self._numbers)}"))
                await heard.wait()
            if not heard.is_set():
                raise TransportError("the server did not answer a heartbeat on the WebSocket")


def _filter(collection_id: str) -> tuple[str, int]:
    """(kind, owner): what a subscription distinguishes."""
    return kind_of(collection_id), owner_of(collection_id)


def _filters(collection_ids: Iterable[str]) -> frozenset[tuple[str, int]]:
    return frozenset(map(_filter, collection_ids))


def _owners(kind: str, collection_ids: Iterable[str]) -> frozenset[int]:
    """The owners of the collections of a kind."""
    return frozenset(owner for each, owner in _filters(collection_ids) if each == kind)
