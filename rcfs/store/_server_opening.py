"""Opens ledgers on a server: the names of clients, and what a machine remembers between them."""

import json
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

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
    _owner: str
    """The name of this process in the book."""
    _shares: dict[str, int] = attrs.field(init=False)
    _here: tuple[str, ...] = attrs.field(init=False)
    """Processes that used this state directory."""

    def __attrs_post_init__(self) -> None:
        """Read what is remembered."""
        entry = self._read().get(self._credential, {})
        try:
            self._shares = {str(owner): int(divisor) for owner, divisor in entry["shares"].items()}
            self._here = tuple(map(str, entry["here"]))
        except (AttributeError, LookupError, TypeError, ValueError):
            self._shares, self._here = {}, ()

    def shares(self) -> Mapping[str, int]:
        """See `Memory.shares`."""
        return self._shares

    def former(self) -> Collection[str]:
        """See `Memory.former`."""
        mine = _boot_of(self._owner)
        return [owner for owner in self._here if _boot_of(owner) != mine]

    def remember(self, shares: Mapping[str, int]) -> None:
        """See `Memory.remember`."""
        self._shares = dict(shares)
        document = self._read()
        with suppress(OSError, StoreError, AttributeError, TypeError):
            here = {*document.get(self._credential, {}).get("here", ()), *self._here}
            self._here = (*sorted(here & {*shares} - {self._owner}), self._owner)
            entry = {"shares": self._shares, "here": self._here}
            replace_private_file(self._path, json.dumps({**document, self._credential: entry}))

    def _read(self) -> dict[str, Any]:
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
            return values if isinstance(values, dict) else {}
        except (OSError, ValueError):
            return {}


def _boot_of(owner: str) -> str:
    """The boot in the name of a client; see `SharingMachine.owner`."""
    return owner.partition(" ")[2].partition(" ")[0]


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
    return _home(ServerConnection(address, password, credential), credential, plans, memory)


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
        memory: A file in the state directory, for the clients.
        warn: Gets a line for each outage, from any thread.

    Raises:
        ConfigError: redis-py is not installed.
        LedgerRefusedError: The server refuses the login, or does not permit what rcfs needs.
    """
    connection = ServerConnection(address, password, credential)
    home, machine = _home(connection, credential, plans, memory), SharingMachine.here()
    try:
        home.load(None, to_store=False)
    except LedgerRefusedError:
        home.close()
        raise
    except SharedLedgerError:
        pass  # The ledger warns of it.
    return RemoteLedger(home, connection, plans, machine, warn)


def _home(
    connection: ServerConnection, credential: str, plans: Mapping[UsageGroup, Plan], memory: Path
) -> ServerHome:
    machine = SharingMachine.here()
    return ServerHome(connection, plans, machine, FileMemory(memory, credential, machine.owner))
