"""Opens ledgers on a server: the names of clients, and what a machine remembers between them."""

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import attrs

from rcfs.errors import LedgerRefusedError, SharedLedgerError, StoreError
from rcfs.model import LedgerAddress, Plan, UsageGroup
from rcfs.private import replace_private_file
from rcfs.store._machine import LinuxMachine, Machine
from rcfs.store._remote_ledger import RemoteLedger
from rcfs.store._server_connection import ServerConnection
from rcfs.store._server_home import Memory, ServerHome

_MOST_NAME = 64
"""Characters of the host's name that a client's name has; source: HOST_NAME_MAX of Linux."""


@attrs.frozen
class SharingMachine(Machine):
    """This machine, among others that share a ledger."""

    _here: LinuxMachine
    _host: str

    @classmethod
    def here(cls) -> "SharingMachine":
        """The machine and process in which this is called.

        Raises:
            OSError: /proc is not there.
        """
        host = socket.gethostname()[:_MOST_NAME]
        return cls(LinuxMachine.here(), "".join(each for each in host if each.isalnum() or each in "-._"))

    @property
    def boot(self) -> str:
        """See `Machine.boot`."""
        return self._here.boot

    @property
    def owner(self) -> str:
        """See `Machine.owner`: host:pid, boot, and the name on this machine, separated by blanks."""
        pid = self._here.owner.partition(".")[0]
        return f"{self._host}:{pid} {self.boot} {self._here.owner}"

    def clock_s(self) -> float:
        """See `Machine.clock_s`."""
        return self._here.clock_s()

    def wall_s(self) -> float:
        """See `Machine.wall_s`."""
        return self._here.wall_s()

    def is_alive(self, owner: str) -> bool:
        """See `Machine.is_alive`: a process of another boot, or machine, cannot be seen."""
        try:
            _shown, boot, name = owner.split(" ")
            return boot != self.boot or self._here.is_alive(name)
        except ValueError:
            return True


@attrs.define
class FileMemory(Memory):
    """A file in the state directory, for all ledgers; if it cannot be written, nothing is remembered."""

    _path: Path
    _credential: str
    _known: int | None = None

    def parties(self) -> int:
        """See `Memory.parties`."""
        if self._known is None:
            self._known = self._read().get(self._credential, 0)
        return self._known

    def remember(self, parties: int) -> None:
        """See `Memory.remember`."""
        self._known = parties
        with suppress(OSError, StoreError):
            replace_private_file(self._path, json.dumps({**self._read(), self._credential: parties}))

    def _read(self) -> dict[str, int]:
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(name): max(1, int(parties)) for name, parties in values.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def open_server_home(
    address: LedgerAddress,
    password: str | None,
    credential: str,
    plans: Mapping[UsageGroup, Plan],
    memory: Path,
) -> ServerHome:
    """The home of `credential` on the server at `address`, as for `open_remote_ledger`.

    Raises:
        ConfigError: redis-py is not installed.
    """
    connection = ServerConnection(address, password, credential)
    return ServerHome(connection, plans, SharingMachine.here(), FileMemory(memory, credential))


def open_remote_ledger(
    address: LedgerAddress,
    password: str | None,
    credential: str,
    plans: Mapping[UsageGroup, Plan],
    memory: Path,
    warn: Callable[[str], None],
) -> RemoteLedger:
    """The ledger of `credential` on the server at `address`, also while that cannot be reached.

    Waits two seconds at most.

    Args:
        address: Where the server is.
        password: The password; None for none.
        credential: A digest that reveals nothing; see `rcfs.platform.identity`.
        plans: The plan of each group until a response tells another.
        memory: A file in the state directory, for the number of clients.
        warn: Gets a line for each outage, from any thread.

    Raises:
        ConfigError: redis-py is not installed.
        LedgerRefusedError: The server refuses the login, or does not permit what rcfs needs.
    """
    home = open_server_home(address, password, credential, plans, memory)
    machine = SharingMachine.here()
    try:
        home.load(None, to_store=False)
    except LedgerRefusedError:
        home.close()
        raise
    except SharedLedgerError:
        pass  # The ledger warns of it.
    return RemoteLedger(home, plans, machine, warn)
