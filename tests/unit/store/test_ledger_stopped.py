"""Clients of a ledger on a server that are stopped for longer than their lease, and continued.

It takes half a minute, so only ``RCFS_LONG=1`` runs it.
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fakes.ledger_client import PLAN
from tests.fakes.ledger_server import LedgerServer

PORT = 7397
LEASE_S = 3.0
LASTS_S = 30.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]


def test_a_client_that_was_stopped_for_longer_than_its_lease_sends_no_request_too_many(
    tmp_path: Path,
) -> None:
    dice = random.Random(7)
    with TemporaryDirectory(prefix="rcfs-stop-") as path:
        server = LedgerServer(Path(path), ("--bind", "127.0.0.1"), PORT)
        server.start()
        program = [sys.executable, "-m", "tests.fakes.ledger_client", "127.0.0.1", str(PORT)]
        clients = [
            subprocess.Popen(
                [*program, str(tmp_path / str(number)), str(LASTS_S), str(LEASE_S)], stdout=subprocess.PIPE
            )
            for number in range(3)
        ]
        try:
            begun_s = time.monotonic()
            while time.monotonic() < begun_s + LASTS_S - 2 * LEASE_S:
                time.sleep(dice.uniform(0.1, 2.0))
                client = dice.choice(clients)
                client.send_signal(signal.SIGSTOP)
                time.sleep(LEASE_S + dice.uniform(0.2, 2.0))
                client.send_signal(signal.SIGCONT)
            sent_s = sorted(float(at_s) for client in clients for at_s in client.communicate()[0].split())
        finally:
            for client in clients:
                client.kill()
                client.wait()
            server.kill()
    most = max(sum(at_s <= other_s < at_s + PLAN.window_s for other_s in sent_s) for at_s in sent_s)
    assert most <= PLAN.limit
    assert len(sent_s) > 0.8 * PLAN.limit * LASTS_S / PLAN.window_s
