"""Effects on answers: undeserved refusals, and answers that violate the API's description."""

# ruff: noqa: ARG002 - the interface passes to every step all that any effect needs

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from rcfs.simulator._backend import Call
from rcfs.simulator._params import form_fields
from rcfs.simulator._police import BucketKey
from rcfs.simulator._wire import (
    JSON_TYPE,
    Answer,
    ApiError,
    OAuthError,
    json_answer,
    rate_headers,
    retry_after,
)
from rcfs.simulator.faults._effects import Effect, Slow
from rcfs.simulator.login._auth import JWT_GRANT

UNTOLD_PENALTY_S = 30.0
"""Penalty of a 429 without Retry-After, in seconds: the least that a client must wait then."""

CHANGES = frozenset({"updateMessage", "patchMessage", "deleteMessage"})
"""``operationId`` of the requests that name the messages to change."""

_HTML = b"<html><body><h1>Bad Gateway</h1></body></html>"

_FAILURE = attrs.validators.and_(attrs.validators.ge(400), attrs.validators.le(599))
_ANY_STATUS = attrs.validators.and_(attrs.validators.ge(200), attrs.validators.le(599))
_WHOLE_SECONDS = attrs.validators.optional(attrs.validators.ge(0))


@attrs.frozen
class Status(Effect):
    """Fails with a 5xx or another status and the API's JSON for errors, without carrying out the request."""

    status: int = attrs.field(default=503, validator=_FAILURE)
    """HTTP status."""
    retry_after_s: int | None = attrs.field(default=None, validator=_WHOLE_SECONDS)
    """``Retry-After`` in seconds; None leaves it out."""
    code: str = "CMN-203"
    """``errorCode`` of the error."""

    def replace(self, call: Call) -> Answer:
        """The error."""
        headers = retry_after(self.retry_after_s)
        return ApiError(self.status, self.code, "Service Temporary Unavailable", headers=headers).answer


@attrs.frozen
class StatusAfter(Effect):
    """Carries out the request, then fails with a 5xx or another status; skips requests that are refused."""

    status: int = attrs.field(default=503, validator=_FAILURE)
    """HTTP status."""
    retry_after_s: int | None = attrs.field(default=None, validator=_WHOLE_SECONDS)
    """``Retry-After`` in seconds; None leaves it out."""
    body: str = attrs.field(default="json", validator=attrs.validators.in_(("json", "html", "empty")))
    """``json`` for the API's JSON for errors; ``html`` or ``empty``, as from a proxy on the way."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the request was carried out."""
        return found is not None and found.status < 300

    def edit(self, answer: Answer) -> Answer:
        """The error."""
        headers = retry_after(self.retry_after_s)
        match self.body:
            case "html":
                return _html(self.status).with_headers(headers)
            case "empty":
                return Answer(self.status, headers, has_rate_headers=False)
        return ApiError(self.status, "CMN-203", "Service Temporary Unavailable", headers=headers).answer


