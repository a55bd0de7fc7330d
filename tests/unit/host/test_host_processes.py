import os
import signal
import subprocess
import sys
import time

import pytest

from rcfs.host import _processes, run_limited
from rcfs.procfs import start_time


def test_a_process_has_a_start_time_until_it_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = start_time(child.pid)
    assert started is not None
    assert started >= (start_time(os.getpid()) or 0)
    assert start_time(child.pid) == started
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(child.pid) is None, "a zombie serves nothing"
    child.communicate()
    assert start_time(child.pid) is None


def test_a_command_name_may_hold_anything() -> None:
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, b') Z 1 (', 0, 0, 0); print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", rename], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    assert start_time(child.pid) is not None
    child.communicate("\n")


def test_an_answer_in_time() -> None:
    done = run_limited([sys.executable, "-c", "import sys; print('out'); sys.exit('err')"], 30.0)
    assert done is not None
    assert (done.returncode, done.stdout, done.stderr) == (1, b"out\n", b"err\n")


def test_no_answer_in_time() -> None:
    before = time.monotonic()
    assert run_limited(["sleep", "60"], 0.05) is None
    assert time.monotonic() - before < 30


def test_one_that_cannot_be_killed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in an uninterruptible wait: `kill` does nothing, and no wait for it ends."""
    killed: list[subprocess.Popen[bytes]] = []
    monkeypatch.setattr(_processes, "_KILL_GRACE_S", 0.05)

    def kill(self: "subprocess.Popen[bytes]") -> None:
        killed.append(self)

    monkeypatch.setattr(subprocess.Popen, "kill", kill)
    assert run_limited(["sleep", "60"], 0.05) is None
    (child,) = killed
    os.kill(child.pid, signal.SIGKILL)
    os.waitpid(child.pid, 0)
