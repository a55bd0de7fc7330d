"""Foreign failures → the errors of rcfs: httpx's exceptions by a table, the server's answers by status."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import trio

from rcfs.errors import (
    AuthError,
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    NotReadyError,
    PlatformError,
    RateLimitedError,
    ServerError,
    TransportError,
)

_MEANING: tuple[tuple[type[httpx.HTTPError], str], ...] = (
    (httpx.ConnectError, "cannot connect to"),
    (httpx.RemoteProtocolError, "the connection broke before the answer was complete:"),
    (httpx.TimeoutException, "no answer in time from"),
    (httpx.DecodingError, "cannot decode the answer of"),
    (httpx.RequestError, "the connection failed:"),
)
"""First match wins, so the more general classes stand last."""

_NOT_READY = "MSG-368"
"""A fax that is still being processed: transient, never an absence."""

_LONGEST_WORDS = 500
"""Characters of a server's message that are kept: the longest that are documented have about 200."""


@contextmanager
def translated(host: str) -> Iterator[None]:
    """Raises TransportError in place of what httpx or trio's deadline raised; `host` names the server."""
    try:
        yield
    except httpx.RequestError as exc:
        words = next(words for kind, words in _MEANING if isinstance(exc, kind))
        detail = str(exc).strip()
        raise TransportError(f"{words} {host}" + (f" ({detail})" if detail else "")) from exc
    except trio.TooSlowError as exc:
        raise TransportError(f"no answer in time from {host}") from exc


def _envelope(body: bytes) -> tuple[str, str]:
    """(errorCode, message) of an error body; empty strings for HTML, nothing, or anything else."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    return (
        _words(document.get("errorCode"), first.get("errorCode"), document.get("error")),
        _words(document.get("message"), first.get("message"), document.get("error_description")),
    )


def _words(*values: object) -> str:
    """The first of `values` that is a text with anything in it, as one printable line of bounded length."""
    for value in values:
        if isinstance(value, str):
            printable = "".join(letter if letter.isprintable() else " " for letter in value)
            line = " ".join(printable.split())
            if line:
                return line[:_LONGEST_WORDS]
    return ""


def refusal(
    status: int, body: bytes, *, operation: str, request_id: str = "", retry_after_s: float | None = None
) -> PlatformError:
    """The error that an answer with `status` (400 or more) means; `body` may be anything."""
    code, message = _envelope(body)
    words = f"{operation}: HTTP {status}" + (f" {code}" if code else "") + (f", {message}" if message else "")
    if code == _NOT_READY:
        return NotReadyError(words, code=code, request_id=request_id)
    if status >= 500:
        return ServerError(words, code=code, request_id=request_id, retry_after_s=retry_after_s)
    kind: type[PlatformError] = {
        401: AuthError,
        403: ForbiddenError,
        404: NotFoundError,
        429: RateLimitedError,
    }.get(status, BadRequestError)
    return kind(words, code=code, request_id=request_id)
