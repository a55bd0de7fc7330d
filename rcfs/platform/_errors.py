"""Translates failures to the errors of rcfs: httpx's exceptions by a table, answers by their status."""

from collections.abc import Iterator
from contextlib import contextmanager

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
    RcfsError,
    ServerError,
    TransportError,
    UnreachableError,
)
from rcfs.model import objects
from rcfs.platform._document import decoded_object
from rcfs.platform._trust import tls_error

_MEANING: tuple[tuple[type[httpx.HTTPError], type[TransportError], str], ...] = (
    (httpx.ConnectTimeout, UnreachableError, "no answer in time from"),
    (httpx.ConnectError, UnreachableError, "cannot connect to"),
    (httpx.RemoteProtocolError, TransportError, "the connection broke before the answer was complete:"),
    (httpx.TimeoutException, TransportError, "no answer in time from"),
    (httpx.DecodingError, TransportError, "cannot decode the answer of"),
    (httpx.RequestError, TransportError, "the connection failed:"),
)
"""The first match wins, so the more general classes are last."""

_NOT_READY = "MSG-368"
"""Code for a fax that the platform still processes; a later request gets it."""

_TRANSIENT = frozenset({408, 421, 425})
"""Request Timeout, Misdirected Request, Too Early: a retry may help. Source: RFC 9110, 15.5; RFC 8470,
5.2."""

_LONGEST_WORDS = 500
"""Most characters of a server's message that rcfs shows: the longest documented ones have about 200."""


@contextmanager
def translated(host: str) -> Iterator[None]:
    """Raises a PlatformError in place of any error of the block; `host` names the server.

    Errors of httpx and of trio's deadlines become TransportErrors. All others come from answers that no
    library expected, and become ServerErrors: a redirect to ``https://://[`` fails in idna, a header in
    email.
    """
    try:
        yield
    except httpx.RequestError as exc:
        tls = isinstance(exc, (httpx.ConnectError, httpx.ConnectTimeout)) and tls_error(host, exc)
        if tls:
            raise tls from exc
        error, words = next((error, words) for kind, error, words in _MEANING if isinstance(exc, kind))
        detail = str(exc).strip()
        raise error(f"{words} {host}" + (f" ({detail})" if detail else "")) from exc
    except trio.TooSlowError as exc:
        raise TransportError(f"no answer in time from {host}") from exc
    except RcfsError:
        raise
    except Exception as exc:
        raise ServerError(f"{host} sent an answer that rcfs cannot read ({type(exc).__name__})") from exc


def _envelope(body: bytes) -> tuple[str, str]:
    """(errorCode, message) of an error body; empty strings for HTML and anything else."""
    try:
        document = decoded_object(body, "error")
    except ServerError:
        return "", ""
    first = next(iter(objects(document.get("errors"))), {})
    return (
        _words(document.get("errorCode"), first.get("errorCode"), document.get("error")),
        _words(document.get("message"), first.get("message"), document.get("error_description")),
    )


def _words(*values: object) -> str:
    """The first of `values` that is a text and not blank, as one printable line of bounded length."""
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
    """The error for an answer with `status` (400 or more); `body` may be anything."""
    code, message = _envelope(body)
    words = f"{operation}: HTTP {status}" + (f" {code}" if code else "") + (f", {message}" if message else "")
    if code == _NOT_READY:
        return NotReadyError(words, code=code, request_id=request_id)
    if status >= 500 or status in _TRANSIENT:
        return ServerError(words, code=code, request_id=request_id, retry_after_s=retry_after_s)
    kind: type[PlatformError] = {
        401: AuthError,
        403: ForbiddenError,
        404: NotFoundError,
        429: RateLimitedError,
    }.get(status, BadRequestError)
    return kind(words, code=code, request_id=request_id)


def is_invalid_token(error: BadRequestError) -> bool:
    """Whether the server refused a sync because its token is unknown or has expired.

    Source: "Message Synchronization" of the API's documentation names MSG-333. CMN-101, a wrong parameter,
    was seen as well, and a sync has no other parameter.
    """
    return error.code in ("MSG-333", "CMN-101")
