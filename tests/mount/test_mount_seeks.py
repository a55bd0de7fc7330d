"""Reads anywhere in a large file that is arriving, and files that two mounts want at once."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes import simulated
from tests.mount.conftest import COMMAND_S, FEW_CALLS, Mounted, Mounting, _end, sha256

pytestmark = pytest.mark.mount

ACCOUNT = "--messages=1000"
"""An account of fewer messages has no large fax."""
FAULTS: list[tuple[str, dict[str, Any], float]] = [
    ("reset_body", {"at_byte": 700_000}, 0.3),
    ("wrong_content_range", {}, 0.1),
    ("ignored_range", {}, 0.1),
    ("unasked_partial", {"first_bytes": 2_000_000}, 0.2),
    ("status", {"status": 503}, 0.1),
    ("trickle", {"piece_bytes": 1 << 16, "pause_s": 0.02}, 1.0),
]
"""(what happens, how, with which chance); a request has the first that befalls it."""

READER = """
import os, random, sys
path, truth_path, seed, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
truth, dice = open(truth_path, "rb").read(), random.Random(seed)
file = os.open(path, os.O_RDONLY)
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
for number in range(count):
    at, size = dice.randrange(len(truth)), dice.choice([1, 512, 4096, 60_000, 131_072])
    assert os.pread(file, size, at) == truth[at : at + size], (at, size)
    if number % 200 == 199:
        os.close(file)
        file = os.open(path, os.O_RDONLY)
