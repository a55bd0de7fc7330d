"""The requests that send, and the bytes of their bodies."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from rcfs.errors import ServerError, StoreError, TransportError
from rcfs.model import Outgoing, SendFile, SendKind
from rcfs.platform import (
    AllowedHosts,
    Body,
    Client,
    MultipartBody,
    Request,
    add_prompt,
    list_phone_numbers,
    list_sent,
    own_numbers,
    send_message,
    sent_message,
    set_company_greeting,
    set_greeting,
)
from rcfs.platform._client import HEADERS_WITHIN_S
from rcfs.simulator._multipart import Piece, parse
from tests.fakes.description import needs_description, operation
from tests.fakes.rig import run_inline

BOB, ANN = "+12125557464", "+13035556830"
SIZE_BYTES = 600_000
"""Three pieces of a body."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "0"
    path.write_bytes(bytes(range(250)) * (SIZE_BYTES // 250))
    return path


def file_of(name: str, media_type: str) -> SendFile:
    return SendFile(name, media_type, SIZE_BYTES, "")


MMS = Outgoing(SendKind.MMS, (BOB, ANN), ANN, "é", (file_of("a.png", "image/png"),))
FAX = Outgoing(
    SendKind.FAX,
    (BOB, ANN),
    files=(file_of("ä.pdf", "application/pdf"),) * 2,
    cover_index=2,
    cover_text="ö\nü",
    resolution="Low",
    send_at_s=1_795_176_000.5,
)


def pieces_of(request: Request) -> list[Piece]:
    assert isinstance(request.body, MultipartBody)
    whole = b"".join(request.body.pieces())
    assert len(whole) == request.body.size_bytes
    assert whole == b"".join(request.body.pieces()), "an attempt that is repeated has the same body"
    pieces = parse(request.body.media_type, whole)
    assert pieces is not None
    return pieces


def json_of(request: Request) -> Any:
    assert isinstance(request.body, Body)
    return json.loads(request.body.content)


def test_a_text_is_json() -> None:
    request = send_message(Outgoing(SendKind.SMS, (BOB,), ANN, "hi"), (), "b")
    assert json_of(request) == {"from": {"phoneNumber": ANN}, "to": [{"phoneNumber": BOB}], "text": "hi"}
    request = send_message(Outgoing(SendKind.PAGE, ("102",), "101", "hi"), (), "b")
    assert json_of(request) == {
        "from": {"extensionNumber": "101"},
        "to": [{"extensionNumber": "102"}],
        "text": "hi",
    }


def test_a_fax_is_sent_again_by_its_id() -> None:
    assert json_of(send_message(Outgoing(SendKind.FAX, (), resend_id=7), (), "b")) == {
        "originalMessageId": "7"
    }
    again = Outgoing(SendKind.FAX, (BOB,), resend_id=7, send_at_s=0.0)
    assert json_of(send_message(again, (), "b")) == {
        "originalMessageId": "7",
        "to": [{"phoneNumber": BOB}],
        "sendTime": "1970-01-01T00:00:00.000Z",
    }


def test_a_text_with_files_begins_with_json(path: Path) -> None:
    fields, file = pieces_of(send_message(MMS, (path,), "b-1"))
    assert fields.content_type == "application/json"
    assert json.loads(fields.data) == {
        "from": {"phoneNumber": ANN},
        "to": [{"phoneNumber": BOB}, {"phoneNumber": ANN}],
        "text": "é",
    }
    assert (file.content_type, file.file_name, file.data) == ("image/png", "a.png", path.read_bytes())


def test_a_fax_is_a_form(path: Path) -> None:
    *fields, first, second = pieces_of(send_message(FAX, (path, path), "b-1"))
    assert [(each.name, each.data.decode()) for each in fields] == [
        ("to", BOB),
        ("to", ANN),
        ("faxResolution", "Low"),
        ("coverIndex", "2"),
        ("coverPageText", "ö\nü"),
        ("sendTime", "2026-11-20T12:00:00.500Z"),
    ]
    assert first == second
    assert (first.name, first.content_type, first.data) == (
        "attachment",
        "application/pdf",
        path.read_bytes(),
    )
    bare = Outgoing(SendKind.FAX, (BOB,), files=FAX.files[:1])
    assert [each.name for each in pieces_of(send_message(bare, (path,), "b"))] == ["to", "attachment"]


def test_greetings_and_prompts_are_forms(path: Path) -> None:
    file = file_of("hello.wav", "audio/wav")
    kind, rule, binary = pieces_of(set_greeting("Voicemail", "business-hours-rule", file, path, "b"))
    assert (kind.data, rule.data, rule.name) == (b"Voicemail", b"business-hours-rule", "answeringRuleId")
    assert (binary.name, binary.content_type, binary.data) == ("binary", "audio/wav", path.read_bytes())
    assert len(pieces_of(set_company_greeting("Company", "", file, path, "b"))) == 2
    name, attachment = pieces_of(add_prompt("Hello", file, path, "b"))
    assert (name.data, attachment.name) == (b"Hello", "attachment")
    with pytest.raises(ValueError, match="no answering rule can have this id"):
        set_greeting("Voicemail", "..", file, path, "b")


@needs_description
@pytest.mark.parametrize(
    "request_",
    [
        send_message(Outgoing(SendKind.SMS, (BOB,), ANN, "hi"), (), "b"),
        send_message(Outgoing(SendKind.PAGE, ("102",), "101", "hi"), (), "b"),
        send_message(MMS, (Path("x"),), "b"),
        send_message(FAX, (Path("x"),) * 2, "b"),
        send_message(Outgoing(SendKind.FAX, (BOB,), resend_id=7), (), "b"),
        set_greeting("Voicemail", "r", file_of("a.wav", "audio/wav"), Path("x"), "b"),
        set_company_greeting("Company", "", file_of("a.wav", "audio/wav"), Path("x"), "b"),
        list_phone_numbers(),
        list_sent("SMS", 0.0),
    ],
    ids=lambda request: request.operation,
)
def test_requests_are_those_of_the_description(request_: Request) -> None:
    method, template, described = operation(request_.operation)
    path = template.replace("{accountId}", "~").replace("{extensionId}", "~")
    assert (request_.method, request_.url, request_.group) == (
        method,
        path,
        described["x-throttling-group"].lower(),
    )
    assert request_.repeatable == (method == "GET")
    if request_.body is not None:
        media_type = request_.body.media_type.partition(";")[0]
        assert media_type in described["requestBody"]["content"]


def test_answers() -> None:
    assert sent_message({"id": 7, "type": "SMS"}).id == 7
    with pytest.raises(ServerError, match="no usable id"):
        sent_message({"type": "SMS"})
    assert own_numbers({"records": [{"phoneNumber": BOB}, 7, {}]})[0].number == BOB


def client_for(handler: Any) -> Client:
    hosts = AllowedHosts("https://platform.ringcentral.com", "https://media.ringcentral.com")
    return Client(hosts, user_agent="rcfs/test", transport=handler)


class Slow(httpx.AsyncBaseTransport):
    """A server that takes its time for each piece of a body."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self.got = b""
        self.headers = httpx.Headers()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.headers = request.headers
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for piece in request.stream:
            self.got += piece
            await trio.sleep(self.pause_s)
        return httpx.Response(200, json={})


@pytest.fixture
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)


@pytest.mark.usefixtures("_no_threads")
async def test_a_large_body_has_a_minute_for_each_piece(path: Path, autojump_clock: object) -> None:
    server = Slow(HEADERS_WITHIN_S - 1)
    request = send_message(FAX, (path, path), "b-1")
    async with client_for(server).send(request, "token") as answer:
        assert answer.status == 200
    assert isinstance(request.body, MultipartBody)
    assert server.got == b"".join(request.body.pieces())
    assert server.headers["Content-Length"] == str(request.body.size_bytes)
    assert "Transfer-Encoding" not in server.headers
    assert server.headers["Content-Type"] == request.body.media_type


@pytest.mark.usefixtures("_no_threads")
async def test_a_server_that_takes_no_more_of_a_body_fails(path: Path, autojump_clock: object) -> None:
    with pytest.raises(TransportError, match="no answer in time"):
        async with client_for(Slow(HEADERS_WITHIN_S + 1)).send(send_message(MMS, (path,), "b"), "token"):
            pass


async def test_a_file_that_became_shorter_is_not_sent(path: Path) -> None:
    request = send_message(MMS, (path,), "b")
    path.write_bytes(b"x")
    with pytest.raises(StoreError, match="has become shorter"):
        async with client_for(Slow(0)).send(request, "token"):
            pass
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read: No such file"):
        async with client_for(Slow(0)).send(request, "token"):
            pass
