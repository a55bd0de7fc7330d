"""Hints: the platform says over a WebSocket in which mailbox something happened, and that one is synced.

A hint is no more than a reason to sync: nothing is taken from a notification but whose mailbox it is about,
and polling goes on, more slowly. Where there is no WebSocket, polling is as it always was.

What it costs: one request of the auth group for every connection, and one of the medium group for telling
which mailboxes are meant, again when others have been loaded. Who is not allowed is told so once a day.

Concurrency: all methods run in the trio thread. There is one connection at a time; its tasks end with it.
"""

import itertools
import json
import random
from collections.abc import Callable

import attrs
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
from rcfs.mailbox._context import Context
from rcfs.mailbox._mailboxes import Mailboxes
from rcfs.model import Priority, iso_time
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
from rcfs.transport import Demand, run_together

_SCOPE = "websocket"
"""What the name of the scope begins with that lets an app open a WebSocket, in lower case: the official
description calls it ``WebSocket``, consoles have ``WebSocketsSubscription``."""
_ASK_AGAIN_S = 86_400.0
"""How long a refusal is taken for true: scopes and permissions are changed hardly ever."""
_LOOK_EVERY_S = 3600.0
"""How often to look whether that is over."""
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 600.0
"""Bounds of the pause before another connection, which doubles with every failure. Each needs one of the five
requests of the auth group that a login may need in the same minute; ten minutes of polling lose nothing."""
_STEADY_S = 60.0
"""A connection that lived so long was none of a series of failures."""
_ANSWER_WITHIN_S = 30.0
"""Longest wait for the first frame, and for an answer to what was asked over the connection."""
_BEAT_S = 60.0
"""Time between two heartbeats. The platform gives up after half an hour of silence, routers forget idle
connections after some minutes, and a dead peer should be noticed before a person notices."""
_SETTLE_S = 20.0
"""So long after a mailbox was loaded for the first time the subscription is changed: others may follow, and
each change costs a request."""
_ATTEMPTS = 3
"""429 answers to a subscription that are waited out within one connection."""


@attrs.define(eq=False)
class _Question:
    """Something asked over the connection."""

    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: Frame | None = None


