"""What can go wrong with an answer: each effect does on the wire just what its name says.

An effect overrides one step of answering: what is answered, which bytes, which headers, or how it is sent.
"""

# ruff: noqa: ARG002 - every step is offered all that any effect needs for it

from typing import ClassVar

import attrs

from rcfs.simulator._backend import Call
from rcfs.simulator._delivery import Delivery
from rcfs.simulator._police import BucketKey
from rcfs.simulator._wire import (
    JSON_TYPE,
    Answer,
    ApiError,
    Part,
    Span,
    json_answer,
    rate_headers,
    retry_after,
)

UNTOLD_PENALTY_S = 30.0
"""Penalty of a 429 without Retry-After, in seconds: the least that a client is told to wait then."""


@attrs.frozen
class Effect:
    """What a fault does; this one does nothing, each kind overrides a single step."""

    needs_content: ClassVar[bool] = False
    """Befalls only operations that answer with a content."""
    needs_login: ClassVar[bool] = False
    """Befalls only operations that have a login."""

    def replace(self, call: Call) -> Answer | None:
        """The answer instead of the handler's; None to ask the handler."""
        return None

    def reshape(self, span: Span, size_bytes: int) -> Span:
        """Which bytes are answered instead of `span` of a content of `size_bytes`."""
        return span

    def edit(self, answer: Answer) -> Answer:
        """The answer instead of `answer`."""
        return answer

    def delivery(self, size_bytes: int) -> Delivery:
        """How a body of `size_bytes` is sent."""
        return Delivery()


def _within(at_byte: int | None, size_bytes: int) -> int:
    """A place before the end of a body: `at_byte`, or the middle for None; 0 in an empty body."""
    place = size_bytes // 2 if at_byte is None else at_byte
    return max(0, min(place, size_bytes - 1))


@attrs.frozen
class Reset(Effect):
    """Resets the connection instead of answering."""

    def delivery(self, size_bytes: int) -> Delivery:
        """A reset before the first byte."""
        return Delivery(reset_first=True)


@attrs.frozen
class ResetBody(Effect):
    """Resets the connection in the middle of the body."""

    at_byte: int | None = None
    """After so many bytes, and before the last; None for half."""

    def delivery(self, size_bytes: int) -> Delivery:
        """A reset at the byte."""
        return Delivery(reset_at=_within(self.at_byte, size_bytes))


@attrs.frozen
class Truncate(Effect):
    """Ends the body in an orderly way, and too early: Content-Length promises more."""

    at_byte: int | None = None
    """After so many bytes, and before the last; None for half."""

    def delivery(self, size_bytes: int) -> Delivery:
        """An end at the byte."""
        return Delivery(truncate_at=_within(self.at_byte, size_bytes))


@attrs.frozen
class Stall(Effect):
    """Stops in the middle of the body, and then goes on."""

    for_s: float
    """How long it stops, in seconds."""
    at_byte: int | None = None
    """After so many bytes, and before the last; None for half."""

    def delivery(self, size_bytes: int) -> Delivery:
        """A stop at the byte."""
        return Delivery(stall_at=_within(self.at_byte, size_bytes), stall_s=self.for_s)


@attrs.frozen
class Trickle(Effect):
    """Sends the body in small pieces, slowly."""

    piece_bytes: int = attrs.field(default=1024, validator=attrs.validators.ge(1))
    """Size of a piece."""
    pause_s: float = 0.1
    """Seconds between two pieces."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Small pieces."""
        return Delivery(piece_bytes=self.piece_bytes, pause_s=self.pause_s)


@attrs.frozen
class Slow(Effect):
    """Begins to answer late."""

    delay_s: float
    """Seconds before the answer begins."""

    def delivery(self, size_bytes: int) -> Delivery:
        """A delay."""
        return Delivery(delay_s=self.delay_s)


@attrs.frozen
class Chunked(Effect):
    """Sends the body chunked, without saying its length."""

    def delivery(self, size_bytes: int) -> Delivery:
        """No Content-Length."""
        return Delivery(chunked=True)


@attrs.frozen
class Gzip(Effect):
    """Compresses the body, whatever the client accepts."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Content-Encoding: gzip."""
        return Delivery(gzip=True)


@attrs.frozen
class UnaskedPartial(Effect):
    """Answers 206 with only the first part of what was asked for."""

    needs_content = True
    first_bytes: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.ge(1))
    )
    """Length of that part, always less than the whole (if that has two bytes); None for half."""

    def reshape(self, span: Span, size_bytes: int) -> Span:
        """The first part of `span`."""
        length = max(1, _within(self.first_bytes, span.stop - span.start))
        return Span(span.start, span.start + length, partial=True)


@attrs.frozen
class IgnoredRange(Effect):
    """Answers 200 with everything, whatever range was asked for."""

    needs_content = True

    def reshape(self, span: Span, size_bytes: int) -> Span:
        """The whole content."""
        return Span(0, size_bytes, partial=False)


