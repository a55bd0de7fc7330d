"""The quota ledger that some settings describe: one for all processes of one directory or server."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from rcfs.config import Settings, read_ledger_password
from rcfs.model import LedgerAddress
from rcfs.quota import Home, Ledger, MemoryHome, SlotLedger
from rcfs.store import LinuxMachine, SqliteHome
from rcfs.store import open_ledger as open_shared
from rcfs.transport import Recorder

if TYPE_CHECKING:
    from rcfs.store import SharedParts

_PATIENCE_S = 0.05
"""How long the report of an ordinary answer waits for the next request, which then stores both with one
transaction, in seconds: a program that walks through files opens the next one within a few milliseconds."""

LedgerAndClock = tuple[SlotLedger, Callable[[], float]]
"""A ledger, and the clock that its times are in, in seconds."""


@contextmanager
def open_ledger(
    settings: Settings, identity: str, recorder: Recorder, *, create: bool = True
) -> Iterator[LedgerAndClock]:
    """The ledger of the login `identity`; one in memory takes the place of one that fails.

    Without `create`, a missing state directory is not created either, and the ledger is in memory.

    Raises:
        ConfigError: The ledger is on a server, and redis-py or the password is missing.
        LedgerRefusedError: That server refuses the login, or does not permit what rcfs needs.
    """
    machine = LinuxMachine.here()
    plans = settings.plans

    def fault(line: str) -> None:
        recorder.fault("quota", line)

    ledger: SlotLedger
    if settings.ledger is not None:
        from rcfs.store import open_remote_ledger  # noqa: PLC0415 - few users share the ledger

        password = read_ledger_password(settings)
        peers = settings.files.ledger_peers
        ledger = open_remote_ledger(settings.ledger, password, identity, plans, peers, fault)
    elif not create and not settings.state_dir.is_dir():
        ledger = Ledger(MemoryHome(plans))
    else:
        ledger = open_shared(settings.files.ledger, identity, plans, fault, machine, patience_s=_PATIENCE_S)
    try:
        yield ledger, machine.clock_s
    finally:
        ledger.close(machine.clock_s())


@contextmanager
def open_parts(settings: Settings, account: str, name: str, scope: str) -> "Iterator[SharedParts]":
    """The list of parts called `name` on the ledger's server, which `settings` name; see `SharedParts`.

    Raises:
        ConfigError: redis-py or the password is missing.
    """
    from rcfs.store import SharedParts  # noqa: PLC0415 - few users share the ledger

    assert settings.ledger is not None  # noqa: S101 - the command has checked it
    with closing(SharedParts(settings.ledger, read_ledger_password(settings), account, name, scope)) as parts:
        yield parts


@contextmanager
def open_existing_ledger(
    settings: Settings, identity: str, warn: Callable[[str], None]
) -> Iterator[tuple[Ledger, Callable[[], float], LedgerAddress | None]]:
    """The ledger of the login `identity`, to look at it or to reset it; an empty one if it does not exist.

    Besides the ledger and its clock: the server that keeps it; None if it is on this machine.

    Raises:
        ConfigError, LedgerRefusedError: See `open_ledger`.
        SharedLedgerError: The ledger is on a server that cannot be used now.
        StoreError: The ledger exists and cannot be used.
    """
    machine, path = LinuxMachine.here(), settings.files.ledger
    home: Home
    if settings.ledger is not None:
        from rcfs.store import open_server_home  # noqa: PLC0415 - few users share the ledger

        password = read_ledger_password(settings)
        peers = settings.files.ledger_peers
        home = open_server_home(settings.ledger, password, identity, settings.plans, peers)
        home.load(None, to_store=False)
        clock = home.now_s
    elif path.exists():
        home, clock = SqliteHome.open(path, identity, settings.plans, warn, machine), machine.clock_s
    else:
        home, clock = MemoryHome(settings.plans), machine.clock_s
    ledger = Ledger(home, warn)
    try:
        yield ledger, clock, settings.ledger
    finally:
        ledger.close(clock())
