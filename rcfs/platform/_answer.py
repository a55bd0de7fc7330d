"""One answer of the server whose headers have arrived: what they say, and the body in pieces."""

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx
import trio

from rcfs.model import RateHeaders, UsageGroup
from rcfs.platform._errors import translated

BODY_GAP_S = 30.0
"""Longest silence within a body before the connection counts as dead. A guess: the documentation names
none; a stall costs one more request, so it is generous."""

MAX_JSON_BYTES = 64 << 20
"""Upper bound of a JSON answer: a page of 1,000 messages is about 1 MB, so this is a runaway."""

_DECODED = frozenset({"", "identity", "gzip", "deflate"})
"""Content codings that httpx undoes without further packages; it leaves those of others as they are."""

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
        # httpx goes through all headers for each that is asked for, and an answer is asked for ten of them.
        self._headers = dict(response.headers.items())
        self._stream = response.aiter_bytes()
        self._begun = False
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
    def media_type(self) -> str:
        """``Content-Type`` without parameters, in lower case; empty when absent."""
        return self._headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def encoded(self) -> bool:
        """Whether a content coding such as gzip lies on the body, so that lengths count other bytes."""
        return self._headers.get("content-encoding", "identity").lower() not in ("", "identity")

    @property
    def readable(self) -> bool:
        """Whether the pieces of the body are the bytes that were meant: no coding stays on them."""
        codings = self._headers.get("content-encoding", "").lower().split(",")
        return all(coding.strip() in _DECODED for coding in codings)

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
        except httpx.InvalidURL:
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
            TransportError: The connection ended early, or was silent for BODY_GAP_S.
        """
        self._begun = True
        with translated(self._response.url.host), trio.fail_after(BODY_GAP_S):
            piece = await anext(self._stream, b"")
        self.ended = not piece
        return piece

    async def drop(self) -> None:
        """Ends the body where it is; nothing may be received afterwards.

        httpx's generators lie in one another, and one that is closed leaves those within to the garbage
        collector. A cancellation that comes from the innermost one ends them all.
        """
        with trio.CancelScope() as scope, contextlib.suppress(httpx.HTTPError):
            scope.cancel()
            if self._begun:
                async for _piece in self._stream:  # What was buffered, up to the next wait.
                    pass
            await trio.lowlevel.checkpoint()

    async def body(self, max_bytes: int = MAX_JSON_BYTES) -> bytes:
        """The whole body, cut at `max_bytes`.

        Raises:
            TransportError: As `receive`.
        """
        parts = bytearray()
        while len(parts) < max_bytes and (piece := await self.receive()):
            parts += piece
        return bytes(parts[:max_bytes])


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
