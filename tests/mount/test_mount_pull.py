"""`rcfs pull` against the simulator, for real: beside mounts, interrupted, killed, and continued."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.fork_server import ForkedProcess, start_forked
from tests.mount.conftest import COMMAND_S, Mounted, Mounting, run, sha256

pytestmark = pytest.mark.mount

FAST = ("--limit=medium=100000", "--limit=light=100000", "--limit=auth=100000")
PARTIAL = 8
"""One mailbox of the simulated account may not be read."""


def pull(mount: Mounted, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A finished pull; everything but what may not be read was had."""
    done = mount.rcfs("pull", *mount.engine_options, *arguments, check=False)
    assert done.returncode in (0, PARTIAL), done.stderr
    return done


@contextmanager
def running_pull(mount: Mounted, *arguments: str) -> Iterator[ForkedProcess]:
    """A pull that writes JSON lines; it has ended after the block."""
    process = start_forked("pull", "--json", *mount.engine_options, *arguments, environment=mount.environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait(COMMAND_S)
        process.close()


def events(process: ForkedProcess, wanted: str, count: int) -> list[dict[str, Any]]:
    """The next `count` events of one kind."""
    assert process.stdout is not None
    found: list[dict[str, Any]] = []
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == wanted:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError(f"the pull ended after {len(found)} events; see its stderr")


def finish(process: ForkedProcess) -> tuple[int, str]:
    """Exit code and last line of output of a pull that ends by itself."""
    assert process.stdout is not None
    output = process.stdout.read()
    return process.wait(COMMAND_S), output.strip().rpartition("\n")[2]


def counts(mount: Mounted) -> tuple[int, int]:
    """Requests for content, and how many different contents they were for; none was refused."""
    summary = mount.server.summary()
    assert not summary["limited"]
    assert not summary["in_penalty"]
    return summary["content_requests"], summary["distinct_contents"]


def test_a_mount_reads_all_that_was_pulled_without_a_request(mounting: Mounting, tmp_path: Path) -> None:
    mount = mounting("--messages=40", *FAST, mount=False)
    preview = pull(mount, "--dry-run").stdout
    assert counts(mount) == (0, 0)
    wanted = int(preview.split()[0])
    assert preview.startswith(f"{wanted} files, 0 of them here already; {wanted} requests for at most ")
    pull(mount)
    assert counts(mount) == (wanted, wanted)

    mount.mount()
    truth = {(row["message_id"], row["attachment_id"]): row["sha256"] for row in mount.server.truth()}
    mount.tool("ls", "-R", check=False)
    found, media = mount.attachments(), mount.contents()
    assert len(media) == wanted
    assert [key for key, path in found.items() if sha256(path) != truth[key]] == []
    others = set(media.values()) - set(found.values())
    sums = {row["sha256"] for row in mount.server.media_truth()}
    assert [path for path in others if sha256(path) not in sums] == []
    assert {path.suffix.lower() for path in others} == {".mp3", ".wav"}
    assert counts(mount) == (wanted, wanted)

    # The copy is the tree as the mount shows it, and costs no content request either.
    target = tmp_path / "copy"
    pull(mount, "--to", str(target))
    run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=target)
    for directory in sorted(path for path in target.iterdir() if path.is_dir()):
        names = {path.name for path in directory.iterdir()}
        is_partial = directory.name == "104 Alex Kim"  # the mailbox of which may not be read
        assert is_partial or names == {path.name for path in (mount.path / directory.name).iterdir()}
        for name in names:
            there = mount.path / directory.name / name
            run(["diff", "-r", "--no-dereference", str(there), str(directory / name)])
    sound = next(target.glob("*/Voicemail/*/*/voicemail *.*"))
    shown = mount.path / sound.relative_to(target)
    assert sound.stat().st_mtime == pytest.approx(shown.stat().st_mtime, abs=1e-3)
    one = pull(mount, "--to", str(tmp_path / "one"), str(shown.parent), "--json").stdout.splitlines()
    files = [json.loads(line)["path"] for line in one if '"file"' in line]
    assert str(sound.relative_to(target)) in files
    assert {Path(file).parent for file in files} == {sound.parent.relative_to(target)}
    assert counts(mount) == (wanted, wanted)
    pulls = json.loads((mount.path / ".rcfs" / "status.json").read_text())["pulls"]
    assert "2026" < pulls["whole"] <= pulls["part"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL])
