"""RingCentral behind `httpx.MockTransport`, in virtual time: rate limits, answers, and scripted exceptions.

Every answer takes `latency_s`: half until the police see the request, half until the headers arrive. Requests
without a script get the real platform's answer. `MockTransport` does not check lengths, so a body that ends
early raises httpcore's error itself.
"""

import base64
import json
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum
from typing import Any
from urllib.parse import parse_qs

import attrs
import httpx
import trio

from rcfs.model import PRIOR_PLANS, ContentKey, Plan, UsageGroup
from tests.fakes.police import Police, Verdict

PLATFORM = "https://platform.ringcentral.com"
MEDIA = "https://media.ringcentral.com"
FOREIGN = "https://files.example.net"

ACCOUNT_ID = "400123"
CLIENT_ID = "app"
CLIENT_SECRET = "s3cret-of-the-app"
JWT = "s3cret.jwt.of-the-user"

LATENCY_S = 0.1
"""Default round trip in virtual seconds."""

_BASIC = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()

GROUPS: Mapping[str, str] = {
    "getToken": "auth",
    "revokeToken": "auth",
    "authWsToken": "auth",
    "readAccountInfo": "light",
    "readExtension": "light",
    "listExtensions": "medium",
    "listMessages": "light",
    "readMessage": "light",
    "updateMessage": "medium",
    "syncMessages": "light",
    "readMessageStoreConfiguration": "light",
    "readMessageContent": "medium",
    "readCallRecordingContent": "heavy",
    "messageStoreReportArchiveContent": "heavy",
}


class End(Enum):
    """The way a body ends."""

    CLEAN = "as it should"
    RESET = "the connection is reset"
    TRUNCATED = "the connection is closed before the promised length"
    STALL = "nothing more comes, and the connection stays"