@attrs.frozen
class RefusedMessages(Effect):
    """Refuses the change of some messages, and carries out that of the others in the same request."""

    ids: str = ""
    """Ids of these messages, separated by commas; requests without one of them are skipped."""
    status: int = attrs.field(default=403, validator=_FAILURE)
    """HTTP status of the refusal."""
    code: str = "CMN-408"
    """Error code of the refusal."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the request is to change one of the messages."""
        return found is None and call.operation.id in CHANGES and not self._refused.isdisjoint(_ids(call))

    async def carry_out(self, call: Call, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The endpoint's answer, with the refusals."""
        refusal = ApiError(self.status, self.code, "The change of this message is not permitted")
        call.refusals = dict.fromkeys(self._refused, refusal)
        return await ask()

    @property
    def _refused(self) -> frozenset[str]:
        return frozenset(self.ids.split(","))


@attrs.frozen
class TokenDown(Status):
    """Fails like `Status`, but only requests for a token."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the request is for a token."""
        return found is None and call.operation.id == "getToken"


@attrs.frozen
class ExpiredJwt(Effect):
    """Refuses a login with the JWT as expired; refreshing a token still works."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the request is a login with a JWT."""
        is_login = call.operation.id == "getToken"
        return found is None and is_login and form_fields(call.body).get("grant_type") == JWT_GRANT

    def replace(self, call: Call) -> Answer:
        """The refusal."""
        return OAuthError("invalid_grant", "OAU-210", "Token expired").answer


@attrs.frozen
class ExpiredToken(Effect):
    """Expires the access token at this request: 401, and only a refresh helps."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the request has a login."""
        return found is None and call.session is not None

    def replace(self, call: Call) -> Answer:
        """The refusal."""
        call.backend.auth.expire(call.login())
        return ApiError(401, "OAU-213", "Token not found").answer


@attrs.frozen
class RateLimited(Effect):
    """Answers 429 although the budget is not used up, as other users of it or an emergency limit would cause.

    It starts a real penalty, which every request that comes too early restarts.
    """

    headers: bool = True
    """Whether ``X-Rate-Limit-*`` is sent. If so, the penalty is the group's, else it freezes the login."""
    retry_after_s: int | None = attrs.field(default=None, validator=_WHOLE_SECONDS)
    """``Retry-After`` in seconds, and the length of the penalty; None omits the header and sets the penalty
    to `UNTOLD_PENALTY_S`."""
    code: str = "CMN-301"
    """Error code, such as CMN-304 for a duplicate concurrent request."""
    body: str = attrs.field(default="json", validator=attrs.validators.in_(("json", "html", "empty")))
    """``json`` for the API's JSON, ``html`` or ``empty``."""

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
        match self.body:
            case "html":
                answer = _html(429).with_headers(headers)
            case "empty":
                answer = Answer(429, headers)
            case _:
                answer = ApiError(429, self.code, "Request rate exceeded", headers=headers).answer
        return attrs.evolve(answer, has_rate_headers=False)


@attrs.frozen
class Html(Effect):
    """Fails with an HTML page, as a proxy on the way does."""

    status: int = attrs.field(default=502, validator=_ANY_STATUS)
    """HTTP status."""

    def replace(self, call: Call) -> Answer:
        """The HTML page."""
        return _html(self.status)


@attrs.frozen
class Empty(Effect):
    """Fails without a body."""

    status: int = attrs.field(default=502, validator=_ANY_STATUS)
    """HTTP status."""

    def replace(self, call: Call) -> Answer:
        """The empty answer."""
        return Answer(self.status, has_rate_headers=False)


@attrs.frozen
class Redirect(Effect):
    """Redirects the client, with the same path and query."""

    to: str = "media"
    """``media``, ``platform``, ``foreign`` (a host that must not see the token, see `Endpoints`), or an
    origin such as ``http://localhost:9``."""
    status: int = attrs.field(default=302, validator=attrs.validators.in_((301, 302, 303, 307, 308)))
    """HTTP status."""

    def replace(self, call: Call) -> Answer:
        """The redirect."""
        endpoints = call.backend.endpoints
        if self.to == "foreign":
            call.backend.sent_abroad[call.target] = call
        origins = {
            "media": endpoints.media_url,
            "platform": endpoints.platform_url,
            "foreign": endpoints.foreign_url,
        }
        return Answer(self.status, {"Location": origins.get(self.to, self.to) + call.target})


@attrs.frozen
class NoRateHeaders(Effect):
    """Omits ``X-Rate-Limit-*``."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the endpoint has answered."""
        return found is not None

    def edit(self, answer: Answer) -> Answer:
        """The answer without these headers."""
        return attrs.evolve(answer, has_rate_headers=False)


@attrs.frozen
class MalformedJson(Effect):
    """Answers with JSON that is cut off in the middle; Content-Length matches the shorter body."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the answer is JSON."""
        return _json_of(found) is not None

    def edit(self, answer: Answer) -> Answer:
        """The first half of the answer."""
        body = answer.body
        return attrs.evolve(answer, body=body[: len(body) // 2]) if isinstance(body, bytes) else answer


@attrs.frozen
class MissingFields(Effect):
    """Removes fields from the JSON, at any depth; skips answers without them."""

    fields: str = "totalPages,totalElements"
    """Their names, separated by commas; by default the totals of a list."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the answer has one of the fields."""
        value = _json_of(found)
        return value is not None and self._without(value) != value

    def edit(self, answer: Answer) -> Answer:
        """The answer without the fields."""
        return _with_json(answer, self._without(_json_of(answer)))

    def _without(self, value: Any) -> Any:
        names = self.fields.split(",")
        if isinstance(value, dict):
            return {name: self._without(inner) for name, inner in value.items() if name not in names}
        return [self._without(inner) for inner in value] if isinstance(value, list) else value


@attrs.frozen
class UnknownFields(Effect):
    """Adds an unknown field to each object of the JSON."""

    name: str = "addedLater"
    """Name of the field."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the answer has an object."""
        value = _json_of(found)
        return value is not None and self._with(value) != value

    def edit(self, answer: Answer) -> Answer:
        """The answer with the field."""
        return _with_json(answer, self._with(_json_of(answer)))

    def _with(self, value: Any) -> Any:
        if isinstance(value, dict):
            added: dict[str, Any] = {self.name: {"values": [None, 1.5, "two"]}}
            return added | {name: self._with(inner) for name, inner in value.items()}
        return [self._with(inner) for inner in value] if isinstance(value, list) else value


@attrs.frozen
class SlowPages(Slow):
    """Delays the answer, but only for pages of lists."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the answer is a page."""
        value = _json_of(found)
        return isinstance(value, dict) and "paging" in value


def _ids(call: Call) -> set[str]:
    """The ids of messages, and further words, in the path and the body of a request for a change."""
    return set(re.findall(r"\w+", call.path.get("message_id", "") + " " + call.body.decode(errors="replace")))


def _html(status: int) -> Answer:
    """The HTML page of a proxy, without rate headers."""
    return Answer(status, {"Content-Type": "text/html"}, _HTML, has_rate_headers=False)


def _json_of(answer: Answer | None) -> Any:
    """The value in the JSON of `answer`; None if it is not JSON."""
    if answer is None or not isinstance(answer.body, bytes) or not answer.body:
        return None
    return json.loads(answer.body) if answer.headers.get("Content-Type") == JSON_TYPE else None


def _with_json(answer: Answer, value: Any) -> Answer:
    """`answer` with `value` as its JSON."""
    return attrs.evolve(answer, body=json_answer(value).body)
