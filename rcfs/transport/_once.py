"""Requests that are not repeatable, for callers that keep on the disk whether theirs may have been sent."""

from collections.abc import Awaitable, Callable

import trio

from rcfs.errors import (
    AuthError,
    ForbiddenError,
    OfflineError,
    PlatformError,
    RateLimitedError,
    ServerError,
    UnreachableError,
)
from rcfs.platform import Answer, Request
from rcfs.transport._gate import RequestOptions
from rcfs.transport._requester import Requester

_NOT_SENT = (UnreachableError, OfflineError, RateLimitedError, AuthError)


def is_by_proxy(error: PlatformError) -> bool:
    """Whether a refusal is not the platform's, which always has a code, but that of a captive portal."""
    return isinstance(error, ForbiddenError) and not error.code


def is_undone(error: PlatformError) -> bool:
    """Whether a request that ended with `error` was certainly not carried out, and may be later."""
    return isinstance(error, _NOT_SENT) or is_by_proxy(error)


class UnrepeatableRequest:
    """One such request, from the wait for its slot to the end of its answer."""

    def __init__(self, request: Request, *, answer_s: float) -> None:
        """`answer_s` is the time for the body of the answer, in seconds."""
        self._request = request
        self._answer_s = answer_s
        self.is_unsent = True
        """Whether it has not been sent, or no attempt so far was carried out."""

    async def run(
        self,
        requester: Requester,
        use: Callable[[Answer], Awaitable[None]],
        options: RequestOptions,
        *,
        withdraw: Callable[[], Awaitable[object]],
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        """Sends it, and gives the answer to `use`, which ends even if the task is cancelled.

        Args:
            requester: Sends it.
            use: Reads the answer.
            options: See `Requester.run`.
            withdraw: Notes that nothing was sent, if the request was cancelled, or failed otherwise than with
                a PlatformError, before it was sent. It has `answer_s`, even if the task is cancelled.
            confirm: See `Requester.run`.

        Raises:
            PlatformError, AbandonedError: See `Requester.run`.
        """
        has_failed = False

        def plan() -> Request:
            self.is_unsent = True  # An attempt before this one was certainly not carried out.
            return self._request

        def sending() -> None:
            confirm()
            self.is_unsent = False

        async def read(answer: Answer) -> None:
            try:
                with trio.fail_after(self._answer_s, shield=True):
                    await use(answer)
            except trio.TooSlowError as exc:
                raise ServerError(f"{self._request.operation}: the answer does not end") from exc

        try:
            await requester.run(plan, read, options, confirm=sending)
        except PlatformError:
            has_failed = True
            raise
        finally:
            if self.is_unsent and not has_failed:
                with trio.move_on_after(self._answer_s, shield=True):
                    await withdraw()
