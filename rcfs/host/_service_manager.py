"""Messages of this process to the service manager that started it: systemd, or another with its protocol.

A service manager names a datagram socket in the environment; each message is some lines ``NAME=value``.
Source: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). Written here because it takes two calls of
sockets: the packages for it are a wrapper that needs libsystemd's headers, and one without a release since
2017.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

import attrs

_MOUNT = "mount"
"""Name under which it keeps the connection of a mount."""
_FIRST_KEPT = 3
"""The first descriptor that it hands over. Source: sd_listen_fds(3)."""


@attrs.frozen
class ServiceManager:
    """The service manager of this process; without one, calls do nothing."""

    address: str = ""
    """Its socket, as in the environment: a path, or a name after "@"; empty where there is no manager."""
    watchdog_s: float | None = None
    """Longest time between two calls of `alive`, in seconds, before it kills the process; None: any."""
    mount: int | None = None
    """The descriptor that another process of the service gave to `keep_mount`; None if none did."""

    @classmethod
    def take(cls, environ: MutableMapping[str, str], pid: int) -> "ServiceManager":
        """The service manager of process `pid` by `environ`, which loses it: children are not for it.

        Its copy of `mount` is closed, so that the mount does not hang after the end of this process.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        timeout, watched = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", str(pid))
        receiver, names = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDNAMES", "").split(":")
        environ.pop("LISTEN_FDS", "")
        if address[:1] not in ("/", "@"):
            return cls()
        is_watched = timeout.isdecimal() and int(timeout) > 0 and watched == str(pid)
        mount = None
        if receiver == str(pid) and _MOUNT in names:
            mount = _FIRST_KEPT + names.index(_MOUNT)
            os.set_inheritable(mount, False)  # noqa: FBT003 - it takes no keyword
        manager = cls(address, int(timeout) / 1e6 if is_watched else None, mount)
        if mount is not None:
            manager._send(f"FDSTOREREMOVE=1\nFDNAME={_MOUNT}")
        return manager

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

    def keep_mount(self, descriptor: int) -> None:
        """Lets it keep `descriptor`, the connection of a mount, for the process that it starts next.

        Raises:
            OSError: It does not listen.
        """
        # It polls what it keeps, and would drop a connection that nobody serves yet.
        message = f"FDSTORE=1\nFDNAME={_MOUNT}\nFDPOLL=0"
        with self._socket() as sender:
            socket.send_fds(sender, [message.encode()], [descriptor])

    def _send(self, message: str) -> None:
        if not self.address:
            return
        # A manager that does not listen must not stop the mount: a lost message is followed by others.
        with suppress(OSError), self._socket() as sender:
            sender.send(message.encode())

    def _socket(self) -> socket.socket:
        """A socket that is connected to it, and never waits."""
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sender.settimeout(0)
            sender.connect(os.fsencode(address))
        except OSError:
            sender.close()
            raise
        return sender
