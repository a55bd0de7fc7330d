"""Recordings, greetings, prompts and call logs through a mount: every byte, and what each look costs."""

import csv
import errno
import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rcfs.model import ContentKey
from tests.mount.conftest import COMMAND_S, Mounted, mounts, run, sha256

pytestmark = pytest.mark.mount

ROOMY = tuple(f"--limit={group}=100000" for group in ("auth", "light", "medium", "heavy"))
Truth = dict[str, dict[str, Any]]
"""The expected contents by their paths, see `rcfs.simulator.admin._truth.MediaRow`."""
CLOSED = "104 Alex Kim"
"""The extension whose mailbox and greetings are refused to everybody; the company's log has its calls."""
CONTENT = "user.rcfs.key"
PRESETS = "/mobile/media/greeting/"
LOADS = ("readCompanyCallLog", "readUserCallLog", "syncAccountCallLog", "syncUserCallLog")
"""The requests for calls."""


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount whose months of calls and whose lists of greetings were looked into."""
    with mounts(tmp_path_factory.mktemp("media")) as make:
        made = make("--messages=40", "--calls=60", *ROOMY)
        made.tool("ls", "-lR", check=False)
        yield made


@pytest.fixture
def emptied(mount: Mounted) -> Mounted:
    """The same mount with an empty cache."""
    mount.empty_cache()
    mount.server.reset_journal()
    return mount


def media(mount: Mounted) -> dict[str, Path]:
    """The recordings, greetings and prompts by the paths of their contents; links are passed over."""
    found = {}
    for folder, _directories, files in os.walk(mount.path):
        for path in (Path(folder, name) for name in files):
            if path.is_symlink() or CONTENT not in os.listxattr(path):
                continue
            key = ContentKey.parse(os.getxattr(path, CONTENT).decode())
            if key.kind:
                found[key.resource] = path
    return found


@pytest.fixture
def truth(mount: Mounted) -> Truth:
    """The truth of what the login may read, by the paths of the contents."""
    (closed,) = (
        each["id"]
        for each in mount.server.api("GET", "extension")["records"]
        if each.get("extensionNumber") == CLOSED.partition(" ")[0]
    )
    rows = mount.server.media_truth()
    return {row["path"]: row for row in rows if (row["kind"], row["extension_id"]) != ("Greeting", closed)}


def content_requests(mount: Mounted) -> list[str]:
    """The paths of the requests for recordings, greetings, presets and prompts, sorted."""
    paths = (entry["path"] for entry in mount.server.journal())
    return sorted(path for path in paths if path.endswith("/content") or path.startswith(PRESETS))


def checksums(paths: dict[str, Path]) -> dict[str, str]:
    """The SHA-256 of files, as a program finds it that did not start the thumbnailer."""
    lines = run(["sha256sum", "--zero", *map(str, paths.values())]).stdout.split("\0")[:-1]
    return {path: line.partition(" ")[0] for path, line in zip(paths, lines, strict=True)}


def look(mount: Mounted, *command: str) -> "subprocess.CompletedProcess[str]":
    """A tool that looks at everything; the closed extension is refused to it."""
    return mount.tool(*command, check=False)


def test_every_content_once_and_byte_for_byte(emptied: Mounted, truth: Truth, tmp_path: Path) -> None:
    mount = emptied
    tumbler = shutil.copy(shutil.which("cat") or "cat", str(tmp_path / "tumblerd"))
    look(mount, "ls", "-lR")
    look(mount, "du", "-sh")
    look(mount, "find", ".", "-name", "*.mp3", "-size", "+1k", "-newermt", "2020-01-01")
    look(mount, "find", ".", "-type", "f", "-exec", "stat", "{}", "+")
    found = media(mount)
    assert found.keys() == truth.keys()
    assert {row["kind"] for row in truth.values()} == {
        "Recording",
        "Greeting",
        "CompanyGreeting",
        "StandardGreeting",
        "IvrPrompt",
    }
    done = run([tumbler, *map(str, found.values())], check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("Device or resource busy") == len(found)
    assert content_requests(mount) == []

    expected = {path: row["sha256"] for path, row in truth.items()}
    for _pass in range(2):
        assert checksums(found) == expected
    assert content_requests(mount) == sorted(truth)
    assert {path: found[path].stat().st_size for path in found} == {
        path: row["size_bytes"] for path, row in truth.items()
    }

    mount.remount()
    mount.server.reset_journal()
    found = media(mount)
    assert checksums(found) == expected
    assert content_requests(mount) == []
    assert [entry for entry in mount.server.journal() if entry["operation"] in LOADS] == []
    assert mount.server.summary()["limited"] == 0


def test_links_to_presets_and_by_contact_lead_to_files(mount: Mounted) -> None:
    links = [
        path
        for pattern in ("*/Greetings/*/*.mp3", "*/By-Contact/*/*.mp3")
        for path in mount.path.glob(pattern)
        if path.is_symlink()
    ]
    assert {path.parts[len(mount.path.parts) + 1] for path in links} == {"Greetings", "By-Contact"}
    for path in links:
        assert path.resolve().is_file()
        assert CONTENT in os.listxattr(path.resolve())


def test_call_logs_are_as_long_as_they_say_and_parse(mount: Mounted) -> None:
    logs = sorted(mount.path.glob("*/Calls/*"))
    assert {path.suffix for path in logs} == {".csv", ".jsonl"}
    recordings = set()
    for path in (each for each in logs if each.suffix == ".csv"):
        data, records = path.read_bytes(), path.with_suffix(".jsonl").read_bytes()
        assert (path.stat().st_size, path.with_suffix(".jsonl").stat().st_size) == (len(data), len(records))
        assert b"\r" not in data
        rows = list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))
        calls = [json.loads(line) for line in records.decode().splitlines()]
        assert [row["session_id"] for row in rows] == [call["sessionId"] for call in calls]
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
        for row in rows:
            assert None not in row, "as many cells as columns"
            cells = [cell for cell in row["recording"].split(" | ") if cell]
            assert all((mount.path / cell).is_file() for cell in cells)
            assert not row["message"] or (mount.path / row["message"]).exists()
            recordings |= set(cells)
    assert recordings == {
        str(path.relative_to(mount.path)) for path in mount.path.glob("*/Recordings/*/*.mp3")
    }
    assert recordings


def test_values_of_attributes(mount: Mounted) -> None:
    for log in mount.path.glob("101 */Calls/*.jsonl"):
        for call in map(json.loads, log.read_text().splitlines()):
            leg = next((leg for leg in call["legs"] if "recording" in leg), None)
            if leg is None:
                continue
            number = leg["recording"]["id"]
            (path,) = mount.path.glob(f"101 */Recordings/{log.stem}/*[[]{number}[]].mp3")
            values = {
                name: os.getxattr(path, f"user.rcfs.{name}").decode()
                for name in (
                    "recording_id",
                    "call_id",
                    "session_id",
                    "direction",
                    "duration",
                    "type",
                )
            }
            assert values == {
                "recording_id": number,
                "call_id": call["id"],
                "session_id": call["sessionId"],
                "direction": leg["direction"],
                "duration": str(leg["duration"]),
                "type": leg["recording"]["type"],
            }
            parties = (os.getxattr(path, f"user.rcfs.{way}").decode() for way in ("from", "to"))
            numbers = (leg[way].get("phoneNumber", "unknown") for way in ("from", "to"))
            assert list(parties) == list(numbers)
            return
    raise AssertionError("extension 101 has no recording")


def test_copies_and_grep(mount: Mounted, tmp_path: Path) -> None:
    name = next(path.name for path in mount.path.glob("101 *"))
    run(["cp", "-r", str(mount.path / name / "Recordings"), str(tmp_path / "cp")])
    mount.server.reset_journal()
    sync = ["rsync", "-a", "--stats", f"{mount.path / name}/Recordings", str(tmp_path / "rsync")]
    run(sync)
    assert "Number of regular files transferred: 0\n" in run(sync).stdout
    run(["diff", "-r", str(tmp_path / "cp"), str(tmp_path / "rsync" / "Recordings")])
    assert list((tmp_path / "cp").rglob("*.mp3"))
    row = json.loads(next(mount.path.glob("Company/Calls/*.jsonl")).read_text().splitlines()[0])
    found = mount.tool("grep", "-rlF", row["sessionId"], "Company/Calls").stdout.split()
    assert {path.rpartition(".")[2] for path in found} == {"csv", "jsonl"}
    assert content_requests(mount) == []
    assert [entry for entry in mount.server.journal() if entry["operation"] in LOADS] == []


def test_a_search_finds_recordings(mount: Mounted) -> None:
    path = next(mount.path.glob("101 */Recordings/*/* from +*.mp3"))
    number = path.name.partition(" from ")[2].partition(" ")[0]
    done = mount.rcfs("search", f"--state-dir={mount.state}", "--type=recording", number)
    assert str(path) in done.stdout
    search = mount.path / "Search" / number
    search.mkdir()
    try:
        (link,) = (link for link in search.iterdir() if link.resolve() == path)
        assert link.read_bytes() == path.read_bytes()
    finally:
        search.rmdir()


def test_pull_copies_recordings_of_a_time(emptied: Mounted, truth: Truth, tmp_path: Path) -> None:
    mount, found = emptied, media(emptied)
    recordings = {found[path]: row["sha256"] for path, row in truth.items() if row["kind"] == "Recording"}
    since = sorted(path.name for path in recordings)[-3].partition("T")[0]
    newest = {
        path.relative_to(mount.path): checksum for path, checksum in recordings.items() if path.name >= since
    }
    assert len(newest) < len(recordings)
    arguments = ("pull", *mount.engine_options, "--type=recording", f"--since={since}", f"--to={tmp_path}")
    mount.rcfs(*arguments)
    copies = {path.relative_to(tmp_path): sha256(path) for path in tmp_path.rglob("*.mp3")}
    assert copies == newest
    assert len(content_requests(mount)) == len(newest)
    mount.server.reset_journal()
    mount.rcfs(*arguments)
    assert content_requests(mount) == []
    assert sum(entry["operation"] in LOADS for entry in mount.server.journal()) <= 1, "a look for new ones"
    run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path)


def reading(path: Path) -> int:
    """The errno that reading `path` ends with, for a person, who tries one file; 0 for none."""
    done = subprocess.run(
        ["cat", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=COMMAND_S,
        check=False,
        start_new_session=True,
    )
    words = done.stderr.strip().rpartition(": ")[2]
    return next((number for number in errno.errorcode if os.strerror(number) == words), 0)


def shown(mount: Mounted) -> dict[str, int]:
    """The sizes of all files and links that are no part of a mailbox, by their paths below the mount."""
    views = {"Recordings", "Calls", "Greetings", "IVR Prompts"}
    return {
        str(path.relative_to(mount.path)): path.lstat().st_size
        for folder, _directories, files in os.walk(mount.path)
        for path in (Path(folder, name) for name in files)
        if views & set(path.parts)
    }


def test_what_is_deleted_has_no_data_and_offline_the_rest_is_there(emptied: Mounted) -> None:
    mount = emptied
    mount.rcfs("refresh", str(mount.path / "Company"))  # From here on the platform tells what changes.
    gone, cold = sorted(mount.path.glob("101 */Recordings/*/*.mp3"))[:2]
    recording_id, call_id = (os.getxattr(gone, f"user.rcfs.{name}") for name in ("recording_id", "call_id"))
    mount.server.delete_recording(int(recording_id), still_named=True)
    mount.server.reset_journal()
    assert [reading(gone) for _try in range(3)] == [errno.ENODATA] * 3
    assert len(content_requests(mount)) == 1
    assert gone.exists(), "the call log still names it"

    cached = next(mount.path.glob("Company/IVR Prompts/*"))
    data = cached.read_bytes()
    before = shown(mount)
    texts = {path: path.read_bytes() for path in mount.path.glob("*/Calls/*")}
    mount.umount()
    mount.server.reset_journal()
    options = mount.options
    mount.options = (*options, "--offline")
    mount.mount()
    assert shown(mount) == before
    assert {path: path.read_bytes() for path in texts} == texts
    assert cached.read_bytes() == data
    assert (reading(gone), reading(cold)) == (errno.ENODATA, errno.ENETUNREACH)
    assert mount.server.summary()["requests"] == 0

    # The call without a recording, for the other tests.
    mount.options = options
    mount.remount()
    for path in mount.path.glob("*/Recordings/*/*.mp3"):
        if os.getxattr(path, "user.rcfs.call_id") == call_id:
            mount.server.delete_recording(int(os.getxattr(path, "user.rcfs.recording_id")))
    unnamed = {"recording": None}
    mount.server.rewrite_call(call_id.decode(), unnamed, unnamed)
    mount.rcfs("refresh", str(mount.path / "Company"))
    assert not gone.exists()
