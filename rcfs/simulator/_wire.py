"""Answers before they are sent, and refusals as the API words them."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from rcfs.model import Plan, UsageGroup

JSON_TYPE = "application/json;charset=utf-8"
"""Content type of all answers except contents."""


class Readable(Protocol):
    """A content that is generated when read. That may take long, so read it in a thread."""

    @property
    def size_bytes(self) -> int:
        """Exact size."""

    def read(self, start: int, stop: int) -> bytes:
        """The bytes ``[start, stop)``."""


@attrs.frozen
class Part:
    """The bytes ``[start, stop)`` of a content, not yet generated."""

    source: Readable
    """The content."""
    start: int
    """First byte."""
    stop: int
    """One past the last byte."""
    whole_bytes: int
    """Size of the content."""


@attrs.frozen
class Whole:
    """A whole content; the request's ``Range`` decides which part of it is sent."""

    headers: Mapping[str, str]
    """Headers of the answer."""
    source: Readable
    """Its bytes."""


@attrs.frozen
class Answer:
    """One HTTP answer."""

    status: int
    """HTTP status."""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Headers, except those for length, rate limits and request id."""
    body: bytes | Part = b""
    """Body of the answer."""
    has_rate_headers: bool = True
    """Whether the ``X-Rate-Limit-*`` headers of the request's group are added."""

    @property
    def size_bytes(self) -> int:
        """Length of the body in bytes."""
        return len(self.body) if isinstance(self.body, bytes) else self.body.stop - self.body.start

    def with_headers(self, headers: Mapping[str, str]) -> "Answer":
        """A copy with `headers` added; they replace headers of the same name."""
        return attrs.evolve(self, headers={**self.headers, **headers})


@attrs.frozen
class Later:
    """An answer that takes heavy work."""

    make: Callable[[], Answer | Whole]
    """Does the work, in a thread. It raises refusals as `ApiError`."""


class ApiError(Exception):
    """A refusal, with the API's JSON for errors.

    Attributes:
        answer: The HTTP answer of the refusal.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        parameter: str = "",
        permission: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code} {message}")
        error = {"errorCode": code, "message": message} | ({"parameterName": parameter} if parameter else {})
        error |= {"permissionName": permission} if permission else {}
        sent = dict(headers or {})
        if status == 401:
            sent["WWW-Authenticate"] = 'Bearer realm="RingCentral REST API", error="invalid_token"'
        self.answer = json_answer({**error, "errors": [error]}, status=status, headers=sent)


class OAuthError(ApiError):
    """A refusal of the token endpoint: 400, with the API's JSON and the fields of RFC 6749, 5.2."""

    def __init__(self, error: str, code: str, message: str) -> None:
        super().__init__(400, code, message)
        body = {
            "error": error,
            "error_description": message,
            "errors": [{"errorCode": code, "message": message}],
        }
        self.answer = json_answer(body, status=400)


def bad_parameter(name: str, value: str) -> ApiError:
    """The refusal of an invalid query or path parameter."""
    return ApiError(400, "CMN-101", f"Parameter [{name}] value [{value}] is invalid", parameter=name)


def not_found(name: str) -> ApiError:
    """The refusal of an unknown id in the path."""
    return ApiError(404, "CMN-102", f"Resource for parameter [{name}] is not found", parameter=name)


def json_answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with `value` as JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, {"Content-Type": JSON_TYPE, **(headers or {})}, body)


def retry_after(seconds: float | None) -> dict[str, str]:
    """The ``Retry-After`` header, in whole seconds rounded up so that obeying it suffices; empty for None."""
    return {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}


def rate_headers(group: UsageGroup, plan: Plan, remaining: int) -> dict[str, str]:
    """The ``X-Rate-Limit-*`` headers; the window is in whole seconds, rounded up."""
    return {
        "X-Rate-Limit-Group": group,
        "X-Rate-Limit-Limit": str(plan.limit),
        "X-Rate-Limit-Remaining": str(remaining),
        "X-Rate-Limit-Window": str(math.ceil(plan.window_s)),
    }
