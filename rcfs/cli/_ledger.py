"""The quota ledger of the command line: one for all processes that share a state directory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rcfs.cli._output import warn
from rcfs.config import Settings
from rcfs.quota import Ledger, MemoryHome
from rcfs.store import LinuxMachine, SqliteHome, credentials_in_ledger, open_ledger
from rcfs.transport import Recorder


@contextmanager
def open_quota(
    settings: Settings, identity: str, recorder: Recorder, *, create: bool = True
) -> Iterator[tuple[Ledger, Callable[[], float]]]:
    """The ledger that all processes with this state directory share, and the clock that it counts in.

    Args:
        settings: Where it lies, and what is assumed of the plans.
        identity: Whose budget it is; see `rcfs.platform.Credentials.identity`.
        recorder: Hears its warnings.
        create: Whether to create it where there is no state directory; else it is forgotten at the end.
    """
    machine = LinuxMachine.here()
    if not create and not settings.state_dir.is_dir():
        yield Ledger(MemoryHome(settings.plans)), machine.clock_s
        return
    ledger = open_ledger(
        settings.files.ledger,
        identity,
        settings.plans,
        lambda line: recorder.fault("quota", line),
        machine,
    )
    try:
        yield ledger, machine.clock_s
    finally:
        ledger.close(machine.clock_s())


def known_logins(settings: Settings) -> Sequence[str]:
    """The identities of all whose budgets the state directory knows.

    Raises:
        StoreError: The ledger cannot be read.
    """
    return credentials_in_ledger(settings.files.ledger)


@contextmanager
def open_ledger_of(settings: Settings, identity: str) -> Iterator[tuple[Ledger, Callable[[], float]]]:
    """As `open_quota`, for looking at it or resetting it: nothing is made up for a ledger that fails.

    Raises:
        StoreError: There is a ledger, and it cannot be used.
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
