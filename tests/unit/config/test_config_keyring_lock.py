"""The keyring's state, asked from a service of secrets on a bus of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import keyring
import pytest
import trio
from jeepney import HeaderFields, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.trio import DBusConnection, Proxy, open_dbus_connection

from rcfs.config._keyring_lock import is_locked
from tests.fakes.logind import bus


class Secrets:
    """The Secret Service of a desktop; it refuses all that would open a window."""

    def __init__(self, connection: DBusConnection) -> None:
        self._connection = connection
        self.default = "/org/freedesktop/secrets/collection/login"
        self.locked = False

    async def run(self) -> None:
        while True:
            message = await self._connection.receive()
            fields = message.header.fields
            if message.header.message_type is not MessageType.method_call:
                continue
            if fields[HeaderFields.member] == "ReadAlias" and message.body == ("default",):
                answer = new_method_return(message, "o", (self.default,))
            elif fields[HeaderFields.member] == "Get" and fields[HeaderFields.path] == self.default:
                answer = new_method_return(message, "v", (("b", self.locked),))
            else:
                answer = new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")
            await self._connection.send(answer)


def choose(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    kind: Any = type("Keyring", (), {"__module__": f"keyring.backends.{backend}"})
    monkeypatch.setattr(keyring, "get_keyring", kind)


@pytest.fixture
async def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Secrets]:
    choose(monkeypatch, "SecretService")
    async with bus(tmp_path) as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        connection = await open_dbus_connection(address)
        async with connection, trio.open_nursery() as nursery:
            async with connection.router() as router:
                assert await Proxy(message_bus, router).RequestName("org.freedesktop.secrets") == (1,)
            fake = Secrets(connection)
            nursery.start_soon(fake.run)
            yield fake
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("locked", [False, True])
async def test_it_says_whether_it_is_locked(secrets: Secrets, locked: bool) -> None:
    secrets.locked = locked
    assert await trio.to_thread.run_sync(is_locked) is locked


async def test_there_is_none_yet(secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.default = "/"
    assert await trio.to_thread.run_sync(is_locked) is None
    choose(monkeypatch, "chainer")
    assert await trio.to_thread.run_sync(is_locked) is False, "another one of the chain may be there"
    choose(monkeypatch, "kwallet")
    assert is_locked() is False, "it is not asked"