def test_an_interrupted_pull_resumes_without_a_repeated_request(
    mounting: Mounting, tmp_path: Path, number: signal.Signals
) -> None:
    # Ten requests at first, then none for 15 s: nothing is in flight when the signal comes.
    mount = mounting("--messages=60", "--limit=medium=10/15/5", *FAST[1:], mount=False)
    target = ("--to", str(tmp_path / "copy"), "--type=voicemail", "--type=fax", "--type=sms")
    with running_pull(mount, *target) as process:
        (plan,) = events(process, "plan", 1)
        assert plan["requests"] > 15
        fetched: list[str] = []
        while len(fetched) < 9:
            (file,) = events(process, "file", 1)
            if not file["path"].endswith((".txt", ".json")):
                fetched.append(file["path"])
        process.send_signal(signal.SIGUSR2)  # means nothing to a pull
        process.send_signal(number)
        code, last = finish(process)
    if number is signal.SIGKILL:
        assert code == -number
    else:
        assert code == 128 + number
        assert json.loads(last)["outcome"] == "interrupted"
    assert len(list((tmp_path / "copy").rglob("*.part"))) <= (number is signal.SIGKILL)

    mount.server.plans(medium={"limit": 100000})
    pull(mount, *target)
    assert counts(mount) == (plan["requests"], plan["requests"])
    run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path / "copy")


def test_a_person_reads_beside_a_pull(mounting: Mounting) -> None:
    mount = mounting("--messages=60", *FAST)
    mount.tool("ls", "-R", check=False)
    with running_pull(mount) as process:
        events(process, "file", 3)
        paths = mount.attachments()
        for path in list(paths.values())[-5:]:
            assert os.path.getsize(path) >= 0  # noqa: PTH202
            path.read_bytes()
        code, last = finish(process)
    assert code in (0, PARTIAL)
    total = json.loads(last)["of"]
    requests, contents = counts(mount)
    assert contents == total
    # Two processes that want the same content at the same moment may both ask for it.
    assert requests <= total + 5


def test_an_app_without_the_scope_of_mailboxes_says_so(mounting: Mounting) -> None:
    mount = mounting("--messages=19", "--calls=0", "--without-scope=ReadMessages", *FAST, mount=False)
    because = "no mailbox can be read: the app lacks the scope ReadMessages; "
    done = mount.rcfs("pull", *mount.engine_options, "--dry-run", "--type=fax", check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"rcfs: {because}" in done.stderr
    done = mount.rcfs("pull", *mount.engine_options, "--dry-run", check=False)
    assert done.returncode == PARTIAL, "greetings can be read"
    assert done.stderr.count(because) == 1
    done = mount.rcfs("pull", *mount.engine_options, "--json", check=False)
    assert done.returncode == PARTIAL
    assert (
        done.stderr.splitlines()[-1]
        == f"rcfs: {because}add it in RingCentral's developer console; all else is here"
    )
    failed = [event for line in done.stdout.splitlines() if (event := json.loads(line))["event"] == "failure"]
    assert len(failed) > 1
    asked = len(mount.server.journal(operation="listMessages"))
    done = mount.rcfs("audit", *mount.engine_options, "--type=fax", check=False)
    assert done.returncode == PARTIAL
    assert done.stdout.count("lacks the scope ReadMessages") == 1
    assert len(mount.server.journal(operation="listMessages")) == asked
    mount.mount()
    own = next(mount.path.glob("101 *"))
    assert {each.name for each in own.iterdir()} == {"Calls", "Greetings", "Recordings", "extension.json"}
    assert (
        "none can be read: the app lacks the scope ReadMessages"
        in mount.rcfs("status", f"--state-dir={mount.state}").stdout
    )