print(count)
"""


@cache
def large_row() -> dict[str, Any]:
    """The truth about the one large fax of `ACCOUNT`, which is made of the same messages each time."""
    with simulated.start(ACCOUNT, *FEW_CALLS) as server:
        (row,) = [row for row in server.truth() if row["size_bytes"] > 8 << 20]
        return row


def large_fax(mount: Mounted) -> tuple[dict[str, Any], Path]:
    """The truth about the one large fax of an account, and where it is; only its mailbox is loaded."""
    row = large_row()
    (mailbox,) = (
        path.parent
        for path in mount.path.glob("*/extension.json")
        if json.loads(path.read_text())["id"] == row["extension_id"]
    )
    return row, next(mailbox.glob(f"Fax/*/*{row['message_id']}?/fax *.pdf"))


def true_bytes(mount: Mounted, row: dict[str, Any]) -> bytes:
    """The content of `row`, straight from the simulator."""
    server = mount.server
    with httpx.Client(base_url=server.platform_url, timeout=COMMAND_S) as http:
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": server.jwt}
        login = http.post("/restapi/oauth/token", data=form, auth=(server.client_id, server.client_secret))
        store = f"/restapi/v1.0/account/~/extension/{row['extension_id']}/message-store/{row['message_id']}"
        token = login.raise_for_status().json()["access_token"]
        answer = http.get(
            f"{store}/content/{row['attachment_id']}", headers={"Authorization": f"Bearer {token}"}
        )
        return answer.raise_for_status().content


def content_ranges(mount: Mounted) -> list[str]:
    """The Range headers of the requests for content so far."""
    return [entry["range"] for entry in mount.server.journal(operation="readMessageContent")]


def test_head_and_tail_of_a_large_file_are_two_requests(mounting: Mounting) -> None:
    mount = mounting(ACCOUNT)
    row, path = large_fax(mount)
    # Half a megabyte a second, so that it takes twenty; a request costs 1.5 s.
    mount.server.fault("trickle", operation="readMessageContent", piece_bytes=1 << 16, pause_s=0.12)
    with path.open("rb", buffering=0) as file:
        assert file.read(4) == b"%PDF"
        file.seek(-1000, os.SEEK_END)
        tail = file.read()
        assert os.getxattr(path, "user.rcfs.cached") == b"partial", "the tail did not wait for the rest"
    assert len(tail) == 1000
    assert b"%%EOF" in tail
    assert sha256(path) == row["sha256"]
    ranges = content_ranges(mount)
    assert len(ranges) == 2
    assert ranges[0] == ""
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) >= row["size_bytes"] - (1 << 20) - 4096


def test_several_processes_read_anywhere_while_faults_happen(mounting: Mounting, tmp_path: Path) -> None:
    mount = mounting(ACCOUNT, "--limit=medium=2000", "--limit=light=2000")
    row, path = large_fax(mount)
    truth = tmp_path / "truth"
    truth.write_bytes(true_bytes(mount, row))
    assert sha256(truth) == row["sha256"]
    for seed, (kind, options, probability) in enumerate(FAULTS):
        mount.server.fault(
            kind, operation="readMessageContent", probability=probability, seed=seed, count=None, **options
        )
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(path), str(truth), str(seed), "1000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    try:
        results = [reader.communicate(timeout=COMMAND_S) for reader in readers]
    finally:
        for reader in readers:
            reader.kill()
            reader.wait(COMMAND_S)
    assert [out.strip() for out, _err in results] == ["1000"] * 4, [err[-500:] for _out, err in results]
    assert sha256(path) == row["sha256"]
    summary = mount.server.summary()
    assert (summary["limited"], summary["in_penalty"]) == (0, 0)


@contextmanager
def second_mount(first: Mounted, home: Path) -> Iterator[Mounted]:
    """Another mount of the same account, with the same cache and a process of its own."""
    home.mkdir()
    mount = Mounted(home, first.server, f"--cache-dir={first.cache}")
    try:
        mount.mount()
        yield mount
    finally:
        _end(mount)


def load(mount: Mounted, path: Path) -> None:
    """Returns when the mailbox with that path is loaded; a lookup of the path might not wait for so long."""
    assert list((mount.path / path.parts[0]).iterdir())


def test_two_mounts_that_want_the_same_files_fetch_each_once(mounting: Mounting, tmp_path: Path) -> None:
    first = mounting(ACCOUNT, "--limit=medium=2000", "--limit=light=2000")
    with second_mount(first, tmp_path / "second") as second:
        row, fax = large_fax(first)
        small = sorted(first.path.glob("101 */Voicemail/*/*/voicemail *.*"))[:5]
        paths = [path.relative_to(first.path) for path in [fax, *small]]
        load(second, fax.relative_to(first.path))
        first.server.reset_journal()
        first.server.fault("slow", operation="readMessageContent", delay_s=0.5, count=None)
        readers = [
            subprocess.Popen(["cat", str(mount.path / path)], stdout=subprocess.DEVNULL)
            for path in paths
            for mount in (first, second)
        ]
        assert [reader.wait(COMMAND_S) for reader in readers] == [0] * len(readers)
        assert len(content_ranges(first)) == len(paths)
        assert sha256(second.path / paths[0]) == sha256(fax) == row["sha256"]


def test_a_mount_goes_on_where_one_that_fetched_was_killed(mounting: Mounting, tmp_path: Path) -> None:
    first = mounting(ACCOUNT, "--limit=medium=2000", "--limit=light=2000")
    with second_mount(first, tmp_path / "second") as second:
        row, fax = large_fax(first)
        load(second, fax.relative_to(first.path))
        first.server.fault("stall", operation="readMessageContent", at_byte=6 << 20, for_s=25.0)
        with fax.open("rb") as file:
            file.read(5 << 20)
            other = subprocess.Popen(
                ["sha256sum", str(second.path / fax.relative_to(first.path))],
                stdout=subprocess.PIPE,
                text=True,
            )
            os.kill(first.pid, 9)
            out, _err = other.communicate(timeout=COMMAND_S)
        assert out.split()[0] == row["sha256"]
        ranges = content_ranges(first)
        assert len(ranges) == 2
        # Of the five MiB that were read one may have been on its way to the disk, and the next behind it.
        assert int(ranges[1].removeprefix("bytes=").rstrip("-")) >= 3 << 20, "it had the rest only to fetch"
