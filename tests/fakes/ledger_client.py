"""A client of a ledger on a server: ``python -m tests.fakes.ledger_client HOST PORT MEMORY SECONDS``.

It sends as much bulk work as it may, and prints the time of each request on the machine's boot clock.
"""

import sys
from pathlib import Path

import structlog
import trio

from rcfs.model import LedgerAddress, Plan, Priority, UsageGroup
from rcfs.store import LinuxMachine, open_remote_ledger
from rcfs.transport import Recorder, RequestOptions
from rcfs.transport._gate import Gate

GROUP = UsageGroup("medium")
PLAN = Plan(40, 4.0, 4.0)


async def send(address: LedgerAddress, memory: Path, seconds: float) -> None:
    clock = LinuxMachine.here().clock_s
    ledger = open_remote_ledger(address, None, "clients", {GROUP: PLAN}, memory, lambda _line: None)
    gate = Gate(ledger, Recorder(structlog.get_logger()), clock)

    async def work() -> None:
        while True:
            async with gate.slot("bulk", GROUP, RequestOptions(Priority.BULK)) as slot:
                print(clock(), flush=True)  # noqa: T201 - the test reads it
                await trio.sleep(0.01)
                slot.answered(200, None, None)

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gate.run)
            for _ in range(30):
                nursery.start_soon(work)
    ledger.close(clock())


if __name__ == "__main__":
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    trio.run(send, LedgerAddress(sys.argv[1], int(sys.argv[2])), Path(sys.argv[3]), float(sys.argv[4]))
