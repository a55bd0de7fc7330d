import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from rcfs.cli._explain import explained
from rcfs.cli._output import tell
from rcfs.errors import AuthError, RcfsError, StoreError
from rcfs.host import Outcome, Parent, _background, rcfs_command, run_in_background

start = partial(run_in_background, explain=explained, tell=tell)

MOUNTPOINT = Path("/mnt/rc")
LOG = Path("/log/rc.log")


@pytest.fixture
def errors(tmp_path: Path) -> Path:
    return tmp_path / "log" / "stderr.log"


def wait_for_ever() -> NoReturn:
    while True:
        signal.pause()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def ready_with(errors: Path, note: Callable[[], object], path: Path) -> Callable[[Parent], None]:
    """Work that leaves the terminal, writes what `note` gives to `path`, and is ready at once."""

    def work(parent: Parent) -> None:
        parent.leave_terminal(errors)
        path.write_text(json.dumps(note()))
        os.write(2, b"to stderr")
        parent.ready(MOUNTPOINT, LOG)
        wait_for_ever()

    return work


def test_the_mount_of_an_automounter_leaves_its_group_when_it_is_ready(errors: Path, tmp_path: Path) -> None:
    group = os.getpgrp()

    def work(parent: Parent) -> None:
        parent.leave_terminal(errors, in_group=True)
        (tmp_path / "note").write_text(str(os.getpgrp()))
        parent.ready(MOUNTPOINT, LOG)
        wait_for_ever()

    outcome = start(work)
    try:
        assert int((tmp_path / "note").read_text()) == group
        assert os.getpgid(outcome.pid) == os.getsid(outcome.pid) == outcome.pid
    finally:
        os.kill(outcome.pid, signal.SIGKILL)
        os.waitpid(outcome.pid, 0)


def test_the_parent_returns_when_the_child_is_ready(errors: Path, tmp_path: Path) -> None:
    def note() -> object:
        streams = [str(Path(f"/proc/self/fd/{number}").readlink()) for number in range(3)]
        return [os.getsid(0) == os.getpid(), *streams]

    outcome = start(ready_with(errors, note, tmp_path / "note"))
    try:
        assert outcome == Outcome(outcome.pid, MOUNTPOINT, LOG)
        told = json.loads((tmp_path / "note").read_text())
        assert told == [True, "/dev/null", "/dev/null", str(errors)]
        assert errors.read_text() == "to stderr"
        assert errors.stat().st_mode & 0o777 == 0o600
        assert not gone(outcome.pid), "it outlives the parent's interest"
    finally:
        os.kill(outcome.pid, signal.SIGKILL)
        os.waitpid(outcome.pid, 0)


INHERITANCE = """
import json, os, signal, sys
from pathlib import Path
from rcfs.cli._explain import explained
from rcfs.cli._output import tell
from rcfs.host import run_in_background

def work(parent):
    descriptors = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    before = [number for number in descriptors if Path(f"/proc/self/fd/{number}").exists()]
    parent.leave_terminal(Path(sys.argv[1]))
    sockets = [number for number in before if os.readlink(f"/proc/self/fd/{number}").startswith("socket:")]
    Path(sys.argv[2]).write_text(json.dumps({
        "others": sorted(set(before) - {0, 1, 2} - set(sockets)),
        "sockets": len(sockets),
        "low": [number for number in sockets if number < 3],
        "inheritable": [number for number in sockets if os.get_inheritable(number)],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "umask": os.umask(0),
        "cwd": os.getcwd(),
        "kept": os.environ["KEPT"],
    }))
    parent.ready(Path("/mnt/rc"), Path("/log"))

outcome = run_in_background(work, explain=explained, tell=tell)
assert outcome.mountpoint is not None, outcome
"""


@pytest.mark.parametrize("closed", [(), (0,), (0, 1)])
def test_what_the_child_inherits(errors: Path, tmp_path: Path, closed: tuple[int, ...]) -> None:
    """From a shell that left a descriptor open, and perhaps gave no stdin or stdout."""
    left, note = os.open(tmp_path, os.O_RDONLY), tmp_path / "note"
    redirections = " ".join(f"{number}>&-" for number in closed)
    script = f'umask 037; exec "$@" {redirections}'
    try:
        subprocess.run(
            ["sh", "-c", script, "sh", sys.executable, "-c", INHERITANCE, str(errors), str(note)],
            cwd=Path(__file__).parents[3],
            env={**os.environ, "KEPT": "yes"},
            pass_fds=(left,),
            check=True,
        )
    finally:
        os.close(left)
    assert json.loads(note.read_text()) == {
        "others": [],
        "sockets": 1,
        "low": [],
        "inheritable": [],
        "mask": [],
        "umask": 0o037,
        "cwd": str(Path(__file__).parents[3]),
        "kept": "yes",
    }
    assert errors.stat().st_mode & 0o777 == 0o600


def test_until_it_leaves_the_terminal_it_is_the_parents(errors: Path, tmp_path: Path) -> None:
    """So that a keyring can ask for its password there."""

    def work(parent: Parent) -> None:
        assert parent.has_terminal
        assert os.getsid(0) == os.getsid(os.getppid())
        assert os.getpgrp() == os.getpgid(os.getppid())
        parent.leave_terminal(errors)
        assert not parent.has_terminal
        raise RcfsError("all is as it should be")

    assert start(work).error == "all is as it should be"


