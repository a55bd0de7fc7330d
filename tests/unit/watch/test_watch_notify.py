"""Notifications on a session bus of the test's own, with a daemon that notes them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from jeepney import HeaderFields, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.trio import DBusConnection, Proxy, open_dbus_connection

from rcfs.transport import Recorder
from rcfs.watch import notify
from rcfs.watch._notices import Notice
from rcfs.watch.notify import Desktop
from tests.fakes.logind import bus

WITHIN_S = 60.0
NEWS = Notice("Voicemail from Bob <b>", "for 101 <Jane> & co")


class Daemon:
    """The notification daemon of a desktop."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self.heard: list[tuple[Any, ...]] = []
        self.mood = "good"

    async def run(self) -> None:
        while True:
            message = await self._connection.receive()
            if message.header.message_type is not MessageType.method_call or self.mood == "silent":
                continue
            assert message.header.fields[HeaderFields.member] == "Notify"
            if self.mood == "refuses":
                await self._connection.send(new_error(message, "org.freedesktop.Notifications.Error"))
            else:
                self.heard.append(message.body)
                await self._connection.send(new_method_return(message, "u", (len(self.heard),)))


@pytest.fixture
async def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    async with bus(tmp_path) as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        connection = await open_dbus_connection(address)
        async with connection, trio.open_nursery() as nursery:
            async with connection.router() as router:
                assert await Proxy(message_bus, router).RequestName("org.freedesktop.Notifications") == (1,)
            fake = Daemon(connection)
            nursery.start_soon(fake.run)
            yield fake
            nursery.cancel_scope.cancel()


async def test_the_desktop_is_told(daemon: Daemon) -> None:
    desktop = Desktop(Recorder(structlog.get_logger()))
    with trio.fail_after(WITHIN_S):
        assert await desktop.show([NEWS, Notice("The disk is full", "so", is_trouble=True)])
    (app, _replaces, icon, summary, body, actions, hints, expires_ms), trouble = daemon.heard
    assert (app, icon, actions, expires_ms) == ("rcfs", "mail-unread", [], -1)
    assert (summary, body) == ("Voicemail from Bob <b>", "for 101 &lt;Jane&gt; &amp; co")
    assert hints == {"urgency": ("y", 1), "category": ("s", "email.arrived")}
    assert trouble[2] == "dialog-warning"
    assert trouble[6]["urgency"] == ("y", 2)


async def test_a_desktop_that_refuses_or_is_silent_or_missing_is_noted_once(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(structlog.get_logger())
    desktop = Desktop(recorder)
    monkeypatch.setattr(notify, "_WITHIN_S", 0.2)
    with trio.fail_after(WITHIN_S):
        for daemon.mood in ("refuses", "silent"):
            assert not await desktop.show([NEWS])
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        assert not await desktop.show([NEWS])
    assert sum("notification failed" in line for line in recorder.lines) == 1
    assert "Bob" not in str(recorder.lines)


def test_a_disk_that_cannot_be_asked_is_not_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not notify._is_full((tmp_path / "missing", tmp_path))
    monkeypatch.setattr(notify, "_LEAST_FREE_BYTES", 1 << 62)
    assert notify._is_full((tmp_path / "missing", tmp_path))
