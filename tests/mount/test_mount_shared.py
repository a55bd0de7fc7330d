"""Machines with disks of their own that share contents by an S3 server: one request for each content.

With ``RCFS_LONG=1`` in the environment five machines read 2,000 attachments, and are killed 20 times.
"""

import hashlib
import os
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from rcfs.host import Registry
from tests.fakes.s3 import BUCKET, s3_server, write_options
from tests.mount.conftest import Mounted, Mounting, _end, eventually

IS_LONG = "RCFS_LONG" in os.environ
pytestmark = [pytest.mark.mount, pytest.mark.timeout(900 if IS_LONG else 180)]
MACHINES = 5 if IS_LONG else 2
MESSAGES = 3000 if IS_LONG else 30
KILLS = 20 if IS_LONG else 0
READERS = 4
"""Files that a machine reads at the same time."""


@pytest.fixture
def machines(mounting: Mounting, tmp_path: Path) -> Iterator[list[Mounted]]:
    plans = ("--limit=medium=100000", "--limit=light=100000")
    with s3_server() as endpoint:
        first = mounting(f"--messages={MESSAGES}", *plans, mount=False)
        made = [first]
        for number in range(1, MACHINES):
            (tmp_path / f"machine-{number}").mkdir()
            made.append(Mounted(tmp_path / f"machine-{number}", first.server))
        options = write_options(tmp_path / "s3.toml", endpoint)
        try:
            for machine in made:
                machine.environment["RCFS_SHARED"] = f"s3://{BUCKET}/rcfs"
                machine.environment["RCFS_SHARED_OPTIONS"] = str(options)
                # This is no test of how fast a busy machine is.
                machine.environment["RCFS_SHARED_WAIT"] = "60"
                machine.mount()
            yield made
        finally:
            for machine in made[1:]:
                _end(machine)


def digest(path: Path) -> str:
    """The SHA-256 of a file, however often its mount dies meanwhile."""
    while True:
        with suppress(OSError):
            return hashlib.sha256(path.read_bytes()).hexdigest()


def test_machines_send_one_request_for_each_content_although_some_are_killed(
    machines: list[Mounted],
) -> None:
    first = machines[0]
    known = {key: path.relative_to(first.path) for key, path in first.attachments().items()}
    truth = {(row["message_id"], row["attachment_id"]): row["sha256"] for row in first.server.truth()}
    wanted = {key: path for key, path in known.items() if path.suffix != ".txt"}
    done = threading.Event()

    def read(machine: Mounted) -> None:
        order = sorted(wanted)
        random.Random(str(machine.path)).shuffle(order)
        with ThreadPoolExecutor(READERS) as pool:
            digests = pool.map(lambda key: digest(machine.path / wanted[key]), order)
            assert dict(zip(order, digests, strict=True)) == {key: truth[key] for key in order}

    def kill() -> None:
        for turn in range(KILLS):
            wait_for_requests((turn + 1) * len(wanted) // (KILLS + 1))
            victim = machines[1 + turn % (MACHINES - 1)]
            (record,) = Registry(victim.state).live()
            os.kill(record.pid, signal.SIGKILL)
            victim.mount()

    def wait_for_requests(number: int) -> None:
        eventually(lambda: done.is_set() or requests_now() >= number)

    def requests_now() -> int:
        return len(first.server.journal(operation="readMessageContent"))

    with ThreadPoolExecutor(MACHINES + 1) as pool:
        killing = pool.submit(kill)
        reading = [pool.submit(read, machine) for machine in machines]
        for each in reading:
            each.result()
        done.set()
        killing.result()
    in_flight = KILLS * READERS
    assert len(wanted) <= requests_now() <= len(wanted) + in_flight
    assert first.server.summary()["violations"] == 0
    for machine in machines:
        status = machine.rcfs("status", f"--state-dir={machine.state}").stdout
        (line,) = [line for line in status.splitlines() if line.startswith("shared")]
        assert f"s3://{BUCKET}/rcfs: " in line
        assert "passed over" not in status
        assert "s3cret" not in "".join(log.read_text() for log in machine.state.rglob("*.log*"))
