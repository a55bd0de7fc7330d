"""`rcfs audit` against the simulator, in processes: a clean archive passes, and each harm is found."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.mount.conftest import Mounted, Mounting, run, sha256

pytestmark = pytest.mark.mount

FAST = ("--limit=medium=100000", "--limit=light=100000", "--limit=heavy=100000", "--limit=auth=100000")
PARTIAL = 8


def audit(mount: Mounted, *arguments: str, code: int) -> list[dict[str, Any]]:
    """The events of an audit that ends with `code`."""
    done = mount.rcfs("audit", "--json", *arguments, check=False)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def findings(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The paths of the findings, by their kind."""
    found: dict[str, list[str]] = {}
    for event in events:
        if event["event"] == "finding":
            found.setdefault(event["trouble"], []).append(event["path"])
    return found


def test_a_clean_copy_passes_and_each_harm_is_found(mounting: Mounting, tmp_path: Path) -> None:
    mount = mounting("--messages=19", "--calls=0", *FAST, mount=False)
    copy = tmp_path / "copy"
    archive = f"--archive={copy}"
    mount.rcfs("pull", *mount.engine_options, "--to", str(copy))
    run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=copy)

    mount.server.reset_journal()
    events = audit(mount, *mount.engine_options, archive, code=0)
    end = events[-1]
    assert (end["event"], end["complete"]) == ("end", True)
    assert end["findings"].keys() <= {"refused"}
    assert end["total"]["contents_here"] == end["total"]["contents"] > 0
    assert end["kinds"]["Greetings"]["contents_here"] > 0
    asked = mount.server.journal()
    lists = Counter(entry["path"] for entry in asked if entry["operation"] == "listMessages")
    boxes = [
        event for event in events if event["event"] == "mailbox" and event["platform_messages"] is not None
    ]
    assert len(lists) == end["requests"] == len(boxes) + 1, "one mailbox may not be read"
    assert set(lists.values()) == {1}
    assert [entry for entry in asked if entry["operation"] in ("syncMessages", "readMessageContent")] == []
    assert [entry for entry in asked if entry["group"] == "heavy"] == []

    # A byte flipped, a file missing, a message deleted since, and another arrived.
    truth = {row["sha256"] for row in mount.server.truth()}
    sounds = sorted(path for path in copy.glob("*/*/20??-??/*/*") if path.is_file() and sha256(path) in truth)
    data = bytearray(sounds[0].read_bytes())
    data[-1] ^= 1
    sounds[0].write_bytes(data)
    sounds[1].unlink()
    owner = next(event for event in boxes if event["platform_messages"] > 1)
    box = f"extension/{owner['extension_id']}/message-store"
    listed = mount.server.api("GET", box, params={"dateFrom": "2000-01-01T00:00:00Z", "perPage": "1000"})
    gone = listed["records"][-1]["id"]
    mount.server.api("DELETE", f"{box}/{gone}", params={"purge": "true"})
    new = mount.server.arrive(owner["extension_id"], "VoiceMail")
    found = findings(audit(mount, *mount.engine_options, archive, code=PARTIAL))
    names = [str(path.relative_to(copy)) for path in sounds[:2]]
    assert found["damaged"] == names[:1]
    assert names[1] in found["missing"]
    assert any(f"[{new}]" in path for path in found["missing"])
    assert found["purged since"] == [owner["name"]]

    # By itself, without a server, an index or settings.
    home = tmp_path / "elsewhere"
    home.mkdir()
    mount.environment = {"PATH": mount.environment["PATH"], "HOME": str(home)}
    done = mount.rcfs("audit", archive, "--offline", check=False)
    assert done.returncode == PARTIAL
    assert f"damaged: {names[0]}" in done.stdout
    assert f"missing: {names[1]}" in done.stdout
    assert "Result: NOT COMPLETE: 1 missing, 1 damaged" in done.stdout
    assert "the copy is not proven to be complete" in done.stderr
    assert list(home.iterdir()) == []
    shutil.rmtree(copy)
    done = mount.rcfs("audit", archive, "--offline", check=False)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.count("\n") == 1


def test_the_cache_of_mailboxes_that_were_never_loaded_is_not_complete(mounting: Mounting) -> None:
    mount = mounting("--messages=19", *FAST, mount=False)
    mount.rcfs("pull", *mount.engine_options, "101*/SMS")
    found = findings(audit(mount, *mount.engine_options, "--type=sms", code=PARTIAL))
    assert found["never loaded"]
    assert not any(path.startswith("101 ") for paths in found.values() for path in paths)
    done = mount.rcfs("audit", *mount.engine_options, "101*/SMS")
    assert "Result: complete" in done.stdout
    assert "Platform: RingCentral was asked for 1 list of messages\n" in done.stdout


def test_a_copy_of_one_type_passes_for_what_it_was_asked_for(mounting: Mounting, tmp_path: Path) -> None:
    mount = mounting("--messages=19", "--calls=0", *FAST, mount=False)
    copy = tmp_path / "copy"
    archive = f"--archive={copy}"
    mount.rcfs("pull", *mount.engine_options, "--to", str(copy), "--type=fax")
    done = mount.rcfs("audit", *mount.engine_options, archive)
    assert "limited to type fax, as the last pull\n" in done.stdout
    assert "Result: complete" in done.stdout
    events = audit(mount, *mount.engine_options, archive, "--whole", code=PARTIAL)
    end = events[-1]
    (pull,) = end["pulls"]
    assert (pull["wanted"], end["filter"]) == ({"types": ["fax"]}, {})
    moments = (pull["began"], pull["ended"], end["begun"], end["ended"])
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment) for moment in moments)
    # A verifying pull without a filter has the same scope.
    files = {path: sha256(path) for path in copy.glob("*/*/*/*/*") if path.is_file()}
    next(iter(files)).write_bytes(b"damaged")
    done = mount.rcfs("pull", *mount.engine_options, "--verify", "--to", str(copy))
    assert "this checks what the last pull was asked for: --type fax\n" in done.stderr
    assert {path: sha256(path) for path in copy.glob("*/*/*/*/*") if path.is_file()} == files
