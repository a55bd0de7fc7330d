"""A private system bus for a test, with a logind that announces suspends on demand."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.trio import DBusConnection, Proxy, open_dbus_connection

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
"""
_MANAGER = DBusAddress("/org/freedesktop/login1", interface="org.freedesktop.login1.Manager")


@asynccontextmanager
async def bus(directory: Path) -> AsyncIterator[str]:
    """The address of a bus without services; skips the test if dbus-daemon is missing."""
    program = shutil.which("dbus-daemon")
    if program is None:
        pytest.skip("dbus-daemon is not installed")
    config = directory / "bus.conf"
    config.write_text(_CONFIG.format(socket=directory / "bus"))
    command = [program, f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        with trio.fail_after(60):
            address = (await process.stdout.receive_some()).decode().strip()
        yield address
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()


class Logind:
    """The part of logind that handles suspending."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self._locks: list[int] = []
        self.asked = trio.Event()
        """Set when a program has taken a lock; `forget` resets it."""
        self.requests: list[tuple[str, ...]] = []
        """The arguments of each Inhibit."""

    async def run(self) -> None:
        """Give out locks until cancelled."""
        while True:
            message = await self._connection.receive()
            header = message.header
            if header.message_type is MessageType.method_call:
                await self._answer(message, header.fields.get(HeaderFields.member))

    async def _answer(self, message: Message, member: object) -> None:
        if member != "Inhibit":
            await self._connection.send(new_error(message, "org.freedesktop.DBus.Error.UnknownMethod"))
            return
        self.requests.append(message.body)
        reading, writing = os.pipe()
        await self._connection.send(new_method_return(message, "h", (writing,)))
        os.close(writing)
        self._locks.append(reading)
        self.asked.set()

    async def suspend(self) -> None:
        """Announce a suspend and wait until all locks are released."""
        self.asked = trio.Event()
        await self._connection.send(new_signal(_MANAGER, "PrepareForSleep", "b", (True,)))
        for lock in self._locks:
            await trio.lowlevel.wait_readable(lock)
            assert os.read(lock, 1) == b""
            os.close(lock)
        self._locks.clear()

    async def resume(self) -> None:
        """Announce that the machine is awake again."""
        await self._connection.send(new_signal(_MANAGER, "PrepareForSleep", "b", (False,)))

    def close(self) -> None:
        for lock in self._locks:
            os.close(lock)


@asynccontextmanager
async def logind(address: str) -> AsyncIterator[Logind]:
    """A logind on the bus at `address`."""
    connection = await open_dbus_connection(address, enable_fds=True)
    async with connection:
        async with connection.router() as router:
            assert await Proxy(message_bus, router).RequestName("org.freedesktop.login1") == (1,)
        fake = Logind(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fake.run)
            yield fake
            nursery.cancel_scope.cancel()
        fake.close()
