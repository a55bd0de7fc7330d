"""Messages of this process to the service manager that started it: systemd, or another with its protocol.

A service manager names a datagram socket in the environment; each message is some lines ``NAME=value``.
Source: sd_notify(3), sd_watchdog_enabled(3). Written here because it takes one call of `sendto`: the packages
for it are a wrapper that needs libsystemd's headers, and one without a release since 2017.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

import attrs


@attrs.frozen
class ServiceManager:
    """The service manager of this process; without one, calls do nothing."""

    address: str = ""
    """Its socket, as in the environment: a path, or a name after "@"; empty where there is no manager."""
    watchdog_s: float | None = None
    """Longest time between two calls of `alive`, in seconds, before it kills the process; None: any."""

    @classmethod
    def take(cls, environ: MutableMapping[str, str], pid: int) -> "ServiceManager":
        """The service manager of process `pid` by `environ`, which loses it: children are not for it."""
        address = environ.pop("NOTIFY_SOCKET", "")
        timeout, watched = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", str(pid))
        if address[:1] not in ("/", "@"):
            return cls()
        is_watched = timeout.isdecimal() and int(timeout) > 0 and watched == str(pid)
        return cls(address, int(timeout) / 1e6 if is_watched else None)

    @property
    def is_there(self) -> bool:
        """Whether there is one."""
        return bool(self.address)

    def ready(self) -> None:
        """Tells it that the service is up."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Tells it what the service does, in one line; others may read it, so nothing private."""
        self._send(f"STATUS={' '.join(text.split())}")

    def alive(self) -> None:
        """Tells its watchdog that the service works."""
        self._send("WATCHDOG=1")

    def starting(self, within_s: float) -> None:
        """Tells it that the service may need `within_s` more seconds until it is up."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(within_s * 1e6)}")

    def _send(self, message: str) -> None:
        if not self.address:
            return
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        # A manager that does not listen must not stop the mount: a lost message is followed by others.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0)
            sender.sendto(message.encode(), os.fsencode(address))
