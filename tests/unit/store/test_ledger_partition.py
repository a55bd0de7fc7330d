"""Three clients in network namespaces of their own; one is cut off from the server of their ledger.

It takes half a minute, so only ``RCFS_LONG=1`` runs it; and only root may make namespaces.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fakes.ledger_client import PLAN
from tests.fakes.ledger_server import LedgerServer

HOST, PORT = "10.213.77.1", 7398
BRIDGE, NAMES = "rcfsbr", ("rcfsn0", "rcfsn1", "rcfsn2")

pytestmark = [pytest.mark.long, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True)


@pytest.fixture
def network() -> Iterator[None]:
    with ExitStack() as made:
        ip(f"link add {BRIDGE} type bridge")
        made.callback(ip, f"link del {BRIDGE}")
        ip(f"addr add {HOST}/24 dev {BRIDGE}")
        ip(f"link set {BRIDGE} up")
        for number, name in enumerate(NAMES):
            ip(f"netns add {name}")
            made.callback(ip, f"netns del {name}")
            ip(f"link add v{name} type veth peer name eth0 netns {name}")
            ip(f"link set v{name} master {BRIDGE} up")
            ip(f"-n {name} addr add 10.213.77.{10 + number}/24 dev eth0")
            ip(f"-n {name} link set eth0 up")
        yield


def most_in_window(times_s: list[float]) -> int:
    return max(sum(at_s <= other_s < at_s + PLAN.window_s for other_s in times_s) for at_s in times_s)


@pytest.mark.usefixtures("network")
def test_a_client_that_is_cut_off_sends_nothing_at_first_and_then_is_one_of_all(
    tmp_path: Path,
) -> None:
    with TemporaryDirectory(prefix="rcfs-net-") as path:
        server = LedgerServer(Path(path), ("--bind", HOST, "--protected-mode", "no"), PORT)
        server.start()
        program = [sys.executable, "-m", "tests.fakes.ledger_client", HOST, str(PORT)]
        clients = [
            subprocess.Popen(
                ["ip", "netns", "exec", name, *program, str(tmp_path / name), "30"],
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in NAMES
        ]
        try:
            time.sleep(10.0)
            ip(f"link set v{NAMES[2]} down")
            cut_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            time.sleep(8.0)
            ip(f"link set v{NAMES[2]} up")
            back_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            sent_s = [[float(line) for line in client.communicate()[0].split()] for client in clients]
        finally:
            for client in clients:
                client.kill()
                client.wait()
            server.kill()
    # A slot that it had taken may be used a moment later.
    assert [at_s for at_s in sent_s[2] if cut_s + 2.0 < at_s < back_s] == []
    assert any(at_s > back_s for at_s in sent_s[2])
    all_s = sorted(at_s for times_s in sent_s for at_s in times_s)
    assert most_in_window(all_s) <= PLAN.limit
    for begin_s, end_s in ((cut_s - 5.0, cut_s), (cut_s, back_s), (back_s + 3.0, back_s + 8.0)):
        assert sum(begin_s < at_s < end_s for at_s in all_s) >= PLAN.limit