@attrs.frozen
class Reply:
    """One scripted answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Headers of the answer; Content-Length is not added, only the rate headers are."""
    end: End = End.CLEAN
    pieces: Sequence[bytes] | None = None
    """The body in pieces; None for all at once."""
    gap_s: float = 0.0
    """Seconds before each piece except the first."""
    delay_s: float = 0.0
    """Seconds until the headers, in addition to the latency."""
    rate: bool = True
    """Whether the answer carries X-Rate-Limit-* headers."""

    @classmethod
    def sized(cls, body: bytes, promised: int | None = None, **fields: Any) -> "Reply":
        """A 200 with Content-Length."""
        length = len(body) if promised is None else promised
        return cls(200, body, {"Content-Length": str(length)}, **fields)

    @classmethod
    def part(
        cls, content: bytes, start: int, stop: int, *, total: str | None = None, **fields: Any
    ) -> "Reply":
        """A 206 with the bytes [start, stop) of `content`."""
        body = content[start:stop]
        content_range = f"bytes {start}-{stop - 1}/{len(content) if total is None else total}"
        return cls(206, body, {"Content-Length": str(len(body)), "Content-Range": content_range}, **fields)

    @classmethod
    def of_json(cls, document: object, status: int = 200, **fields: Any) -> "Reply":
        """An answer in JSON."""
        return cls(status, json.dumps(document).encode(), {"Content-Type": "application/json"}, **fields)

    @classmethod
    def error(
        cls, status: int, code: str = "", *, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> "Reply":
        """A refusal in the API's JSON."""
        body = json.dumps({"errorCode": code, "message": "No.", "errors": []}).encode()
        return cls(status, body, {"Content-Type": "application/json"} | dict(headers or {}), **fields)


class Unreachable(Enum):
    """Instead of a reply: no answer."""

    REFUSED = "the connection is refused"
    RESET = "the connection is reset after the request was sent"
    SILENT = "nothing ever comes"


Answering = Reply | Unreachable | Callable[[httpx.Request], Reply]


@attrs.frozen
class Seen:
    """One request that was sent."""

    at_s: float
    """When it was sent, in virtual time."""
    operation: str
    """operationId; ``foreign`` for other hosts than RingCentral's."""
    url: str
    byte_range: str
    """The Range header; empty without one."""
    token: str
    """The bearer token; empty without one."""
    form: Mapping[str, str]
    """The posted form."""
    method: str = "GET"
    """HTTP method."""
    body: bytes = b""
    """Its body."""
    media_type: str = ""
    """Its Content-Type."""

    @property
    def query(self) -> Mapping[str, list[str]]:
        """The query parameters."""
        return parse_qs(self.url.partition("?")[2])


@attrs.define
class ScriptedPlatform:
    """The platform, a media host and a foreign one."""

    plans: Mapping[UsageGroup, Plan] = PRIOR_PLANS
    latency_s: float = LATENCY_S
    contents: dict[str, bytes] = attrs.field(factory=dict)
    """Bodies by path."""
    extensions: list[dict[str, Any]] = attrs.field(factory=list)
    messages: list[dict[str, Any]] = attrs.field(factory=list)
    """The mailbox, as lists and reads return it."""
    changes: list[dict[str, Any]] = attrs.field(factory=list)
    """The changes in the order of syncs: a token covers all that were there when it was issued."""
    overlap: int = 0
    """Number of changes before its token that an ISync repeats."""
    refused_tokens: set[str] = attrs.field(factory=set)
    """Sync tokens that are refused."""
    token_error: str = "MSG-333"
    """Error code of that refusal."""
    admin: bool | None = True
    lifetime_s: int = 3600
    """``expires_in`` of the tokens."""
    refreshing: bool = False
    """Whether logins come with a refresh token."""
    refresh_lifetime_s: int = 604_800
    """``refresh_token_expires_in``."""
    scope: str = "ReadAccounts ReadMessages"
    """Scopes that a login is granted."""
    retention_days: int = 90
    """Retention of faxes and voicemails, in days."""
    clock_ahead_s: float = 0.0
    """The server's clock minus the machine's."""
    away: Collection[str] = ()
    """Origins that refuse connections."""
    untrusted: Collection[str] = ()
    """Origins with an untrusted certificate."""
    mute: Collection[str] = ()
    """Origins that accept connections and requests, and answer nothing."""
    seen: list[Seen] = attrs.field(factory=list)
    live_tokens: set[str] = attrs.field(factory=set)
    refusals_expected: int = 0
    """Number of 429 answers of the police that the scenario provokes; none may fall into a penalty."""
    police: Police = attrs.field(init=False)
    _scripts: defaultdict[str, deque[Answering]] = attrs.field(factory=lambda: defaultdict(deque))
    _refresh_tokens: set[str] = attrs.field(factory=set)
    _issued: int = 0

    def __attrs_post_init__(self) -> None:
        self.police = Police(self.plans)

    @property
    def transport(self) -> httpx.MockTransport:
        """The transport for the client."""
        return httpx.MockTransport(self._handle)

    def script(self, operation: str, *answers: Answering) -> None:
        """Give the next admitted requests of `operation` these answers."""
        self._scripts[operation].extend(answers)

    def add_content(self, key: ContentKey, data: bytes, origin: str = PLATFORM) -> str:
        """The URI of a new content."""
        self.contents[key.resource] = data
        return origin + key.resource

    def change(self, **record: Any) -> None:
        """Add or change a message; syncs return its whole record."""
        self.messages = [known for known in self.messages if known["id"] != record["id"]] + [record]
        self.changes.append(record)

    def remove(self, message_id: int, availability: str) -> None:
        """Delete or purge a message; syncs return a tombstone."""
        buried = [known for known in self.messages if known["id"] == message_id]
        self.messages = [known for known in self.messages if known["id"] != message_id]
        if availability == "Deleted":
            self.messages += [known | {"availability": availability} for known in buried]
        self.changes.append({"id": message_id, "availability": availability})

    def sent(self, *operations: str) -> list[Seen]:
        """The requests of `operations`; all requests if none is named."""
        return [seen for seen in self.seen if not operations or seen.operation in operations]

    def times(self, operation: str, origin_s: float = 0.0) -> list[float]:
        """Times of the requests of `operation`, in seconds after `origin_s`, to the millisecond."""
        return [round(seen.at_s - origin_s, 3) for seen in self.sent(operation)]

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        operation = self._operation(request)
        answers = self._scripts[operation]
        if f"https://{request.url.host}" in self.away:
            self._note(operation, request)
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        if f"https://{request.url.host}" in self.untrusted:
            self._note(operation, request)
            error = ssl.SSLCertVerificationError(1, "certificate verify failed")
            error.reason = "CERTIFICATE_VERIFY_FAILED"
            error.verify_code, error.verify_message = 20, "unable to get local issuer certificate"
            raise httpx.ConnectError(str(error), request=request) from error
        if f"https://{request.url.host}" in self.mute:
            self._note(operation, request)
            await trio.sleep_forever()
        if answers and answers[0] is Unreachable.REFUSED:
            # The request reaches nobody, so the police do not count it.
            self._note(operation, request)
            answers.popleft()
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        self._note(operation, request)
        await trio.sleep(self.latency_s / 2)
        verdict = None
        if operation in GROUPS:
            verdict = self.police.arrive(UsageGroup(GROUPS[operation]), trio.current_time())
        if verdict is not None and not verdict.admitted:
            reply = self._refusal(verdict)
        else:
            answer = answers.popleft() if answers else self._usual
            if answer is Unreachable.SILENT:
                await trio.sleep_forever()
            if answer is Unreachable.RESET:
                raise httpx.ReadError("[Errno 104] Connection reset by peer", request=request)
            reply = answer if isinstance(answer, Reply) else answer(request)  # type: ignore[operator]
        await trio.sleep(self.latency_s / 2 + reply.delay_s)
        return self._response(request, reply, verdict)

    def _note(self, operation: str, request: httpx.Request) -> None:
        authorization = request.headers.get("Authorization", "")
        media_type = request.headers.get("Content-Type", "")
        fields = parse_qs(request.content.decode()) if "form" in media_type else {}
        form = {name: values[0] for name, values in fields.items()}
        self.seen.append(
            Seen(
                trio.current_time(),
                operation,
                str(request.url),
                request.headers.get("Range", ""),
                authorization.removeprefix("Bearer ") if authorization.startswith("Bearer ") else "",
                form,
                request.method,
                request.content,
                media_type,
            )
        )

    @staticmethod
    def _operation(request: httpx.Request) -> str:
        path = request.url.path
        if f"https://{request.url.host}" not in (PLATFORM, MEDIA):
            return "foreign"
        if path == "/restapi":
            return "probe"
        if path.startswith("/restapi/oauth/"):
            names = {"token": "getToken", "wstoken": "authWsToken", "revoke": "revokeToken"}
            return names[path.rpartition("/")[2]]
        if "/message-store-report/" in path and "/archive/" in path:
            return "messageStoreReportArchiveContent"
        if "/content/" in path:
            return "readMessageContent"
        if "/recording/" in path:
            return "readCallRecordingContent"
        if path.endswith("/message-store-configuration"):
            return "readMessageStoreConfiguration"
        if path.endswith("/message-store"):
            return "listMessages"
        if path.endswith("/message-sync"):
            return "syncMessages"
        if "/message-store/" in path:
            return {"GET": "readMessage", "PUT": "updateMessage"}[request.method]
        if path.endswith("/extension"):
            return "listExtensions"
        return "readExtension" if "/extension/" in path else "readAccountInfo"

    @staticmethod
    def _refusal(verdict: Verdict) -> Reply:
        wait = {} if verdict.retry_after_s is None else {"Retry-After": f"{verdict.retry_after_s:.0f}"}
        return Reply.error(429, "CMN-301", headers=wait)

    def _usual(self, request: httpx.Request) -> Reply:
        operation = self._operation(request)
        if operation == "getToken":
            return self._login(request)
        if operation == "foreign":
            return self._content(request)
        if operation == "probe":
            return Reply.of_json({"apiVersions": []})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if operation != "revokeToken" and token not in self.live_tokens:
            return Reply.error(401, "OAU-213")
        match operation:
            case "readAccountInfo":
                return Reply.of_json({"id": int(ACCOUNT_ID), "name": "Example Ltd"})
            case "readExtension":
                permissions = (
                    {} if self.admin is None else {"permissions": {"admin": {"enabled": self.admin}}}
                )
                return Reply.of_json({"id": 101, "extensionNumber": "101", "name": "Jane"} | permissions)
            case "listExtensions":
                return Reply.of_json({"records": self.extensions, "navigation": {}})
            case "listMessages":
                return Reply.of_json({"records": self.messages, "navigation": {}})
            case "syncMessages":
                return self._sync(request)
            case "updateMessage":
                return Reply.of_json({"readStatus": "Read"})
            case "readMessage":
                return self._read(request.url.path.rpartition("/")[2].split(","))
            case "authWsToken":
                uri = "wss://ws-api.ringcentral.com/ws"
                return Reply.of_json({"ws_access_token": "s3cret-ws-1", "uri": uri, "expires_in": 30})
            case "readMessageStoreConfiguration":
                return Reply.of_json({"retentionPeriod": self.retention_days})
            case "revokeToken":
                self.live_tokens.discard(parse_qs(request.content.decode())["token"][0])
                return Reply()
            case _:
                return self._content(request)

    def _login(self, request: httpx.Request) -> Reply:
        if request.headers.get("Authorization") != _BASIC:
            return Reply.error(401, "OAU-153")
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] not in self._refresh_tokens:
                return Reply.error(400, "OAU-210")
            self._refresh_tokens.remove(form["refresh_token"])
            self.live_tokens.clear()
        elif form["assertion"] != JWT:
            return Reply.error(400, "OAU-251")
        self._issued += 1
        token: dict[str, object] = {
            "access_token": f"s3cret-access-{self._issued}",
            "token_type": "bearer",
            "expires_in": self.lifetime_s,
            "scope": self.scope,
        }
        self.live_tokens.add(f"s3cret-access-{self._issued}")
        if self.refreshing:
            refresh = f"s3cret-refresh-{self._issued}"
            self._refresh_tokens.add(refresh)
            token |= {"refresh_token": refresh, "refresh_token_expires_in": self.refresh_lifetime_s}
        return Reply.of_json(token)

    def _sync(self, request: httpx.Request) -> Reply:
        told = []
        if request.url.params["syncType"] == "ISync":
            token = request.url.params["syncToken"]
            if token in self.refused_tokens:
                return Reply.error(400, self.token_error)
            told = self.changes[max(0, int(token.removeprefix("since-")) - self.overlap) :]
        return Reply.of_json({"records": told, "syncInfo": {"syncToken": f"since-{len(self.changes)}"}})

    def _read(self, ids: Sequence[str]) -> Reply:
        if len(ids) == 1:
            return self._message(int(ids[0]))
        found = {each: self._message(int(each)) for each in ids}
        return Reply.of_json(
            [
                {"resourceId": each, "status": reply.status, "body": json.loads(reply.body)}
                for each, reply in found.items()
            ],
            207,
        )

    def _message(self, message_id: int) -> Reply:
        found = next((known for known in self.messages if known["id"] == message_id), None)
        return Reply.error(404, "CMN-102") if found is None else Reply.of_json(found)

    def _content(self, request: httpx.Request) -> Reply:
        data = self.contents.get(request.url.path)
        if data is None:
            return Reply.error(404, "CMN-102")
        byte_range = request.headers.get("Range")
        if byte_range is None:
            return Reply.sized(data)
        first, _, last = byte_range.removeprefix("bytes=").partition("-")
        start, stop = int(first), int(last) + 1 if last else len(data)
        if start >= len(data):
            return Reply.error(416, "CMN-107", headers={"Content-Range": f"bytes */{len(data)}"})
        return Reply.part(data, start, min(stop, len(data)))

    def _response(self, request: httpx.Request, reply: Reply, verdict: Verdict | None) -> httpx.Response:
        headers = httpx.Headers(dict(reply.headers))
        if verdict is not None:
            headers["Date"] = format_datetime(
                datetime.fromtimestamp(datetime.now(UTC).timestamp() + self.clock_ahead_s, UTC), usegmt=True
            )
            headers["RCRequestId"] = "req-1"
            if reply.rate:
                rate = verdict.headers
                headers["X-Rate-Limit-Group"] = rate.group
                headers["X-Rate-Limit-Limit"] = str(rate.limit)
                headers["X-Rate-Limit-Remaining"] = str(rate.remaining)
                headers["X-Rate-Limit-Window"] = f"{rate.window_s:.0f}"
        return httpx.Response(reply.status, headers=headers, stream=_Body(reply), request=request)


class _Body(httpx.AsyncByteStream):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:  # noqa: ASYNC900 - what httpx asks for
        reply = self._reply
        pieces = [reply.body] if reply.pieces is None else reply.pieces
        for number, piece in enumerate(pieces):
            if number:
                await trio.sleep(reply.gap_s)
            yield piece
        await trio.lowlevel.checkpoint()
        match reply.end:
            case End.RESET:
                raise httpx.ReadError("[Errno 104] Connection reset by peer")
            case End.TRUNCATED:
                raise httpx.RemoteProtocolError(
                    "peer closed connection without sending complete message body"
                )
            case End.STALL:
                await trio.sleep_forever()
