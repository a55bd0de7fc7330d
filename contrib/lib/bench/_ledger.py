"""The price of a quota ledger on a server: the wait for a slot, and the part of the quota that is used.

``contrib/bench --ledger`` runs it. It starts a server of its own on a loopback port (Debian: redis-tools).
The windows are half as long as those of RingCentral: it takes three minutes.
"""

import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

import attrs
import trio

from bench._processes import free_port, running, wait_listening
from rcfs.host.logs import EventLog
from rcfs.model import LedgerAddress, Plan, Priority, UsageGroup
from rcfs.quota import SlotLedger
from rcfs.store import LinuxMachine, open_ledger, open_remote_ledger
from rcfs.transport import Recorder, RequestOptions
from rcfs.transport._gate import Gate

_GROUP = UsageGroup("medium")
_REQUESTS = 200
_CLIENTS = 5
_AWAY_S = 0.02
"""Time to the server and back, in seconds, for bulk work."""
_PLAN = Plan(40, 30.0, 30.0)
_WINDOWS = 6


@attrs.frozen
class LedgerResults:
    """The figures."""

    file_s: list[float]
    """Wait for each slot from a file, in seconds."""
    server_s: list[float]
    """The same from a server on loopback."""
    used: float
    """Part of the quota that five clients used, 0 to 1."""
    most_in_window: int
    """Most requests within one window; the limit is 40."""

    def described(self) -> str:
        """The figures as text."""
        lines = []
        for name, times in (("file", self.file_s), ("server", self.server_s)):
            p95 = quantiles(times, n=20)[-1]
            lines.append(
                f"slot, ledger in a {name}: median {median(times) * 1e3:.2f} ms, 95 % {p95 * 1e3:.2f} ms"
            )
        added_ms = (median(self.server_s) - median(self.file_s)) * 1e3
        lines.append(f"a server adds {added_ms:.2f} ms to a cold open")
        lines.append(
            f"{_CLIENTS} clients, server {_AWAY_S * 1e3:.0f} ms away: {self.used:.1%} of the quota in bulk,"
            f" at most {self.most_in_window} of {_PLAN.limit} requests in a window"
        )
        return "\n".join(lines)


def measure(place: Path, say: Callable[[str], None]) -> LedgerResults:
    """Measures in the empty directory `place`.

    Raises:
        FileNotFoundError: There is no server to start.
    """
    program = shutil.which("redis-server") or shutil.which("valkey-server") or shutil.which("redis-check-rdb")
    if program is None:
        raise FileNotFoundError("install redis-tools")
    link = place / "redis-server"  # The program looks at its name.
    link.symlink_to(program)
    port, far_port = free_port(), free_port()
    clock = LinuxMachine.here().clock_s
    with ExitStack() as ended:
        server = [str(link), "--port", str(port), "--save", "", "--dir", str(place)]
        log = place / "server.log"
        process = ended.enter_context(running(server, log=log))
        wait_listening(port, process, log)
        ledger = open_ledger(
            place / "ledger.sqlite", "bench", {_GROUP: Plan(10_000)}, say, LinuxMachine.here()
        )
        file_s = trio.run(_waits, ledger, clock)
        ledger.close(clock())
        remote = open_remote_ledger(
            LedgerAddress("127.0.0.1", port),
            None,
            secrets.token_hex(4),
            {_GROUP: Plan(10_000)},
            place / "peers",
            say,
        )
        server_s = trio.run(_waits, remote, clock)
        remote.close(clock())
        proxy = [sys.executable, "-m", "bench._delay", str(far_port), str(port), str(_AWAY_S / 2)]
        process = ended.enter_context(running(proxy, log=log))
        wait_listening(far_port, process, log)
        name = secrets.token_hex(4)
        clients = [
            subprocess.Popen(
                [sys.executable, "-m", "bench._ledger", str(far_port), name, str(place / f"peers{number}")],
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(_CLIENTS)
        ]
        try:
            sent_s = sorted(float(line) for client in clients for line in client.communicate()[0].split())
        finally:
            for client in clients:
                client.kill()
    return LedgerResults(file_s, server_s, *_judged(sent_s))


def _judged(sent_s: list[float]) -> tuple[float, int]:
    """The part of the quota that was used after two windows, and the most requests of a window."""
    begin_s = sent_s[0] + 2 * _PLAN.window_s
    last_s = begin_s + (_WINDOWS - 3) * _PLAN.window_s
    used = sum(begin_s <= at_s < last_s for at_s in sent_s) / ((_WINDOWS - 3) * _PLAN.limit)
    most = max(sum(at_s <= other_s < at_s + _PLAN.window_s for other_s in sent_s) for at_s in sent_s)
    return used, most


async def _waits(ledger: SlotLedger, clock: Callable[[], float]) -> list[float]:
    """The wait for each of some slots, one after the other."""
    gate = Gate(ledger, Recorder(EventLog()), clock)
    waits_s = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run)
        await trio.sleep(1.0)
        for _ in range(_REQUESTS):
            begun_s = trio.current_time()
            async with gate.slot("bench", _GROUP, RequestOptions(Priority.PERSON)) as slot:
                waits_s.append(trio.current_time() - begun_s)
                slot.answered(200, None, None)
            await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    return waits_s


async def _bulk(ledger: SlotLedger, clock: Callable[[], float]) -> None:
    """Sends as much bulk work as it may, and prints the time of each request."""
    gate = Gate(ledger, Recorder(EventLog()), clock)

    async def work() -> None:
        while True:
            async with gate.slot("bench", _GROUP, RequestOptions(Priority.BULK)) as slot:
                print(clock(), flush=True)
                await trio.sleep(0.01)
                slot.answered(200, None, None)

    with trio.move_on_after(_WINDOWS * _PLAN.window_s):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gate.run)
            for _ in range(60):
                nursery.start_soon(work)


def _client(port: int, name: str, memory: Path) -> None:
    clock = LinuxMachine.here().clock_s
    plans = {_GROUP: _PLAN}
    ledger = open_remote_ledger(
        LedgerAddress("127.0.0.1", port), None, name, plans, memory, lambda _line: None
    )
    trio.run(_bulk, ledger, clock)
    ledger.close(clock())


if __name__ == "__main__":
    _client(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
