"""A real Redis or Valkey server on a Unix socket or a loopback port, which ends with the tests."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import attrs

from rcfs.model import LedgerAddress

_NAMES = ("redis-server", "valkey-server")
_OTHER_NAME = "redis-check-rdb"
"""The server in Debian's package redis-tools, which starts no service: the program looks at its argv[0]."""


def server_program() -> str | None:
    """Path of the server's program; None without one. RCFS_LEDGER_SERVER names another one."""
    named = os.environ.get("RCFS_LEDGER_SERVER")
    return named or next(filter(None, map(shutil.which, (*_NAMES, _OTHER_NAME))), None)


@attrs.define(eq=False)
class LedgerServer:
    """A server process; `directory` holds its socket and its data, and has a short path."""

    directory: Path
    options: tuple[str, ...] = ()
    port: int = 0
    """TCP port; 0 for the Unix socket alone."""
    prefix: tuple[str, ...] = ()
    """The command that runs the server, such as ``ip netns exec NAME``."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> LedgerAddress:
        return LedgerAddress(path=str(self.directory / "s"))

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        program = server_program()
        assert program is not None, "install redis-tools"
        arguments = ["--port", str(self.port), "--unixsocket", str(self.directory / "s")]
        arguments += ["--dir", str(self.directory), "--save", "", *self.options]
        link = self.directory / "redis-server"
        if not link.exists():
            link.symlink_to(program)
        command = [*self.prefix, "setpriv", "--pdeathsig", "KILL", str(link), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        log = b""
        while b"eady to accept connections" not in log:
            line = self.process.stdout.readline()
            assert line, log.decode()
            log += line

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def pause(self) -> None:
        """Stop the process, which then answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@cache
def shared_server() -> LedgerServer:
    """The server of all tests of this process that need no server of their own."""
    directory = Path(tempfile.mkdtemp(prefix="rcfs-ledger-"))
    server = LedgerServer(directory)
    server.start()
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    atexit.register(server.kill)
    return server
