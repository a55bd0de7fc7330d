import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rcfs.host import ServiceManager


@pytest.fixture
def heard() -> Iterator[socket.socket]:
    """The socket of a service manager, with a name without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("")  # the kernel chooses a name
        receiver.settimeout(0)
        yield receiver


def address_of(receiver: socket.socket) -> str:
    name: bytes = receiver.getsockname()
    return "@" + name[1:].decode()


def test_messages(heard: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": address_of(heard), "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "7", "A": "b"}
    manager = ServiceManager.take(environ, 7)
    assert (manager.is_there, manager.watchdog_s, environ) == (True, 5.0, {"A": "b"})
    manager.starting(2.5)
    manager.ready()
    manager.status("two\nlines")
    manager.alive()
    assert [heard.recv(100) for _ in range(4)] == [
        b"EXTEND_TIMEOUT_USEC=2500000",
        b"READY=1",
        b"STATUS=two lines",
        b"WATCHDOG=1",
    ]


def test_a_socket_with_a_path(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "s"))
        ServiceManager.take({"NOTIFY_SOCKET": str(tmp_path / "s")}, 1).ready()
        assert receiver.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    ("watchdog", "pid"), [("", "7"), ("0", "7"), ("soon", "7"), ("5000000", "8")], ids=repr
)
def test_no_watchdog_for_this_process(watchdog: str, pid: str) -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": watchdog, "WATCHDOG_PID": pid}
    assert ServiceManager.take(environ, 7).watchdog_s is None


def test_no_manager_or_one_that_does_not_listen(heard: socket.socket, tmp_path: Path) -> None:
    assert not ServiceManager.take({}, 1).is_there
    assert not ServiceManager.take({"NOTIFY_SOCKET": "vsock:2:1"}, 1).is_there
    ServiceManager().ready()
    ServiceManager(str(tmp_path / "gone")).ready()
    full = ServiceManager(address_of(heard))
    for _ in range(1000):  # more than the kernel keeps for a socket that nobody reads
        full.alive()


def test_it_keeps_a_mount_for_the_next_process(heard: socket.socket, tmp_path: Path) -> None:
    manager = ServiceManager.take({"NOTIFY_SOCKET": address_of(heard)}, 7)
    assert manager.mount is None
    with (tmp_path / "connection").open("w") as file:
        manager.keep_mount(file.fileno())
        message, (kept,), _, _ = socket.recv_fds(heard, 100, 1)
    assert message == b"FDSTORE=1\nFDNAME=mount\nFDPOLL=0"
    assert os.path.samestat(os.fstat(kept), (tmp_path / "connection").stat())
    os.close(kept)


def test_the_mount_that_it_has_kept(heard: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(os, "set_inheritable", lambda number, _inheritable: closed.append(number))
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "other:mount"}
    for pid, mount in ((7, 4), (8, None)):
        taken = {"NOTIFY_SOCKET": address_of(heard), **environ}
        assert ServiceManager.take(taken, pid).mount == mount
        assert taken == {}
    assert heard.recv(100) == b"FDSTOREREMOVE=1\nFDNAME=mount", "else the mount hangs after the end"
    assert closed == [4], "no child gets it"
