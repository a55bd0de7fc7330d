"""An answer of the server: its headers as values, and its body in pieces."""

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
"""Longest silence within a body, in seconds, before the connection counts as dead. The documentation has no
figure; the guess is generous, because a stall costs another request."""

_SLOW_S = 60.0
_SLOW_BYTES = 16 << 10
"""A body that brings fewer than `_SLOW_BYTES` in `_SLOW_S` of waiting counts as dead, too: otherwise one byte
every 29 s would hold a request forever. A modem of the nineties brings ten times as much."""

BODY_WITHIN_S = 300.0
"""Longest time for a body that is read whole, in seconds. A page of 1,000 messages is about 1 MB: half a
minute on the slowest mobile connection. A body of `MAX_JSON_BYTES` needs 55 kB/s."""

MAX_JSON_BYTES = 16 << 20
"""Largest JSON answer that rcfs reads. The largest that it asks for is a page of 1,000 records: of texts,
about 1 MB. A fax to 50 recipients, the most that a record can list, has 10 kB; 16 KiB for each record leave
room."""

MAX_JSON_VALUES = 1_000_000
"""Most values of a JSON answer, because small values take up to thirty times their size when decoded. The
record of a text has 40, that of the fax above 500; a thousand for each of 1,000 records take 100 MB at
most."""

_PIECES_OF_TURN = 8
"""Pieces of a body after which other tasks get a turn; a piece takes some 0.1 ms."""
_UNDONE = frozenset({"gzip", "deflate"})
"""Content codings that rcfs decodes. It asks for none, but a proxy may compress nevertheless."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A JSON string, complete or cut off; commas and brackets in it separate no values."""
_SEPARATORS = (b",", b"{", b"[")

_LAST_DATE_S = 4_102_444_800.0
"""Latest date that rcfs believes: 2100-01-01 UTC, in seconds since 1970. Requests contain the server's time,
and a date near the year 10000, where calendars end, would make them fail."""

_GROUP = re.compile(r"[a-z0-9][a-z0-9 ._-]{0,63}", re.ASCII)
"""The name of a usage plan group in lower case; other text must not enter logs and the ledger."""

_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII | re.IGNORECASE)


