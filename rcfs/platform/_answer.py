"""One answer of the server whose headers have arrived: what they say, and the body in pieces."""

import contextlib
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx
import trio

from rcfs.errors import ServerError, TransportError
from rcfs.model import RateHeaders, UsageGroup
from rcfs.platform._coding import Inflater, codings_of
from rcfs.platform._errors import translated

BODY_GAP_S = 30.0
"""Longest silence within a body before the connection counts as dead. A guess: the documentation names
none; a stall costs one more request, so it is generous."""

_SLOW_S = 60.0
_SLOW_BYTES = 16 << 10
"""A body that brings less than this in so many seconds of waiting counts as dead, too: a modem of the
nineties brings ten times as much, and one byte every 29 s would otherwise hold a request for ever."""

BODY_WITHIN_S = 300.0
"""Longest time for a body that is read whole. A page of 1,000 messages is about 1 MB: half a minute on the
slowest mobile connection, and the largest one that is taken needs 55 kB/s."""

MAX_JSON_BYTES = 16 << 20
"""Largest JSON answer. The largest is a page of 1,000 records: of texts it is about 1 MB, and a fax to 50
recipients, the most that a record can list, takes 10 kB. 16 KiB for each of 1,000 leave room for more."""

MAX_JSON_VALUES = 1_000_000
"""Most values of a JSON answer, because small ones take up to thirty times their bytes when they are decoded.
A record of a text has 40, that fax has 500; a thousand for each of 1,000 records take 100 MB at most."""

_UNDONE = frozenset({"gzip", "deflate"})
"""Content codings that are undone. None is asked for, but a proxy may compress all the same."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string of JSON, or the beginning of one that does not end: what it holds is no value."""
_SEPARATORS = (b",", b"{", b"[")

_LAST_DATE_S = 4_102_444_800.0
"""2100-01-01 UTC, in seconds since 1970. The server's time is written into requests: a date near the year
10000, where calendars end, would make that fail."""

_GROUP = re.compile(r"[a-z0-9][a-z0-9 ._-]{0,63}", re.ASCII)
"""The name of a usage plan group, in lower case; what is none would stand in logs and in the ledger."""

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII | re.IGNORECASE)


