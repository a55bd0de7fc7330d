"""Recordings of the simulator: their records, and contents that are made while they are streamed."""

import hashlib
import io
import json
import shutil
import subprocess
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from rcfs.model import Plan, UsageGroup
from rcfs.simulator import AccountSpec, Simulator, SimulatorConfig
from rcfs.simulator.account._call_values import SimRecording
from rcfs.simulator.admin._truth import MEDIA_KINDS
from rcfs.simulator.media._call import MP3, WAV, CallAudio
from rcfs.simulator.media._content import MediaBases
from tests.fakes.simulated import in_process, logged_in

COMPANY = "/restapi/v1.0/account/~"
CONFIG = SimulatorConfig(AccountSpec(messages=100), calls=200, plans={UsageGroup("heavy"): Plan(limit=1000)})


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[Simulator, httpx.AsyncClient]]:
    config = attrs.evolve(CONFIG, **settings)
    async with in_process(config) as (simulator, endpoints), logged_in(endpoints) as http:
        yield simulator, http


def recordings_of(simulator: Simulator) -> list[SimRecording]:
    """All recordings, the smallest first."""
    found = simulator.calls.recordings(simulator.account.spec.end_s)
    return sorted(found, key=lambda recording: recording.audio.size_bytes)


@pytest.mark.parametrize("content_type", [WAV, MP3])
def test_any_part_is_the_same_as_in_the_whole(content_type: str) -> None:
    audio = CallAudio("1/2", 33, content_type, MediaBases())
    whole = audio.read(0, audio.size_bytes)
    assert len(whole) == audio.size_bytes
    assert audio.read(audio.size_bytes, audio.size_bytes + 5) == b""
    for start, stop in [(0, 1), (3, 43), (44, 45), (40, 20_000), (7_001, 7_002), (len(whole) - 1, 10**9)]:
        assert audio.read(start, stop) == whole[start:stop]
    assert CallAudio("1/3", 33, content_type, MediaBases()).read(0, 100_000) != whole[:100_000]


def test_wav_recordings_can_be_played() -> None:
    audio = CallAudio("1/2", 31, WAV, MediaBases())
    with wave.open(io.BytesIO(audio.read(0, audio.size_bytes))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.getnframes() == 31 * 8000
        assert len(set(file.readframes(8000))) > 100, "there is a voice on it"


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_mp3_recordings_can_be_played(tmp_path: Path) -> None:
    audio = CallAudio("1/2", 31, MP3, MediaBases())
    (tmp_path / "a.mp3").write_bytes(audio.read(0, audio.size_bytes))
    played = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.mp3"), "-f", "s16le", "-"],
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert played.stderr == b""
    assert len(played.stdout) / 16_000 == pytest.approx(31, abs=0.2)


async def test_every_recording_of_the_log_has_its_true_content_on_both_origins() -> None:
    async with running() as (simulator, http):
        truth = {str(recording.id): recording for recording in recordings_of(simulator)}
        log = await http.get(
            f"{COMPANY}/call-log",
            params={"dateFrom": "2020-01-01T00:00:00Z", "view": "Detailed", "perPage": "max"},
        )
        shown = {
            leg["recording"]["id"]: leg["recording"]
            for record in log.json()["records"]
            for leg in record["legs"]
            if "recording" in leg
        }
        assert set(shown) == set(truth)
        for recording_id, recording in truth.items():
            told = (await http.get(shown[recording_id]["uri"])).json()
            assert told["contentUri"] == shown[recording_id]["contentUri"]
            assert (told["contentType"], told["duration"]) == (
                recording.audio.content_type,
                recording.audio.duration_s,
            )
        small = recordings_of(simulator)[0]
        content_uri = shown[str(small.id)]["contentUri"]
        assert not content_uri.startswith(str(http.base_url))
        for uri in (content_uri, f"{COMPANY}/recording/{small.id}/content"):
            content = await http.get(uri)
            assert content.content == small.audio.read(0, small.audio.size_bytes)
            assert content.headers["content-type"] == small.audio.content_type
        assert {recording.audio.content_type for recording in truth.values()} == {WAV, MP3}


async def test_the_truth_about_recordings_and_greetings() -> None:
    async with running(spec=AccountSpec(messages=0, extensions=1), calls=20) as (simulator, http):
        lines = (await http.get("/simulator/truth/media")).text.splitlines()
        rows = [json.loads(line) for line in lines]
        assert {row["kind"] for row in rows} == set(MEDIA_KINDS)
        assert len([row for row in rows if row["kind"] == "Recording"]) == len(recordings_of(simulator))
        refused = {extension.id for extension in simulator.account.extensions if extension.mailbox_refused}
        for row in rows:
            if row["kind"] == "Greeting" and row["extension_id"] in refused:
                continue
            content = await http.get(row["path"])
            assert (len(content.content), content.headers["content-type"]) == (
                row["size_bytes"],
                row["content_type"],
            )
            assert hashlib.sha256(content.content).hexdigest() == row["sha256"]
        only = (await http.get("/simulator/truth/media?kind=Greeting&kind=IvrPrompt")).text.splitlines()
        assert only == [line for line in lines if json.loads(line)["kind"] in ("Greeting", "IvrPrompt")]
        assert (await http.get("/simulator/truth/media?kind=Song")).status_code == 400


async def test_a_large_recording_is_streamed_and_cut_by_ranges() -> None:
    async with running() as (simulator, http):
        large = recordings_of(simulator)[-1]
        size, digest, received = large.audio.size_bytes, hashlib.sha256(), 0
        assert size > 50_000_000
        url = f"{COMPANY}/recording/{large.id}/content"
        async with http.stream("GET", url) as answer:
            assert answer.headers["content-length"] == str(size)
            async for piece in answer.aiter_raw():
                digest.update(piece)
                received += len(piece)
        assert received == size
        expected = hashlib.sha256()
        for start in range(0, size, 1 << 20):
            expected.update(large.audio.read(start, start + (1 << 20)))
        assert digest.digest() == expected.digest()
        tail = await http.get(url, headers={"Range": f"bytes={size - 1000}-"})
        assert (tail.status_code, tail.content) == (206, large.audio.read(size - 1000, size))
        assert (await http.get(url, headers={"Range": f"bytes={size}-"})).status_code == 416


async def test_recordings_are_for_their_owner_and_for_admins() -> None:
    async with running(standard_user=True) as (simulator, http):
        mine = (await http.get(f"{COMPANY}/extension/~")).json()["id"]
        owners = {recording.extension_id for recording in recordings_of(simulator)}
        assert mine in owners
        assert len(owners) > 1
        for recording in recordings_of(simulator):
            answer = await http.get(f"{COMPANY}/recording/{recording.id}")
            assert answer.status_code == (200 if recording.extension_id == mine else 403)


@pytest.mark.parametrize("recording_id", ["1", "x", "0"])
async def test_unknown_recordings(recording_id: str) -> None:
    async with running() as (_, http):
        for path in ("", "/content"):
            answer = await http.get(f"{COMPANY}/recording/{recording_id}{path}")
            assert (answer.status_code, answer.json()["errorCode"]) == (404, "CMN-102")