def test_it_forks_a_process_of_one_thread(errors: Path) -> None:
    """The spinner starts after the fork, when there is something to wait for."""
    seen: list[str] = []

    @contextmanager
    def meanwhile() -> Iterator[None]:
        seen.append("waiting")
        yield
        seen.append("done")

    def work(parent: Parent) -> None:
        if seen or threading.active_count() != 1:
            raise RcfsError("too early")
        parent.leave_terminal(errors)
        raise RcfsError("as it should be")

    assert start(work, meanwhile=meanwhile()).error == "as it should be"
    assert seen == ["waiting", "done"]


@pytest.mark.parametrize(
    ("error", "line", "exit_code"),
    [
        (AuthError("no such\nlogin", request_id="b7"), "no such login (request id b7)", 3),
        (ExceptionGroup("nursery", [StoreError("full")]), "full", 6),
        (KeyboardInterrupt(), "interrupted", 130),
    ],
)
@pytest.mark.parametrize("leaves", [True, False])
def test_the_childs_error_is_the_parents(
    errors: Path,
    capfd: pytest.CaptureFixture[str],
    error: BaseException,
    line: str,
    exit_code: int,
    leaves: bool,
) -> None:
    def work(parent: Parent) -> None:
        if leaves:
            parent.leave_terminal(errors)
        raise error

    outcome = start(work)
    assert outcome == Outcome(outcome.pid, error=line, exit_code=exit_code)
    assert gone(outcome.pid)
    assert capfd.readouterr() == ("", ""), "the parent tells it, once"


def test_an_error_that_nobody_expected_leaves_its_trace(
    errors: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(parent: Parent) -> None:
        raise ValueError("odd")

    trace = state_dir / "log" / "crash.log"
    outcome = start(work)
    assert outcome.error == f"unexpected error: ValueError: odd; its trace is in {trace}"
    assert outcome.exit_code == 1
    assert "in work" in trace.read_text()


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda: os._exit(9), "exit code 9"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal 9"),
        (lambda: None, "exit code 0"),
    ],
)
@pytest.mark.parametrize("leaves", [True, False])
def test_a_child_that_ends_without_a_word(
    errors: Path, end: Callable[[], None], how: str, leaves: bool
) -> None:
    def work(parent: Parent) -> None:
        if leaves:
            parent.leave_terminal(errors)
        end()

    see = f"; see {errors}" if leaves else ""
    outcome = start(work)
    assert outcome.exit_code == 1
    assert outcome.error == f"the background process ended before it was ready ({how}){see}"


def test_a_child_that_closes_its_socket_and_stays_is_ended(
    errors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_background, "_GRACE_S", 0.05)

    def work(parent: Parent) -> None:
        parent._connection.close()
        wait_for_ever()

    outcome = start(work)
    assert "signal 15" in outcome.error
    assert gone(outcome.pid)


def test_a_child_that_is_not_ready_in_time_is_ended(errors: Path) -> None:
    def work(parent: Parent) -> None:
        parent.leave_terminal(errors)
        wait_for_ever()

    outcome = start(work, ready_within_s=0.1)
    see = f"see {errors}"
    assert outcome.error == f"the mount was not ready within 0 s, so rcfs ended it; {see}"
    assert (outcome.exit_code, gone(outcome.pid)) == (1, True)


def test_a_child_that_does_not_heed_sigterm_is_killed(errors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_background, "_END_WITHIN_S", 0.1)

    def work(parent: Parent) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        parent.leave_terminal(errors)
        wait_for_ever()

    assert gone(start(work, ready_within_s=0.1).pid)


def test_an_interrupt_ends_the_child(errors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def interrupted(pid: int, *_: object) -> Outcome:
        pids.append(pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(_background, "_outcome", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start(lambda _parent: wait_for_ever())
    assert gone(pids[0])


def test_no_descriptor_and_no_mask_stays_in_the_parent() -> None:
    def state() -> object:
        return set(Path("/proc/self/fd").iterdir()), signal.pthread_sigmask(signal.SIG_BLOCK, ())

    before = state()
    start(lambda _parent: None)
    assert state() == before


def test_what_was_printed_before_is_printed_once() -> None:
    begin = "run_in_background(lambda parent: None, explain=None, tell=None)"
    code = f"from rcfs.host import run_in_background; print('once'); {begin}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert done.stdout == "once\n"


def test_errors_that_cannot_be_written(errors: Path) -> None:
    errors.mkdir(parents=True)
    outcome = start(lambda parent: parent.leave_terminal(errors))
    assert (outcome.error, outcome.exit_code) == (f"{errors} cannot be written: Is a directory", 6)


def connected() -> tuple[socket.socket, Parent]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours, Parent(theirs)


def test_after_it_was_ready_the_parent_is_told_nothing() -> None:
    ours, parent = connected()
    with ours:
        parent.ready(MOUNTPOINT, LOG)
        parent.failed("later", 1)
        assert json.loads(ours.recv(1000)) == {"ready": True, "mountpoint": str(MOUNTPOINT), "log": str(LOG)}
        assert ours.recv(1000) == b""


def test_a_parent_that_has_gone_does_not_end_the_mount() -> None:
    ours, parent = connected()
    ours.close()
    parent.ready(MOUNTPOINT, LOG)


def test_modules_of_the_current_directory_are_not_imported() -> None:
    program, *options, command, mountpoint = rcfs_command("mount", "/mnt/rc")
    assert (program, command, mountpoint) == (sys.executable, "mount", "/mnt/rc")
    assert options == ["-X", "utf8", "-P", "-m", "rcfs"]