class Answer:
    """The answer to one request; valid inside the context that gave it."""

    def __init__(self, response: httpx.Response, *, waited_s: float = 0.0) -> None:
        self._response = response
        self._headers = _headers_of(response)
        self._stream = _raw_pieces(response)
        codings = codings_of(self._headers.get("content-encoding", ""))
        self._codings = () if response.is_stream_consumed else tuple(codings)
        self._inflater: Inflater | None = None
        if len(self._codings) == 1 and self.readable:
            self._inflater = Inflater(self._codings[0])
        self._begun = self._has_data = False
        self._slow_s = 0.0
        self._slow_bytes = 0
        """What came, and how long it was waited for, since the pace of the body was last judged."""
        self.ended = False
        """Whether all of the body has come, so that nothing is left to be dropped or closed."""
        self.waited_s = waited_s
        """Seconds from the sending of the request to these headers, a new connection included."""

    @property
    def status(self) -> int:
        """HTTP status code."""
        return self._response.status_code

    @property
    def request_id(self) -> str:
        """``RCRequestId``, which RingCentral's support asks for; empty when absent."""
        return self._headers.get("rcrequestid", "")

    @property
    def content_type(self) -> str:
        """``Content-Type`` with its parameters; empty when absent."""
        return self._headers.get("content-type", "")

    @property
    def media_type(self) -> str:
        """``Content-Type`` without parameters, in lower case; empty when absent."""
        return self._headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def encoded(self) -> bool:
        """Whether a content coding such as gzip lies on the body, so that lengths count other bytes."""
        return bool(codings_of(self._headers.get("content-encoding", "")))

    @property
    def readable(self) -> bool:
        """Whether the pieces of the body are the bytes that were meant: no coding stays on them.

        One coding is undone. A second one around it is never asked for, and would make gigabytes of a few kB.
        """
        return len(self._codings) < 2 and _UNDONE.issuperset(self._codings)

    @property
    def content_length(self) -> int | None:
        """``Content-Length`` in bytes; None when absent or chunked."""
        return _number(self._headers.get("content-length"))

    @property
    def content_range(self) -> tuple[int | None, int | None, int | None]:
        """``Content-Range`` as (start, stop, total) in bytes, stop exclusive; None for what it lacks."""
        match = _CONTENT_RANGE.fullmatch(self._headers.get("content-range", "").strip())
        if match is None:
            return None, None, None
        first, last, total = match.groups()
        start = None if first is None else int(first)
        stop = None if last is None else int(last) + 1
        if start is not None and stop is not None and stop <= start:
            return None, None, None
        return start, stop, None if total == "*" else int(total)

    @property
    def location(self) -> str:
        """Absolute URL that a redirect points to; empty when it names none."""
        target = self._headers.get("location")
        if not target:
            return ""
        try:
            return str(self._response.url.join(target))
        except (httpx.InvalidURL, ValueError):  # idna's errors are ValueErrors
            return ""

    @property
    def rate(self) -> RateHeaders | None:
        """The ``X-Rate-Limit-*`` headers; None without a group: then this is no user-level answer."""
        return rate_headers(self._headers)

    @property
    def retry_after_s(self) -> float | None:
        """``Retry-After`` in seconds; None when absent. A date counts from the server's own ``Date``."""
        return retry_after_s(self._headers)

    @property
    def date_s(self) -> float | None:
        """``Date`` of the server, in seconds since 1970 UTC; None when absent."""
        return _date(self._headers.get("date", ""))

    async def receive(self) -> bytes:
        """The next piece of the body, decoded, as it arrives; empty at the end of the body.

        Raises:
            TransportError: The connection ended early, was silent for BODY_GAP_S or is far too slow, or the
                body is not in the coding that it should be in.
        """
        self._begun = True
        with translated(self._response.url.host), trio.fail_after(BODY_GAP_S):
            # Whatever the size of its pieces, a body that comes faster than it is used lets others run.
            await trio.lowlevel.checkpoint()
            piece = await self._inflated(self._inflater) if self._inflater else await self._raw()
        self.ended = not piece
        return piece

    async def _raw(self) -> bytes:
        """The next piece of the body as it was sent."""
        since_s = trio.current_time()
        piece = await anext(self._stream, b"")
        self._slow_s += trio.current_time() - since_s
        self._slow_bytes += len(piece)
        if self._slow_s >= _SLOW_S:
            if piece and self._slow_bytes < _SLOW_BYTES:
                raise TransportError(f"{self._response.url.host} sends hardly anything any more")
            self._slow_s, self._slow_bytes = 0.0, 0
        return piece

    async def _inflated(self, inflater: Inflater) -> bytes:
        """The next piece of the body after undoing its coding."""
        host = self._response.url.host
        try:
            while not (piece := inflater.take()):
                data = await self._raw()
                if not data:
                    if self._has_data and inflater.is_partial:
                        raise TransportError(f"the compressed answer of {host} ended early")
                    return b""
                self._has_data = True
                inflater.feed(data)
        except zlib.error as exc:
            raise TransportError(f"cannot decode the answer of {host} ({exc})") from exc
        return piece

    async def drop(self) -> None:
        """Ends the body where it is; nothing may be received afterwards.

        httpx's generators lie in one another, and one that is closed leaves those within to the garbage
        collector. A cancellation that comes from the innermost one ends them all.
        """
        # Whatever a broken body raises: nobody wants it any more.
        with trio.CancelScope() as scope, contextlib.suppress(Exception):
            scope.cancel()
            if self._begun:
                async for _piece in self._stream:  # What was buffered, up to the next wait.
                    pass
            await trio.lowlevel.checkpoint()

    async def body(self, max_bytes: int = MAX_JSON_BYTES, max_values: int = MAX_JSON_VALUES) -> bytes:
        """The whole body, which is JSON.

        Raises:
            ServerError: It has more bytes or values than that, or a coding that was not asked for.
            TransportError: As `receive`, or it is not all there within BODY_WITHIN_S.
        """
        host = self._response.url.host
        if not self.readable:
            raise ServerError(f"{host} sent an answer in a coding that was not asked for")
        parts, separators = bytearray(), 0
        with translated(host), trio.fail_after(BODY_WITHIN_S):
            while piece := await self.receive():
                parts += piece
                if len(parts) > max_bytes:
                    raise ServerError(f"{host} sent an answer of more than {max_bytes:,} bytes")
                separators += sum(map(piece.count, _SEPARATORS))
        body = bytes(parts)
        # Texts may hold as many commas as their writers like.
        if separators > max_values and await trio.to_thread.run_sync(_has_more_values, body, max_values):
            raise ServerError(f"{host} sent an answer of more than {max_values:,} values")
        return body

    async def beginning(self, max_bytes: int) -> bytes:
        """The first `max_bytes` of the body, or all when it has fewer; nothing of one that cannot be read.

        Raises:
            TransportError: As `body`.
        """
        parts = bytearray()
        if not self.readable:
            return b""
        with translated(self._response.url.host), trio.fail_after(BODY_WITHIN_S):
            while piece := await self.receive():
                parts += piece
                if len(parts) >= max_bytes:
                    break
        return bytes(parts[:max_bytes])


