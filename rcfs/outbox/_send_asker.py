"""The requests that bring a send forward: the one that sends, and looks for a message whose answer is lost.

The request that sends is made at most once for each `SendState.ASKED`, which is on the disk before it; its
result is on the disk as soon as its answer is there, even if the task is cancelled meanwhile.
"""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trio

from rcfs.errors import (
    NotReadyError,
    PlatformError,
    StoreError,
    UncertainError,
)
from rcfs.model import Message, Priority, Send, SendKind, SendState, send_words
from rcfs.outbox import _send_course as course
from rcfs.platform import (
    Answer,
    decoded_object,
    is_missing_scope,
    list_sent,
    send_message,
    sent_message,
    sent_messages,
)
from rcfs.transport import (
    AbandonedError,
    Recorder,
    Requester,
    RequestOptions,
    UnrepeatableRequest,
    is_undone,
)

SCOPES = {SendKind.SMS: "SMS", SendKind.MMS: "SMS", SendKind.FAX: "Faxes", SendKind.PAGE: "InternalMessages"}
"""The scope that each kind needs. Source: ``x-app-permission`` of the operations."""
_ANSWER_S = 10.0
"""Time for the body of the answer to a sent message, in seconds, even if the task is cancelled."""

Save = Callable[[Send, Send], Awaitable[bool]]
"""Replaces a send by its next value; False if it has changed meanwhile."""


class _DroppedError(AbandonedError):
    """The message was dropped while its request waited for a slot."""


class SendAsker:
    """Sends messages and looks for them; see `Sends` for who calls it when."""

    def __init__(
        self,
        requester: Requester,
        recorder: Recorder,
        *,
        save: Save,
        is_wanted: Callable[[Send], bool],
        paths: Callable[[Send], Sequence[Path]],
        note_refusal: Callable[[SendKind, str], Awaitable[None]],
        note_messages: Callable[[Sequence[Message]], None],
        now_s: Callable[[], float],
    ) -> None:
        """`is_wanted` tells whether a send is still as it was, and `paths` where its files are kept.

        `note_refusal` remembers that the login may not send a kind, and `note_messages` messages that the
        platform has; `now_s` gives the platform's time, in seconds since 1970 UTC.
        """
        self._requester = requester
        self._recorder = recorder
        self._save = save
        self._is_wanted = is_wanted
        self._paths = paths
        self._note_refusal = note_refusal
        self._note_messages = note_messages
        self._now_s = now_s
        self._requests: dict[str, UnrepeatableRequest] = {}
        """The requests under way, by the ids of their sends."""

    async def send(self, before: Send) -> None:
        """Sends a waiting message; failures become part of the send.

        Raises:
            StoreError: The outbox cannot be written.
        """
        asked = course.asking(before, self._now_s())
        if not await self._save(before, asked):
            return
        request = send_message(asked.outgoing, self._paths(asked), f"rcfs-{asked.id}")
        once = self._requests[asked.id] = UnrepeatableRequest(request, answer_s=_ANSWER_S)

        def confirm() -> None:
            if not self._is_wanted(asked):
                raise _DroppedError("the message was dropped")

        async def withdraw() -> None:
            await self._save(asked, course.not_asked(before, None, self._now_s()))

        try:
            await once.run(
                self._requester,
                lambda answer: self._take(asked, answer, request.operation),
                self._options(asked),
                withdraw=withdraw,
                confirm=confirm,
            )
        except AbandonedError:
            pass  # It was dropped.
        except (UncertainError, StoreError) as exc:
            self._recorder.failure("send", exc)
            await self._save(asked, course.lost(asked, exc, self._now_s()))
        except PlatformError as exc:
            await self._save(asked, await self._after_refusal(asked, before, exc))
        finally:
            del self._requests[asked.id]

    def is_unsent(self, send_id: str) -> bool:
        """Whether the request of a send still waits for its slot, so that the send can be dropped."""
        request = self._requests.get(send_id)
        return request is not None and request.is_unsent

    async def look(self, asked: Send, claimed: Callable[[], set[int]]) -> None:
        """Looks for a message whose answer is lost; `claimed` are the ids of the messages of other sends.

        Raises:
            StoreError: The outbox cannot be written.
        """
        request = list_sent(asked.outgoing.kind.type, course.since_s(asked))
        try:
            messages = await self._requester.read(request, sent_messages, self._options(asked))
        except PlatformError as exc:
            self._recorder.failure("send", exc)
            await self._save(asked, course.look_failed(asked, self._now_s()))
        else:
            self._note_messages(messages)
            after = course.looked(asked, messages, claimed(), self._now_s())
            if after.state in (SendState.UNKNOWN, SendState.REFUSED):
                self._recorder.fault("send", send_words(after))
            await self._save(asked, after)

    async def _take(self, asked: Send, told: Answer, operation: str) -> None:
        body = await told.body()

        def parse() -> Message:
            return sent_message(decoded_object(body, operation))

        message = await trio.to_thread.run_sync(parse)
        self._note_messages((message,))
        await self._save(asked, course.accepted(asked, message, self._now_s()))

    async def _after_refusal(self, asked: Send, before: Send, error: PlatformError) -> Send:
        """The send after the platform has not taken it."""
        now_s = self._now_s()
        if is_undone(error) or isinstance(error, NotReadyError):
            return course.not_asked(before, error, now_s)
        self._recorder.failure("send", error)
        if is_missing_scope(error):
            kind = asked.outgoing.kind
            because = f"the app lacks the scope {SCOPES[kind]} ({error.code})"
            await self._note_refusal(kind, because)
            return course.refused(asked, because, now_s)
        return course.refused(asked, str(error), now_s)

    @staticmethod
    def _options(send: Send) -> RequestOptions:
        # A person waits for it, but a script that sends a hundred must not delay what others read.
        return RequestOptions(Priority.METADATA, label=f"send {send.outgoing.kind.value}")