class Hints:
    """Keeps one WebSocket open, and passes on what it tells; `run` it once."""

    def __init__(
        self, context: Context, mailboxes: Mailboxes, jitter: Callable[[], float] = random.random
    ) -> None:
        """Prepares; `jitter` gives numbers from 0 to 1."""
        self._context = context
        self._topic = f"hints {context.login}"
        self._mailboxes = mailboxes
        self._jitter = jitter
        self._numbers = itertools.count(1)
        self._questions: dict[str, _Question] = {}
        self._heard = trio.Event()
        self._recovery = ""
        self._subscription_id = ""
        self._covered: frozenset[int] = frozenset()
        self._since_s: float | None = None
        self._off_because = "no mailbox was looked into yet"

    def status(self) -> HintsStatus:
        """Whether hints come, and why not."""
        on = self._since_s is not None
        return HintsStatus(
            state="on" if on else "off",
            since=None if self._since_s is None else iso_time(self._since_s),
            mailboxes=len(self._covered) if on else 0,
            off_because=None if on else self._off_because,
        )

    async def run(self) -> None:
        """Passes hints on for as long as the account is used; without leave it waits until there is some."""
        failures = 0
        while True:
            await self._mailboxes.wait_loaded(frozenset())
            await self._context.network.wait_up()
            if self._refused_already():
                await trio.sleep(_LOOK_EVERY_S)
                continue
            begun_s = trio.current_time()
            try:
                await self._connect()
                self._off_because = "the server has closed the connection"
            except (ForbiddenError, NotFoundError, BadRequestError) as exc:
                await self._refused(f"the server does not allow it ({exc.code})" if exc.code else str(exc))
                continue
            except RcfsError as exc:
                self._off_because = str(exc)
                if not isinstance(exc, (OfflineError, UnreachableError)):
                    self._context.recorder.failure("hints", exc)
            except Exception as exc:  # noqa: BLE001 - without hints the mount is as good as without a WebSocket
                self._off_because = "something went wrong, see the log"
                self._context.recorder.crash("hints", exc)
            failures = 1 if trio.current_time() - begun_s >= _STEADY_S else failures + 1
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (failures - 1))
            # Half of it by chance, so that all who were cut off do not come back at the same moment.
            await trio.sleep(pause_s * (1 + self._jitter()) / 2)

    def _refused_already(self) -> bool:
        try:
            note = self._context.index.reader.noted(self._topic)
        except StoreError:
            return False
        if note is None or self._context.age_s(note.noted_s) >= _ASK_AGAIN_S:
            return False
        self._off_because = json.loads(note.text)
        return True

    async def _refused(self, reason: str) -> None:
        self._off_because = reason
        self._context.recorder.note("no hints", reason=reason)
        try:
            await self._context.note(self._topic, json.dumps(reason))
        except StoreError as exc:
            self._context.recorder.fault("hints", str(exc))
            await trio.sleep(_LOOK_EVERY_S)  # It cannot be remembered, so it is waited for.

    async def _connect(self) -> None:
        """One connection from its token to its end; returns when the server has closed it.

        Raises:
            RcfsError: Why there is none, or none any more.
        """
        demand = Demand(Priority.METADATA, attempts=1, label="notifications")
        await self._context.lane.session.token(demand)
        scopes = self._context.lane.session.scopes
        if scopes and not any(scope.lower().startswith(_SCOPE) for scope in scopes):
            raise ForbiddenError("the app has not the scope WebSocket")
        access = await self._context.requester.read(socket_token(), socket_access, demand)
        try:
            async with self._context.client.open_socket(access.url(self._recovery)) as socket:
                await self._serve(socket)
        finally:
            self._since_s = None
            self._questions.clear()
            self._mailboxes.listen(frozenset())

    async def _serve(self, socket: MessageStream) -> None:
        """Hears what the server tells until it closes the connection."""
        await self._begin(socket)
        await run_together(
            (lambda: self._hear(socket), lambda: self._subscribe(socket), lambda: self._beat(socket)),
            until_one_returns=True,
        )

    async def _begin(self, socket: MessageStream) -> None:
        """Takes the first frame, which says what has become of the connection before this one."""
        frame = None
        with trio.move_on_after(_ANSWER_WITHIN_S):
            text = await socket.receive()
            frame = None if text is None else frame_from(text)
        if frame is None:
            raise TransportError("the WebSocket said nothing")
        if frame.kind != "ConnectionDetails":
            raise ServerError(f"the WebSocket was refused: {frame.refusal('notifications')}")
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
                question.answer = frame
                question.answered.set()
            elif frame.kind == "ServerNotification" and frame.told_extension in self._covered:
                self._mailboxes.hint(frame.told_extension)
            elif frame.kind == "Error":
                raise ServerError(str(frame.refusal("notifications")))

    async def _subscribe(self, socket: MessageStream) -> None:
        """Keeps the subscription about the mailboxes that were loaded: of others nothing is to be synced."""
        if self._covered:  # A recovered connection has told, or will tell, what was missed.
            self._tell_covered(self._covered)
        while True:
            wanted = await self._mailboxes.wait_loaded(self._covered)
            if self._covered:
                await trio.sleep(_SETTLE_S)
                wanted = self._mailboxes.loaded or self._covered
            if wanted != self._covered:
                await self._ask(socket, wanted)
            new, self._covered = wanted - self._covered, wanted
            self._tell_covered(wanted)
            for extension_id in new:
                self._mailboxes.hint(extension_id)  # for what happened before anybody listened

    def _tell_covered(self, extension_ids: frozenset[int]) -> None:
        if self._since_s is None:
            self._since_s = self._context.wall_clock()
            self._context.recorder.note("hints", mailboxes=len(extension_ids))
        self._mailboxes.listen(extension_ids)

    async def _ask(self, socket: MessageStream, extension_ids: frozenset[int]) -> None:
        """Subscribes.

        Raises:
            PlatformError: The server refused.
            TransportError: It did not answer.
        """
        for _attempt in range(_ATTEMPTS):
            operation = "updateSubscription" if self._subscription_id else "createSubscription"
            demand = Demand(Priority.METADATA, label="subscription")
            async with self._context.lane.gate.slot(operation, MEDIUM, demand) as slot:
                frame = await self._question(
                    socket,
                    lambda number: subscription_frame(number, extension_ids, self._subscription_id),
                )
                slot.answered(frame.status, frame.rate, frame.retry_after_s)
            if frame.status < 400:
                self._subscription_id = frame.subscription_id
                return
            if frame.status == 404 and self._subscription_id:
                self._subscription_id = ""  # It has ended, for whatever reason: another one.
            elif frame.status != 429:
                raise frame.refusal("createSubscription")
        raise RateLimitedError("the subscription to notifications is refused again and again")

    async def _question(self, socket: MessageStream, text_of: Callable[[str], str]) -> Frame:
        """The answer to what is asked over the connection."""
        number = f"rcfs-{next(self._numbers)}"
        question = self._questions[number] = _Question()
        with trio.move_on_after(_ANSWER_WITHIN_S):
            await socket.send(text_of(number))
            await question.answered.wait()
        if question.answer is None:
            raise TransportError("a question over the WebSocket was not answered")
        return question.answer

    async def _beat(self, socket: MessageStream) -> None:
        """Sends a heartbeat from time to time, and ends a connection that has fallen silent."""
        while True:
            await trio.sleep(_BEAT_S)
            self._heard = heard = trio.Event()
            with trio.move_on_after(_ANSWER_WITHIN_S):
                await socket.send(heartbeat_frame(f"rcfs-{next(self._numbers)}"))
                await heard.wait()
            if not heard.is_set():
                raise TransportError("the WebSocket has fallen silent")
