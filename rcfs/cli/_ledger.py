"""The quota ledger of the command line: one for all processes that share a state directory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rcfs.cli._output import warn
from rcfs.config import Settings
from rcfs.quota import Ledger, MemoryHome
from rcfs.store import LinuxMachine, SqliteHome
from rcfs.store import open_ledger as open_shared
from rcfs.transport import Recorder

LedgerAndClock = tuple[Ledger, Callable[[], float]]
"""A ledger, and the clock that its times are in, in seconds."""


@contextmanager
def open_ledger(
    settings: Settings, identity: str, recorder: Recorder, *, create: bool = True
) -> Iterator[LedgerAndClock]:
    """The ledger of the login `identity`; one in memory takes the place of one that fails.

    Without `create`, a missing state directory is not created either, and the ledger is in memory.
    """
    machine = LinuxMachine.here()
    if not create and not settings.state_dir.is_dir():
        ledger = Ledger(MemoryHome(settings.plans))
    else:
        path, plans = settings.files.ledger, settings.plans
        ledger = open_shared(path, identity, plans, lambda line: recorder.fault("quota", line), machine)
    try:
        yield ledger, machine.clock_s
    finally:
        ledger.close(machine.clock_s())


@contextmanager
def open_existing_ledger(settings: Settings, identity: str) -> Iterator[LedgerAndClock]:
    """The ledger of the login `identity`, to look at it or to reset it; an empty one if it does not exist.

    Raises:
        StoreError: The ledger exists and cannot be used.
    """
    machine, path = LinuxMachine.here(), settings.files.ledger
    if not path.exists():
        yield Ledger(MemoryHome(settings.plans)), machine.clock_s
        return
    ledger = Ledger(SqliteHome.open(path, identity, settings.plans, warn, machine), warn)
    try:
        yield ledger, machine.clock_s
    finally:
        ledger.close(machine.clock_s())