async def _raw_pieces(  # noqa: ASYNC900 - around httpx's own, which `drop` ends
    response: httpx.Response,
) -> AsyncIterator[bytes]:
    """The body as it was sent; one that the transport has read already, as some of tests do, is decoded."""
    if response.is_stream_consumed:
        if response.content:
            yield response.content
        return
    async for piece in response.aiter_raw():
        yield piece


def _headers_of(response: httpx.Response) -> Mapping[str, str]:
    """The headers by name in lower case, those of one name joined.

    Once for all: httpx goes through them for each that is asked for, and joining takes it a time that grows
    with the square of their number.
    """
    encoding = response.headers.encoding
    found: dict[str, list[str]] = {}
    for name, value in response.headers.raw:
        found.setdefault(name.decode(encoding).lower(), []).append(value.decode(encoding))
    return {name: ", ".join(values) for name, values in found.items()}


def _has_more_values(body: bytes, most: int) -> bool:
    """Whether a JSON text has more than `most` values; at least as far as that takes memory."""
    count = start = 0
    for string in _STRING.finditer(body):
        if string.start() > start:
            count += sum(body.count(separator, start, string.start()) for separator in _SEPARATORS)
        start = string.end()
        if count > most:
            return True
    return count + sum(body.count(separator, start) for separator in _SEPARATORS) > most


def rate_headers(headers: Mapping[str, str]) -> RateHeaders | None:
    """What `headers`, which know their names in lower case at least, say of the budget; None for nothing."""
    group = headers.get("x-rate-limit-group", "").strip().lower()
    if not _GROUP.fullmatch(group):
        return None
    limit = _number(headers.get("x-rate-limit-limit"))
    window = _number(headers.get("x-rate-limit-window"))
    return RateHeaders(
        group=UsageGroup(group),
        limit=limit or None,
        remaining=_number(headers.get("x-rate-limit-remaining")),
        window_s=float(window) if window else None,
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``Retry-After`` in seconds; None when absent. A date counts from the server's own ``Date``."""
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is not None:
        return float(seconds)
    until, sent = _date(text), _date(headers.get("date", ""))
    return None if until is None or sent is None else max(0.0, until - sent)


def _number(text: str | None) -> int | None:
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 18:
        return None
    return int(text)


def _date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        # HTTP's dates are UTC, also in the obsolete form that does not say so (RFC 9110, 5.6.7).
        date_s = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return date_s if 0 <= date_s < _LAST_DATE_S else None
