"""A client of a ledger on a server: ``python -m tests.fakes.ledger_client HOST PORT MEMORY SECONDS [LEASE]``.

It sends as much bulk work as it may, and prints the time of each request on the machine's boot clock.
LEASE shortens its lease, in seconds, and lets each answer take a second.
"""

import sys
from pathlib import Path
from unittest import mock

import structlog
import trio

from rcfs.model import LedgerAddress, Plan, Priority, UsageGroup
from rcfs.store import LinuxMachine, _server_home, open_remote_ledger
from rcfs.transport import Recorder, RequestOptions
from rcfs.transport._gate import Gate

GROUP = UsageGroup("medium")
PLAN = Plan(40, 4.0, 4.0)


async def send(address: LedgerAddress, memory: Path, seconds: float, answer_s: float) -> None:
    clock = LinuxMachine.here().clock_s
    ledger = open_remote_ledger(address, None, "clients", {GROUP: PLAN}, memory, lambda _line: None)
    gate = Gate(ledger, Recorder(structlog.get_logger()), clock)

    async def work() -> None:
        while True:
            async with gate.slot("bulk", GROUP, RequestOptions(Priority.BULK)) as slot:
                print(clock(), flush=True)  # noqa: T201 - the test reads it
                await trio.sleep(answer_s)
                slot.answered(200, None, None)

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gate.run)
            for _ in range(30):
                nursery.start_soon(work)
    ledger.close(clock())


if __name__ == "__main__":
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    host, port, memory, seconds, *lease_s = sys.argv[1:]
    with mock.patch.object(_server_home, "LEASE_S", float(lease_s[0]) if lease_s else _server_home.LEASE_S):
        answer_s = 1.0 if lease_s else 0.01
        trio.run(send, LedgerAddress(host, int(port)), Path(memory), float(seconds), answer_s)
