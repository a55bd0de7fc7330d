"""Real processes on one ledger, against the simulator, which counts by its own clock."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes import simulated
from tests.fakes.quota_client import PLANS

ROOT = Path(__file__).parents[3]
"""Where the tests can be imported, whatever directory another test has gone to."""
EACH = 40
END_S = 60.0
"""Longest wait for a process: at 15 a second all is done in about ten."""


@pytest.fixture
def server() -> Iterator[simulated.Simulated]:
    limits = [
        f"--limit={group}={plan.limit}/{plan.window_s:.0f}/{plan.penalty_s:.0f}"
        for group, plan in PLANS.items()
    ]
    with simulated.start("--messages=10", *limits) as server:
        yield server


def client(
    stack: ExitStack, server: simulated.Simulated, ledger: Path, priority: str
) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.quota_client", str(ledger), priority, str(EACH)],
        env={**os.environ, **server.environment()},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def answers(process: "subprocess.Popen[str]", at_least: int) -> None:
    """Returns when `process` has had this number of answers."""
    assert process.stdout is not None
    for _ in range(at_least):
        assert process.stdout.readline() == "answered\n"


def test_three_processes_of_which_one_is_killed_cause_no_429(
    server: simulated.Simulated, tmp_path: Path
) -> None:
    ledger = tmp_path / "state" / "ledger.sqlite"
    with ExitStack() as stack:
        killed, bulk, person = (
            client(stack, server, ledger, priority) for priority in ("BULK", "BULK", "PERSON")
        )
        answers(killed, 3)
        killed.send_signal(signal.SIGKILL)
        killed.wait(END_S)
        heir = client(stack, server, ledger, "BULK")
        for process in (bulk, person, heir):
            answers(process, EACH)
            assert process.wait(END_S) == 0
    journal = [entry for entry in server.journal() if entry["operation"] in ("listMessages", "getToken")]
    assert {entry["status"] for entry in journal if entry["status"] is not None} == {200}
    assert sum(entry["operation"] == "listMessages" for entry in journal) >= 3 * EACH + 3