class Answer:
    """The answer to one request; valid within the block of `Client.send` that returned it."""

    def __init__(self, response: httpx.Response, *, waited_s: float = 0.0) -> None:
        self._response = response
        self._host = response.url.host
        self._pieces = 0
        self._headers = _headers_of(response)
        self._stream = _raw_pieces(response)
        self._codings = codings_of(self._headers.get("content-encoding", ""))
        self._inflater: Inflater | None = None
        if len(self._codings) == 1 and self.readable:
            self._inflater = Inflater(self._codings[0])
        self._begun = self._has_data = False
        self._slow_s = 0.0
        self._slow_bytes = 0
        """Bytes, and seconds of waiting for them, since the pace of the body was last checked."""
        self.ended = False
        """Whether the whole body has arrived, so that the connection needs no closing."""
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
        """Whether the body has a content coding such as gzip: the headers then count coded bytes."""
        return bool(self._codings)

    @property
    def readable(self) -> bool:
        """Whether `receive` returns decoded bytes: it decodes one coding.

        A second coding around it is refused, as a few kB of that could become gigabytes.
        """
        return len(self._codings) < 2 and _UNDONE.issuperset(self._codings)

    @property
    def content_length(self) -> int | None:
        """``Content-Length`` in bytes; None when absent or chunked."""
        return _number(self._headers.get("content-length"))

    @property
    def content_range(self) -> tuple[int | None, int | None, int | None]:
        """``Content-Range`` as (start, stop, total) in bytes, stop exclusive; None for what is absent."""
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
        """Absolute URL of the redirect; empty without one, or without a valid host."""
        target = self._headers.get("location")
        if not target:
            return ""
        try:
            following = self._response.url.join(target)
            return str(following) if following.host else ""
        except (httpx.InvalidURL, ValueError):  # idna's errors are ValueErrors
            return ""

    @property
    def rate(self) -> RateHeaders | None:
        """The ``X-Rate-Limit-*`` headers; None without a group, as in answers without a user limit."""
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
        with translated(self._host), trio.fail_after(BODY_GAP_S):
            self._pieces += 1
            if self._pieces % _PIECES_OF_TURN == 0:
                # Other tasks must run even if httpcore has the pieces already: it waits only for the network.
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
                raise TransportError(f"{self._host} sent fewer than {_SLOW_BYTES:,} bytes in a minute")
            self._slow_s, self._slow_bytes = 0.0, 0
        return piece

    async def _inflated(self, inflater: Inflater) -> bytes:
        """The next decoded piece of the body."""
        host = self._host
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
        """Ends the body where it is; `receive` must not be called afterwards.

        The body is a chain of generators of httpx. Closing the outermost leaves the others to the garbage
        collector, so a cancellation that the innermost raises ends them all.
        """
        # An error of the dropped body is of no interest.
        with trio.CancelScope() as scope, contextlib.suppress(Exception):
            scope.cancel()
            if self._begun:
                async for _piece in self._stream:  # Buffered pieces, until the next wait.
                    pass
            await trio.lowlevel.checkpoint()

    async def body(self, max_bytes: int = MAX_JSON_BYTES, max_values: int = MAX_JSON_VALUES) -> bytes:
        """The whole body, which must be JSON.

        Raises:
            ServerError: It has more than `max_bytes` or `max_values`, or a coding that rcfs does not decode.
            TransportError: As `receive`, or the body takes longer than BODY_WITHIN_S.
        """
        host = self._host
        if not self.readable:
            raise ServerError(f"{host} sent an answer in a coding that rcfs did not ask for")
        parts, separators = bytearray(), 0
        with translated(host), trio.fail_after(BODY_WITHIN_S):
            while piece := await self.receive():
                parts += piece
                if len(parts) > max_bytes:
                    raise ServerError(f"{host} sent an answer of more than {max_bytes:,} bytes")
                separators += sum(map(piece.count, _SEPARATORS))
        body = bytes(parts)
        # This count is quick, and too high: texts contain commas.
        if separators > max_values and await trio.to_thread.run_sync(_has_more_values, body, max_values):
            raise ServerError(f"{host} sent an answer of more than {max_values:,} values")
        return body

    async def beginning(self, max_bytes: int) -> bytes:
        """The first `max_bytes` of the body, or all if it has fewer; empty if it is not `readable`.

        Raises:
            TransportError: As `body`.
        """
        parts = bytearray()
        if not self.readable:
            return b""
        with translated(self._host), trio.fail_after(BODY_WITHIN_S):
            while piece := await self.receive():
                parts += piece
                if len(parts) >= max_bytes:
                    break
        return bytes(parts[:max_bytes])


async def _raw_pieces(  # noqa: ASYNC900 - around httpx's own, which `drop` ends
    response: httpx.Response,
) -> AsyncIterator[bytes]:
    """The body as it was sent, without empty pieces; the connection is free again at its end."""
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - of an asynchronous client
    async for piece in response.stream:
        if piece:
            yield piece
    await response.aclose()


def _headers_of(response: httpx.Response) -> Mapping[str, str]:
    """The headers by name in lower case, those of one name joined.

    httpx searches the whole list for each header, and takes time that grows with the square of their number
    to join them.
    """
    encoding = response.headers.encoding
    found: dict[str, list[str]] = {}
    for name, value in response.headers.raw:
        found.setdefault(name.decode(encoding).lower(), []).append(value.decode(encoding))
    return {name: ", ".join(values) for name, values in found.items()}


def _has_more_values(body: bytes, most: int) -> bool:
    """Whether a JSON text has more than `most` values; the count is exact enough to bound memory."""
    count = start = 0
    for string in _STRING.finditer(body):
        if string.start() > start:
            count += sum(body.count(separator, start, string.start()) for separator in _SEPARATORS)
        start = string.end()
        if count > most:
            return True
    return count + sum(body.count(separator, start) for separator in _SEPARATORS) > most


def rate_headers(headers: Mapping[str, str]) -> RateHeaders | None:
    """The rate headers in `headers`, whose names are in lower case; None without a group."""
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
        # HTTP's dates are UTC, even in the obsolete form without a zone (RFC 9110, 5.6.7).
        date_s = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return date_s if 0 <= date_s < _LAST_DATE_S else None
