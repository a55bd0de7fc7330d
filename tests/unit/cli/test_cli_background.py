import json
import os
import signal
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rcfs.cli import _background
from rcfs.cli._background import Outcome, ReadyPipe, rcfs_command, reporting, restated, start
from rcfs.cli._options import foreground_options, mount_options
from rcfs.errors import AuthError, RcfsError, StoreError

STUB = """
import json, os, signal, sys, time
descriptor = int(sys.argv[sys.argv.index("--ready-fd") + 1])
def answer(**fields):
    os.write(descriptor, json.dumps(fields).encode() + b"\\n")
def note(text):
    with open(sys.argv[1], "w") as file:
        file.write(text)
def wait():
    while True:
        time.sleep(60)
"""


@pytest.fixture
def errors(tmp_path: Path) -> Path:
    return tmp_path / "log" / "stderr.log"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def stub(code: str, notes: Path) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", STUB + code, str(notes)]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_parent_returns_when_the_child_is_ready(errors: Path, notes: Path) -> None:
    code = """
streams = [os.readlink(f"/proc/self/fd/{number}") for number in (0, 1)]
note(json.dumps([os.getsid(0) == os.getpid(), *streams]))
print("to stderr", file=sys.stderr, flush=True)
answer(ready=True, pid=os.getpid())
wait()
"""
    outcome = start(stub(code, notes), errors)
    try:
        assert outcome == Outcome(outcome.pid)
        assert json.loads(notes.read_text()) == [True, "/dev/null", "/dev/null"]
        assert errors.read_text() == "to stderr\n"
        assert errors.stat().st_mode & 0o777 == 0o600
        assert not gone(outcome.pid), "it outlives the parent's interest"
    finally:
        os.kill(outcome.pid, signal.SIGKILL)
        os.waitpid(outcome.pid, 0)


def test_the_childs_error_is_the_parents(errors: Path, notes: Path) -> None:
    outcome = start(stub('answer(error="no such login", exit_code=3); sys.exit(3)', notes), errors)
    assert outcome == Outcome(outcome.pid, "no such login", 3)
    assert gone(outcome.pid)


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("sys.exit(9)", "exit code 9"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        ("os.write(descriptor, b'gibberish\\n'); sys.exit(0)", "exit code 0"),
    ],
)
def test_a_child_that_ends_without_a_word(errors: Path, notes: Path, code: str, how: str) -> None:
    outcome = start(stub(code, notes), errors)
    assert outcome.exit_code == 1
    assert outcome.error == f"the background process ended before it was ready ({how}); see {errors}"


def test_a_child_that_closes_its_pipe_and_stays_is_ended(
    errors: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_background, "_GRACE_S", 0.05)
    outcome = start(stub("os.close(descriptor); wait()", notes), errors)
    assert "signal 15" in outcome.error
    assert gone(outcome.pid)


def test_a_child_that_is_not_ready_in_time_is_ended(errors: Path, notes: Path) -> None:
    outcome = start(stub("wait()", notes), errors, ready_within_s=0.3)
    assert outcome == Outcome(outcome.pid, f"the mount was not ready in time and was ended; see {errors}", 1)
    assert gone(outcome.pid)


def test_a_child_that_does_not_heed_sigterm_is_killed(
    errors: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_background, "_END_WITHIN_S", 0.1)
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.write(descriptor, b'{'); wait()"
    outcome = start(stub(code, notes), errors, ready_within_s=1.0)
    assert gone(outcome.pid)


def test_an_interrupt_ends_the_child(errors: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def interrupted(child: object, *_: object) -> Outcome:
        pids.append(child.pid)  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(_background, "_outcome", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start(stub("wait()", notes), errors)
    assert gone(pids[0])


def test_the_pipe_leaks_into_no_grandchild_and_no_descriptor_stays(errors: Path, notes: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    start(stub('answer(error="x", exit_code=1)', notes), errors)
    assert set(Path("/proc/self/fd").iterdir()) == before
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)  # noqa: FBT003 - positional only
    pipe = ReadyPipe(writing)
    assert pipe._descriptor is not None
    assert not os.get_inheritable(pipe._descriptor)
    pipe.ready()
    with os.fdopen(reading, "rb") as file:
        assert json.loads(file.read()) == {"ready": True, "pid": os.getpid()}


def test_errors_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "stderr.log").mkdir()
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        start(["true"], tmp_path / "log" / "stderr.log")


def reported(error: Exception | None) -> bytes:
    """What the parent reads of a child that ends with `error`, or with another once it is ready."""
    late = RcfsError("after it was ready")

    def child(descriptor: int) -> None:
        with reporting(descriptor) as pipe:
            if error is None:
                pipe.ready()
            raise error or late

    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        with pytest.raises(Exception, match=r".") as caught:
            child(writing)
        assert caught.value is (error or late)
        return file.read()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            AuthError("no such\nlogin", request_id="b7"),
            {"error": "no such login (request id b7)", "exit_code": 3},
        ),
        (ExceptionGroup("nursery", [StoreError("full")]), {"error": "full", "exit_code": 6}),
        (click.UsageError("no such option"), {"error": "no such option", "exit_code": 2}),
        (ValueError("odd"), {"error": "unexpected error: ValueError: odd", "exit_code": 1}),
        (None, {"ready": True, "pid": os.getpid()}),
    ],
)
def test_the_child_reports_once(error: Exception | None, message: dict[str, object]) -> None:
    lines = reported(error).splitlines()
    assert [json.loads(line) for line in lines] == [message]


def test_a_parent_that_has_gone_does_not_end_the_mount() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ReadyPipe(writing).ready()


def test_without_a_parent_nothing_is_written() -> None:
    with reporting(None) as pipe:
        pipe.ready()
        pipe.failed("nobody hears", 1)


def test_a_descriptor_that_is_not_open() -> None:
    with pytest.raises(click.UsageError, match="--ready-fd: 987 is not an open descriptor"):
        ReadyPipe(987)


def test_options_are_restated_as_they_were_given() -> None:
    seen: list[list[str]] = []

    @click.command()
    @click.argument("mountpoint")
    @foreground_options
    @mount_options
    @click.pass_context
    def command(context: click.Context, /, **_: object) -> None:
        seen.append(restated(context))

    given = [
        "--cache-dir",
        "a b",
        "--limit",
        "medium=4/10/0.5",
        "--limit",
        "heavy=1",
        "--no-allow-other",
        "--max-wait",
    ]
    arguments = [*given, "7.5", "/mnt/rc"]
    CliRunner().invoke(command, arguments, env={"RC_USER_JWT": "secret"}, catch_exceptions=False)
    assert sorted(seen[0]) == sorted(arguments[:-1])
    CliRunner().invoke(command, [*seen[0], "/mnt/rc"], catch_exceptions=False)
    assert seen[0] == seen[1]
    CliRunner().invoke(command, ["/mnt/rc"], catch_exceptions=False)
    assert seen[2] == []


def test_modules_of_the_current_directory_are_not_imported() -> None:
    assert rcfs_command("mount", "/mnt/rc") == [sys.executable, "-P", "-m", "rcfs", "mount", "/mnt/rc"]
