"""Contents of the simulator: bytes, ranges, and both origins."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
import trio

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig, TruthRow
from rcfs.simulator._delivery import PIECE_BYTES
from rcfs.simulator._ranges import requested_bytes
from rcfs.simulator._wire import ApiError
from tests.fakes.simulated import in_process, logged_in

CONFIG = SimulatorConfig(AccountSpec(messages=40), plans={UsageGroup("medium"): Plan(limit=1000)})


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient, str]]:
    """A simulator, a logged-in client, and the media origin."""
    async with (
        in_process(attrs.evolve(CONFIG, **settings)) as (simulator, endpoints),
        logged_in(endpoints) as http,
    ):
        yield simulator, http, endpoints.media_url


def path_of(row: TruthRow) -> str:
    mailbox = f"/restapi/v1.0/account/~/extension/{row.extension_id}"
    return f"{mailbox}/message-store/{row.message_id}/content/{row.attachment_id}"


def a_content(simulator: Simulator, kind: str = "AudioRecording") -> TruthRow:
    return next(row for row in simulator.account.truth() if row.kind == kind)


async def test_every_attachment_of_every_listed_record_is_the_true_one() -> None:
    async with running() as (simulator, http, media_url):
        truth = {(row.message_id, row.attachment_id): row for row in simulator.account.truth()}
        found = set()
        for extension in simulator.account.extensions:
            if extension.mailbox_refused:
                continue
            listing = await http.get(
                f"/restapi/v1.0/account/~/extension/{extension.id}/message-store",
                params={"dateFrom": "2020-01-01T00:00:00Z", "availability": ["Alive", "Deleted"]},
            )
            for record in listing.json()["records"]:
                for attachment in record["attachments"]:
                    assert attachment["uri"].startswith((str(http.base_url), media_url))
                    content = await http.get(attachment["uri"])
                    row = truth[record["id"], attachment["id"]]
                    assert (content.status_code, len(content.content)) == (200, row.size_bytes)
                    assert content.headers["content-length"] == str(row.size_bytes)
                    assert content.headers["content-type"] == row.content_type
                    assert hashlib.sha256(content.content).hexdigest() == row.sha256
                    found.add((record["id"], attachment["id"]))
        assert found == set(truth)


async def test_media_origin_has_contents_only_and_takes_a_token_in_the_query() -> None:
    async with running() as (simulator, http, media_url):
        row = a_content(simulator)
        token = http.headers.pop("Authorization").partition(" ")[2]
        on_media = await http.get(f"{media_url}{path_of(row)}?access_token={token}")
        assert len(on_media.content) == row.size_bytes
        assert (await http.get(f"{path_of(row)}?access_token={token}")).status_code == 401
        assert (await http.get(f"{media_url}/restapi/v1.0/account/~?access_token={token}")).status_code == 404
        assert (await http.get(f"{media_url}/simulator/journal")).status_code == 404
        assert token not in str(simulator.journal.entries())
        assert simulator.journal.entries()[1].query == "access_token=***"


async def test_ranges() -> None:
    async with running() as (simulator, http, _):
        row = a_content(simulator)
        size, url = row.size_bytes, path_of(row)
        whole = (await http.get(url)).content
        for header, start, stop in [
            ("bytes=0-0", 0, 1),
            ("bytes=100-199", 100, 200),
            (f"bytes={size - 1}-", size - 1, size),
            ("bytes=-10", size - 10, size),
            (f"bytes=5-{size * 2}", 5, size),
        ]:
            part = await http.get(url, headers={"Range": header})
            assert (part.status_code, part.content) == (206, whole[start:stop])
            assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        bad = await http.get(url, headers={"Range": f"bytes={size}-"})
        assert (bad.status_code, bad.json()["errorCode"]) == (416, "CMN-107")
        assert bad.headers["content-range"] == f"bytes */{size}"
        assert [entry.range for entry in simulator.journal.entries()][-1] == f"bytes={size}-"


@pytest.mark.parametrize(("header", "expected"), [("bytes=9-", (9, 10)), ("bytes=-99", (0, 10))])
def test_requested_bytes(header: str, expected: tuple[int, int]) -> None:
    assert requested_bytes(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=5-4", "bytes=10-", "bytes=-0", "bytes=0-1,3-4", "pages=1-2", "x"])
def test_bad_ranges(header: str) -> None:
    with pytest.raises(ApiError) as caught:
        requested_bytes(header, 10)
    assert caught.value.answer.status == 416


async def test_content_disposition() -> None:
    async with running() as (simulator, http, _):
        url = path_of(a_content(simulator))
        assert "content-disposition" not in (await http.get(url)).headers
        named = await http.get(
            url, params={"contentDisposition": "Attachment", "contentDispositionFilename": "4032.wav"}
        )
        assert named.headers["content-disposition"] == "attachment;filename=4032.wav"
        evil = {"contentDisposition": "Inline", "contentDispositionFilename": "a\r\nSet-Cookie: é;b"}
        header = (await http.get(url, params=evil)).headers.raw
        (sent,) = [value for name, value in header if name.lower() == b"content-disposition"]
        assert sent == "inline;filename=a__Set-Cookie: é_b".encode()
        wrong = await http.get(url, params={"contentDisposition": "Sideways"})
        assert (wrong.status_code, wrong.json()["parameterName"]) == (400, "contentDisposition")


async def test_contents_of_a_purged_message_are_gone_and_of_a_deleted_one_are_not() -> None:
    async with running() as (simulator, http, _):
        row = a_content(simulator)
        message_path = path_of(row).partition("/content/")[0]
        await http.delete(message_path)
        assert (await http.get(path_of(row))).status_code == 200
        await http.delete(message_path)
        assert (await http.get(path_of(row))).status_code == 404


async def test_large_contents_are_made_in_small_pieces_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as (simulator, http, _):
        row = a_content(simulator)
        served = _Recorded(size_bytes=3 * PIECE_BYTES + 5)
        monkeypatch.setattr(simulator.account, "content", lambda *_ids: served)
        answer = await http.get(path_of(row))
        assert len(answer.content) == served.size_bytes
        assert [stop - start for start, stop in served.reads] == [PIECE_BYTES] * 3 + [5]
        assert served.in_loop == 0


@attrs.define
class _Recorded:
    """A content of zeros that notes its reads."""

    size_bytes: int
    content_type: str = "audio/wav"
    file_name: str | None = None
    reads: list[tuple[int, int]] = attrs.field(factory=list)
    in_loop: int = 0

    def read(self, start: int, stop: int) -> bytes:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            self.reads.append((start, stop))
        else:
            self.in_loop += 1
        return bytes(stop - start)