@attrs.frozen
class WrongContentRange(Effect):
    """Answers 206 with the right bytes and a Content-Range that names others."""

    needs_content = True
    shift_bytes: int = 1
    """How far the named bytes lie behind the ones that are sent."""

    def reshape(self, span: Span, size_bytes: int) -> Span:
        """The bytes as asked for, as a 206."""
        return Span(span.start, span.stop, partial=True)

    def edit(self, answer: Answer) -> Answer:
        """`answer` with the other Content-Range."""
        if not isinstance(answer.body, Part):
            return answer
        first, last = answer.body.start + self.shift_bytes, answer.body.stop - 1 + self.shift_bytes
        size = answer.headers["Content-Range"].rpartition("/")[2]
        return answer.with_headers({"Content-Range": f"bytes {first}-{last}/{size}"})


@attrs.frozen
class MissingContentRange(Effect):
    """Answers 206 with the right bytes and no Content-Range."""

    needs_content = True

    def reshape(self, span: Span, size_bytes: int) -> Span:
        """The bytes as asked for, as a 206."""
        return Span(span.start, span.stop, partial=True)

    def edit(self, answer: Answer) -> Answer:
        """`answer` without Content-Range."""
        headers = {name: value for name, value in answer.headers.items() if name != "Content-Range"}
        return attrs.evolve(answer, headers=headers)


@attrs.frozen
class Status(Effect):
    """Fails with a 5xx (or another status) in the API's envelope."""

    status: int = attrs.field(
        default=503, validator=attrs.validators.and_(attrs.validators.ge(400), attrs.validators.le(599))
    )
    """HTTP status."""
    retry_after_s: int | None = None
    """``Retry-After`` in seconds; None leaves it out."""

    def replace(self, call: Call) -> Answer:
        """The failure."""
        error = {"errorCode": "CMN-203", "message": "Service Temporary Unavailable"}
        return json_answer(
            {**error, "errors": [error]}, status=self.status, headers=retry_after(self.retry_after_s)
        )


@attrs.frozen
class ExpiredToken(Effect):
    """Lets the access token expire at this very request: 401, and nothing but a refresh helps."""

    needs_login = True

    def replace(self, call: Call) -> Answer:
        """The refusal."""
        if call.session is not None:
            call.backend.auth.expire(call.session)
        return ApiError(401, "OAU-213", "Token not found").answer


@attrs.frozen
class RateLimited(Effect):
    """Answers 429 although there was budget, as other users of it or an emergency limit would cause.

    It starts a true penalty, which every request that comes too early restarts.
    """

    headers: bool = True
    """With ``X-Rate-Limit-*``, a penalty of the group; without, one of everything of the login."""
    retry_after_s: int | None = None
    """``Retry-After`` in seconds, and the length of the penalty; None leaves the header out, and the
    penalty is `UNTOLD_PENALTY_S`."""
    code: str = "CMN-301"
    """Error code, such as CMN-304 for a duplicate concurrent request."""

    def replace(self, call: Call) -> Answer:
        """The refusal."""
        police, now, group = call.backend.police, call.backend.clock(), call.operation.group
        penalty_s = UNTOLD_PENALTY_S if self.retry_after_s is None else self.retry_after_s
        user = "" if call.session is None else str(call.session.user)
        headers = retry_after(self.retry_after_s)
        if self.headers:
            police.punish(BucketKey(user, call.client, group), now, penalty_s)
            headers |= rate_headers(group, police.plans[group], remaining=0)
        else:
            police.freeze(user, call.client, now, penalty_s)
        answer = ApiError(429, self.code, "Request rate exceeded", headers=headers).answer
        return attrs.evolve(answer, has_rate_headers=False)


@attrs.frozen
class Html(Effect):
    """Fails with a page of HTML, as a proxy in between does."""

    status: int = attrs.field(
        default=502, validator=attrs.validators.and_(attrs.validators.ge(200), attrs.validators.le(599))
    )
    """HTTP status."""

    def replace(self, call: Call) -> Answer:
        """The page."""
        return Answer(
            self.status,
            {"Content-Type": "text/html"},
            b"<html><body><h1>Bad Gateway</h1></body></html>",
            has_rate_headers=False,
        )


@attrs.frozen
class MalformedJson(Effect):
    """Answers 200 with JSON that breaks off."""

    def replace(self, call: Call) -> Answer:
        """Half of an object."""
        return Answer(200, {"Content-Type": JSON_TYPE}, b'{"records": [{"id": ')


@attrs.frozen
class Redirect(Effect):
    """Sends the client elsewhere, with the same path and query."""

    to: str = "media"
    """``media``, ``platform``, or an origin such as ``http://localhost:9``."""
    status: int = attrs.field(default=302, validator=attrs.validators.in_((301, 302, 303, 307, 308)))
    """HTTP status."""

    def replace(self, call: Call) -> Answer:
        """The redirection."""
        endpoints = call.backend.endpoints
        origins = {"media": endpoints.media_url, "platform": endpoints.platform_url}
        return Answer(self.status, {"Location": origins.get(self.to, self.to) + call.target})


@attrs.frozen
class NotReady(Effect):
    """Answers MSG-368: the fax is still being processed."""

    needs_content = True
    status: int = 404
    """HTTP status; unknown, so the one that is most easily mistaken for "no such content"."""

    def replace(self, call: Call) -> Answer:
        """The refusal."""
        return ApiError(self.status, "MSG-368", "Fax is still being processed").answer
