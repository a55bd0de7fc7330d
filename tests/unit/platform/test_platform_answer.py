import gzip
import json
import time
import zlib
from datetime import UTC, datetime

import attrs
import httpx
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

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
from rcfs.model import RateHeaders, UsageGroup
from rcfs.platform import Answer, refusal
from tests.fakes.rig import noise
from tests.fakes.scripted import End, Reply, _Body

BODY_GAP_S = 30.0
"""Longest silence within a body."""
BODY_WITHIN_S = 300.0
"""Longest time for a body that is read whole."""

# httpx leaves the inner of its nested generators to the garbage collector when the outer one ends early.
abandoned_body = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


def answer(headers: dict[str, str] | None = None, status: int = 200, body: bytes = b"") -> Answer:
    request = httpx.Request("GET", "https://platform.ringcentral.com/a/b?c=d")
    return Answer(httpx.Response(status, headers=headers, content=body or None, request=request))


def streamed(reply: Reply) -> Answer:
    request = httpx.Request("GET", "https://platform.ringcentral.com/")
    return Answer(httpx.Response(200, headers=dict(reply.headers), stream=_Body(reply), request=request))


@pytest.mark.parametrize(
    ("headers", "rate"),
    [
        ({}, None),
        ({"X-Rate-Limit-Limit": "40", "X-Rate-Limit-Remaining": "3"}, None),
        ({"X-Rate-Limit-Group": "  "}, None),
        ({"X-Rate-Limit-Group": "medium" + "m" * 60}, None),
        ({"X-Rate-Limit-Group": "m\x1b[31medium"}, None),
        ({"X-Rate-Limit-Group": "medium", "X-Rate-Limit-Remaining": "-3"}, RateHeaders(UsageGroup("medium"))),
        ({"X-Rate-Limit-Group": "medium"}, RateHeaders(UsageGroup("medium"))),
        (
            {
                "x-rate-limit-group": "Medium",
                "X-RATE-LIMIT-LIMIT": "40",
                "X-Rate-Limit-Remaining": "0",
                "X-Rate-Limit-Window": "60",
            },
            RateHeaders(UsageGroup("medium"), 40, 0, 60.0),
        ),
        (
            {
                "X-Rate-Limit-Group": "light",
                "X-Rate-Limit-Limit": "0",
                "X-Rate-Limit-Remaining": "-1",
                "X-Rate-Limit-Window": "0",
            },
            RateHeaders(UsageGroup("light")),
        ),
        (
            {
                "X-Rate-Limit-Group": "light",
                "X-Rate-Limit-Limit": "many",
                "X-Rate-Limit-Remaining": "1.5",
                "X-Rate-Limit-Window": "9" * 400,
            },
            RateHeaders(UsageGroup("light")),
        ),
    ],
)
def test_invalid_rate_headers_are_ignored(headers: dict[str, str], rate: RateHeaders | None) -> None:
    assert answer(headers).rate == rate


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "60"}, 60.0),
        ({"Retry-After": " 0 "}, 0.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "1.5"}, None),
        (
            {"Date": "Tue, 03 Nov 2026 17:00:00 GMT", "Retry-After": "Tue, 03 Nov 2026 17:02:00 GMT"},
            120.0,
        ),
        ({"Date": "Tue, 03 Nov 2026 17:00:00 GMT", "Retry-After": "Tue Nov  3 17:02:00 2026"}, 120.0),
        ({"Date": "Tue, 03 Nov 2026 17:00:00 GMT", "Retry-After": "Tue, 03 Nov 2026 16:00:00 GMT"}, 0.0),
        ({"Retry-After": "Tue, 03 Nov 2026 17:02:00 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_clock(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert answer(headers).retry_after_s == seconds


def test_a_date_without_a_zone_is_utc_in_every_local_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert answer({"Date": "Sun Nov  6 08:49:37 1994"}).date_s == 784111777.0
        for year in ("1969", "2100", "9999"):
            assert answer({"Date": f"Fri, 31 Dec {year} 23:59:59 GMT"}).date_s is None, year
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
@example("9" * 30)
@example("0")
@example("Fri, 31 Dec 9999 23:59:59 GMT")
@example("http://[")
@example("//\x7f")
@example("bytes 99-0/1")
@example("gzip, gzip; x")
def test_any_text_in_a_header_gives_a_valid_value_or_none(text: str) -> None:
    names = ["Retry-After", "Date", "Content-Range", "Content-Length", "Location", "Content-Type",
             "Content-Encoding", "X-Rate-Limit-Group", "X-Rate-Limit-Limit", "X-Rate-Limit-Remaining",
             "X-Rate-Limit-Window"]  # fmt: skip
    given = answer(dict.fromkeys(names, text))
    in_group = answer({**dict.fromkeys(names, text), "X-Rate-Limit-Group": "medium"})
    assert given.content_type == text
    assert given.retry_after_s is None or 0 <= given.retry_after_s < 1e18
    assert given.date_s is None or 0 <= given.date_s < datetime(2100, 1, 1, tzinfo=UTC).timestamp()
    assert given.content_length is None or 0 <= given.content_length < 10**18
    start, stop, total = given.content_range
    assert (start is None) == (stop is None)
    assert start is None or stop is None or 0 <= start < stop
    assert total is None or total >= 0
    assert given.location == "" or httpx.URL(given.location).scheme
    assert given.media_type == text.partition(";")[0].strip().lower()
    assert given.encoded or given.readable
    assert given.rate is None or given.rate.group == text.strip().lower()
    assert in_group.rate is not None
    assert in_group.rate.limit is None or 0 < in_group.rate.limit < 10**18
    assert in_group.rate.remaining is None or 0 <= in_group.rate.remaining < 10**18
    assert in_group.rate.window_s is None or 0 < in_group.rate.window_s < 1e18


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-99/200", (0, 100, 200)),
        ("Bytes 0-99/200", (0, 100, 200)),
        ("bytes 100-199/*", (100, 200, None)),
        ("bytes */200", (None, None, 200)),
        ("bytes */*", (None, None, None)),
        ("bytes 99-0/200", (None, None, None)),
        ("bytes 0-/200", (None, None, None)),
        ("bytes=0-99/200", (None, None, None)),
        ("items 0-99/200", (None, None, None)),
        ("bytes 0-99", (None, None, None)),
        ("bytes 0-99/" + "9" * 19, (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_content_range_becomes_a_half_open_range(
    header: str, expected: tuple[int | None, int | None, int | None]
) -> None:
    assert answer({"Content-Range": header}).content_range == expected


@pytest.mark.parametrize(
    ("coding", "encoded", "readable"),
    [
        (None, False, True),
        ("", False, True),
        ("identity", False, True),
        ("GZIP", True, True),
        ("gzip, deflate", True, False),
        ("gzip,gzip", True, False),
        ("deflate", True, True),
        ("br", True, False),
        ("gzip, zstd", True, False),
    ],
)
def test_an_answer_knows_its_coding_and_whether_it_decodes_it(
    coding: str | None, encoded: bool, readable: bool
) -> None:
    given = streamed(Reply(headers={} if coding is None else {"Content-Encoding": coding}))
    assert (given.encoded, given.readable) == (encoded, readable)


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (None, ""),
        ("", ""),
        ("/x?y=z", "https://platform.ringcentral.com/x?y=z"),
        ("e", "https://platform.ringcentral.com/a/e"),
        ("https://media.ringcentral.com/x", "https://media.ringcentral.com/x"),
        ("//media.ringcentral.com/x", "https://media.ringcentral.com/x"),
        ("https://[::1", ""),
    ],
)
def test_a_location_becomes_an_absolute_url_or_is_empty(target: str | None, url: str) -> None:
    assert answer({} if target is None else {"Location": target}, 302).location == url


def test_the_other_headers() -> None:
    given = answer({"Content-Type": "Audio/WAV; x=y", "RCRequestId": "r-1", "Content-Length": "12"}, 206)
    assert (given.status, given.media_type, given.request_id, given.content_length) == (
        206,
        "audio/wav",
        "r-1",
        12,
    )
    bare = answer()
    bare._response.headers.clear()
    assert (bare.media_type, bare.request_id, bare.content_length) == ("", "", None)


async def test_a_body_is_decoded_and_cut() -> None:
    packed = gzip.compress(b"abcdef")
    whole = streamed(Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    assert await whole.body() == b"abcdef"
    pieces = streamed(Reply(pieces=[b"abc", b"def", b"ghi"]))
    assert await pieces.beginning(5) == b"abcde"
    assert await pieces.receive() == b"ghi"
    assert not pieces.ended
    assert await pieces.receive() == b""
    assert pieces.ended


@pytest.mark.parametrize("end", [End.RESET, End.TRUNCATED])
async def test_a_broken_body_is_a_transport_error(end: End) -> None:
    given = streamed(Reply(body=b"abc", end=end))
    assert await given.receive() == b"abc"
    with pytest.raises(TransportError, match=r"platform\.ringcentral\.com"):
        await given.receive()


@abandoned_body
async def test_a_body_that_arrives_too_slowly_is_a_transport_error(autojump_clock: object) -> None:
    drip = streamed(Reply(pieces=[b"x"] * 1000, gap_s=BODY_GAP_S - 1))
    with pytest.raises(TransportError, match="sent fewer than"):
        await drip.beginning(1000)
    assert trio.current_time() < 4 * BODY_GAP_S
    slow = streamed(Reply(pieces=[b"x" * 1024] * 100, gap_s=2.0))
    assert len(await slow.beginning(1 << 20)) == 100 << 10
    page = streamed(Reply(pieces=[b"x" * 20_000] * 100, gap_s=BODY_GAP_S - 1))
    before_s = trio.current_time()
    with pytest.raises(TransportError):
        await page.body()
    assert trio.current_time() - before_s == BODY_WITHIN_S


def coded(data: bytes, *codings: str) -> Reply:
    """An answer whose body is `data`, encoded in all `codings`."""
    for coding in codings:
        data = gzip.compress(data) if coding == "gzip" else zlib.compress(data)
    return Reply(body=data, headers={"Content-Encoding": ", ".join(codings)})


@abandoned_body
@pytest.mark.parametrize("codings", [("gzip", "gzip"), ("deflate", "gzip"), ("gzip", "identity", "deflate")])
async def test_a_second_coding_is_refused(codings: tuple[str, ...]) -> None:
    with pytest.raises(ServerError, match="coding"):
        await streamed(coded(b"{}", *codings)).body()
    assert await streamed(coded(b"{}", *codings)).beginning(100) == b""


@abandoned_body
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_one_coding_is_decoded_in_steps(coding: str) -> None:
    data = bytes(5_000_000)
    given, pieces = streamed(coded(data, coding)), []
    while piece := await given.receive():
        pieces.append(piece)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 256 << 10
    with pytest.raises(ServerError, match="more than 1,000 bytes"):
        await streamed(coded(data, coding)).body(1000)


async def test_deflate_without_a_header_is_decoded() -> None:
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(b"abc" * 1000) + packer.flush()
    assert await streamed(Reply(body=body, headers={"Content-Encoding": "deflate"})).body() == b"abc" * 1000


@abandoned_body
async def test_compressed_data_that_ends_early_is_a_transport_error() -> None:
    reply = coded(noise(1000), "gzip")
    with pytest.raises(TransportError, match="ended early"):
        await streamed(attrs.evolve(reply, body=reply.body[:-200])).body()
    assert await streamed(attrs.evolve(reply, body=b"")).body() == b""


@abandoned_body
@pytest.mark.parametrize("unit", [b"{},", b"[],", b'"ab",', b'{"a":1},', b'"\\"",'])
async def test_json_of_too_many_values_is_refused_before_it_is_decoded(unit: bytes) -> None:
    with pytest.raises(ServerError, match="more than 1,000 values"):
        await streamed(Reply(body=b"[" + unit * 1100 + b"1]")).body(max_values=1000)


@pytest.mark.parametrize("text", [b"," * 5000, b'{[\\",' * 1000, b"," * 1000 + b"\\\\"])
async def test_commas_and_brackets_in_texts_are_not_counted_as_values(text: bytes) -> None:
    body = b'{"records":[{"id":1,"subject":"' + text + b'"},{"id":2}]}'
    assert await streamed(Reply(body=body)).body(max_values=10) == body


async def test_a_text_that_does_not_end_is_searched_once() -> None:
    body = b'["' + b'\\",' * 500_000
    assert await streamed(Reply(body=body)).body(max_values=10) == body


async def test_silence_within_a_body_is_a_transport_error(autojump_clock: object) -> None:
    given = streamed(Reply(pieces=[b"abc", b"def"], gap_s=BODY_GAP_S - 1, end=End.STALL))
    assert await given.receive() == b"abc"
    assert await given.receive() == b"def"
    before_s = trio.current_time()
    with pytest.raises(TransportError, match="no answer in time"):
        await given.receive()
    assert trio.current_time() - before_s == pytest.approx(BODY_GAP_S)


@abandoned_body
async def test_damaged_compression_is_a_transport_error() -> None:
    with pytest.raises(TransportError, match="cannot decode"):
        await streamed(Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"})).body()


BODIES = {
    "envelope": b'{"errorCode":"CMN-102","message":"Not here"}',
    "errors only": b'{"errors":[{"errorCode":"CMN-102","message":"Not here"}]}',
    "oauth": b'{"error":"CMN-102","error_description":"Not here"}',
    "code of a wrong type": b'{"errorCode":7,"errors":[{"errorCode":"CMN-102","message":"Not here"}]}',
}
NO_ENVELOPES = [b"", b"<html>502</html>", b"null", b"[]", b"7", b"{}", b'{"errors":[]}', b'{"errors":[7]}',
                b'{"errors":{}}', b'{"errorCode":7,"message":[]}', b"\xff\xfe", b"[" * 60_000]  # fmt: skip
KINDS = {
    400: BadRequestError,
    401: AuthError,
    403: ForbiddenError,
    404: NotFoundError,
    405: BadRequestError,
    409: BadRequestError,
    416: BadRequestError,
    429: RateLimitedError,
    500: ServerError,
    503: ServerError,
    599: ServerError,
}


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_refusal_has_the_class_of_its_status_and_the_text_of_its_envelope(
    status: int, kind: type[PlatformError], body: bytes
) -> None:
    error = refusal(status, body, operation="readMessage", request_id="r-1")
    assert type(error) is kind
    assert (error.code, error.request_id) == ("CMN-102", "r-1")
    assert str(error) == f"readMessage: HTTP {status} CMN-102, Not here"


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
def test_a_refusal_needs_no_envelope(status: int, kind: type[PlatformError]) -> None:
    for body in NO_ENVELOPES:
        error = refusal(status, body, operation="readMessage")
        assert type(error) is kind
        assert (error.code, str(error)) == ("", f"readMessage: HTTP {status}")


@pytest.mark.parametrize("status", [400, 404, 409, 500, 503])
def test_a_fax_that_is_being_processed_is_not_missing(status: int) -> None:
    error = refusal(status, b'{"errorCode":"MSG-368"}', operation="x")
    assert type(error) is NotReadyError
    assert error.retryable


def test_a_server_error_keeps_its_retry_after() -> None:
    error = refusal(503, b"", operation="x", retry_after_s=7.0)
    assert isinstance(error, ServerError)
    assert error.retry_after_s == 7.0


def test_the_servers_message_becomes_one_printable_line_of_bounded_length() -> None:
    body = json.dumps({"message": "a\n\x1b[31mb\t c\u202e" + "d" * 10_000}).encode()
    text = str(refusal(400, body, operation="x"))
    assert text.startswith("x: HTTP 400, a [31mb c d")
    assert text.isprintable()
    assert len(text) < 600
