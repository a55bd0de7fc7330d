"""The ledger on a server, as an event loop uses it: real servers, sockets, threads and time."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
import structlog
import trio

from rcfs.errors import ConfigError, LedgerRefusedError, SharedLedgerError
from rcfs.model import LedgerAddress, Plan, Priority, UsageGroup
from rcfs.quota import Slot, Waiting
from rcfs.store import _remote_ledger, open_remote_ledger
from rcfs.store._machine import LinuxMachine
from rcfs.store._remote_ledger import RemoteLedger
from rcfs.store._server_connection import ServerConnection
from rcfs.store._server_home import ServerHome
from rcfs.store._server_opening import FileMemory, SharingMachine
from rcfs.transport import Recorder, RequestOptions
from rcfs.transport._gate import Gate
from tests.fakes.ledger_server import LedgerServer

MEDIUM = UsageGroup("medium")
PERSON, METADATA = Priority.PERSON, Priority.METADATA
NewLedger = Callable[..., RemoteLedger]
clock = LinuxMachine.here().clock_s


@pytest.fixture
def server() -> Iterator[LedgerServer]:
    with TemporaryDirectory(prefix="rcfs-remote-") as path:  # the path of a socket is short
        server = LedgerServer(Path(path))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def new_ledger(server: LedgerServer, tmp_path: Path) -> Iterator[NewLedger]:
    ledgers: list[RemoteLedger] = []

    def make(limit: int = 3, warn: Callable[[str], None] = lambda _line: None) -> RemoteLedger:
        plans = {MEDIUM: Plan(limit)}
        number = len(ledgers)
        machine = attrs.evolve(SharingMachine.here(), host=f"host{number}")
        connection = ServerConnection(server.address, None, "somebody")
        memory = FileMemory(tmp_path / f"peers-{number}", "somebody", machine.owner)
        home = ServerHome(connection, plans, machine, memory)
        ledgers.append(RemoteLedger(home, connection, plans, machine, warn))
        return ledgers[-1]

    yield make
    for ledger in ledgers:
        ledger.close(clock())


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until `is_so`, which a thread or another process makes true."""
    with trio.fail_after(60.0):  # noqa: ASYNC912 - it sleeps, or it is at its end
        while not is_so():  # noqa: ASYNC110 - another thread or process tells no event
            await trio.sleep(0.005)


async def taken(ledger: RemoteLedger, priority: Priority = METADATA) -> Slot:
    waiting = Waiting.only(priority, clock())
    answers: list[Slot] = []

    def is_there() -> bool:
        answer = ledger.take(MEDIUM, waiting, clock())
        if isinstance(answer, Slot):
            answers.append(answer)
        return bool(answers)

    await until(is_there)
    return answers[0]


def used(ledger: RemoteLedger) -> int:
    return ledger.states(clock())[0].used


async def test_slots_and_reports_reach_the_other_client(
    new_ledger: NewLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_remote_ledger, "_BEAT_S", 60.0)  # so only messages tell
    first, second = new_ledger(), new_ledger()
    slot = await taken(first)
    await until(lambda: used(second) == 1)
    first.cancel(slot)
    await until(lambda: used(second) == 0)
    sharing = second.sharing()
    assert sharing.outage == ""
    assert sharing.peers == (f"host0:{os.getpid()}", f"host1:{os.getpid()}")


def test_messages_before_the_subscription_count_as_missed(server: LedgerServer) -> None:
    connection = ServerConnection(server.address, None, "somebody")
    assert connection.wait_for_change("me", 10.0)
    assert not connection.wait_for_change("me", 0.01)
    server.kill()
    server.start()
    with pytest.raises(SharedLedgerError):
        connection.wait_for_change("me", 10.0)
    assert connection.wait_for_change("me", 10.0), "it has subscribed again"
    connection.end_waiting()


async def test_a_request_that_waits_is_sent_when_another_client_gives_its_slot_back(
    new_ledger: NewLedger,
) -> None:
    first, second = new_ledger(1), new_ledger(1)
    slot = await taken(first)
    gate = Gate(second, Recorder(structlog.get_logger()), clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.run)

        async def request() -> None:
            async with gate.slot("anything", MEDIUM, RequestOptions(PERSON)) as held:
                held.answered(200, None, None)
            nursery.cancel_scope.cancel()

        nursery.start_soon(request)
        await until(lambda: sum(first.states(clock())[0].elsewhere) == 1)
        first.cancel(slot)
        with trio.fail_after(60.0):
            await trio.sleep_forever()


async def test_a_slot_that_comes_too_late_is_given_back(new_ledger: NewLedger) -> None:
    first, second = new_ledger(), new_ledger()
    first.take(MEDIUM, Waiting.only(METADATA, clock(), 3), clock())
    await until(lambda: used(second) == 3)
    await until(lambda: isinstance(first.take(MEDIUM, Waiting.only(METADATA, clock(), 2), clock()), Slot))
    await until(lambda: used(second) == 2)
    first.leave(MEDIUM)
    await until(lambda: used(second) == 1)


async def test_the_event_loop_never_waits_for_a_server_that_answers_nothing(
    server: LedgerServer, new_ledger: NewLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = ended = 0
    run = ServerConnection._run

    def counted(*arguments: Any) -> Any:
        nonlocal begun, ended
        begun += 1
        try:
            return run(*arguments)
        finally:
            ended += 1

    monkeypatch.setattr(ServerConnection, "_run", counted)
    lines: list[str] = []
    ledger = new_ledger(warn=lines.append)
    await taken(ledger)
    server.pause()
    was_free = False

    def is_apart() -> bool:
        nonlocal was_free
        before = begun, ended
        ledger.states(clock())
        ledger.take(MEDIUM, Waiting.only(METADATA, clock()), clock())
        ledger.note_person(clock())
        was_free |= begun > ended and before == (begun, ended)
        return bool(ledger.sharing().outage)

    await until(is_apart)
    assert was_free, "these calls returned while a command waited for the server"
    assert "does not answer within 1 s; until it is back, rcfs waits 1" in lines[0]
    assert "s, and then uses 1/2 of each limit" in lines[0]
    assert ledger.sharing().waits_s > 60.0
    server.resume()
    await until(lambda: not ledger.sharing().outage)


async def test_a_server_that_is_killed_and_comes_back_empty_gets_its_book_again(
    server: LedgerServer, new_ledger: NewLedger
) -> None:
    first, second = new_ledger(9), new_ledger(9)
    await taken(first)
    await taken(second)
    await until(lambda: used(first) == used(second) == 2)
    server.kill()
    await until(lambda: bool(first.sharing().outage and second.sharing().outage))
    server.start()
    await until(lambda: not (first.sharing().outage or second.sharing().outage))
    await until(lambda: used(first) == used(second) == 2)
    assert first.states(clock())[0].frozen_for_s == 0.0


async def test_the_slots_of_a_killed_process_end_at_once(
    server: LedgerServer, new_ledger: NewLedger, tmp_path: Path
) -> None:
    ledger = new_ledger()
    child = subprocess.Popen(  # noqa: ASYNC220 - it starts in a millisecond
        [sys.executable, "-c", _CHILD, server.address.path, str(tmp_path / "child")], stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert await trio.to_thread.run_sync(child.stdout.readline) == b"taken\n"
        await until(lambda: ledger.states(clock())[0].in_flight == 1)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    await taken(ledger)  # whoever wants a slot looks for dead processes first
    await until(lambda: ledger.states(clock())[0].in_flight == 1)
    assert used(ledger) == 2


_CHILD = """
import sys, time
from pathlib import Path
from rcfs.model import LedgerAddress, Plan, Priority, UsageGroup
from rcfs.quota import Ledger, Slot, Waiting
from rcfs.store import open_server_home
plans = {UsageGroup("medium"): Plan(3)}
home = open_server_home(LedgerAddress(path=sys.argv[1]), None, "somebody", plans, Path(sys.argv[2]))
home.load(None, to_store=False)
waiting = Waiting.only(Priority.METADATA, 0.0)
ledger = Ledger(home)
ledger.refresh(home.now_s())
while not isinstance(ledger.take(UsageGroup("medium"), waiting, home.now_s()), Slot):
    time.sleep(0.01)  # The other has not seen this one yet.
print("taken", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("options", "user", "words"),
    [
        (["--requirepass", "secret"], "", "refuses the login"),
        (["--user", "jane", "on", ">other", "~*", "&*", "+@all"], "jane", "refuses the login"),
        (["--user", "jane", "on", ">wrong", "~other", "&*", "+@all"], "jane", "does not permit"),
    ],
)
def test_a_refusal_is_one_clear_line(options: list[str], user: str, words: str, tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="rcfs-remote-") as path:
        server = LedgerServer(Path(path), tuple(options))
        server.start()
        address = LedgerAddress(path=server.address.path, user=user)
        try:
            with pytest.raises(LedgerRefusedError, match=words) as caught:
                open_remote_ledger(address, "wrong", secrets.token_hex(4), {}, tmp_path / "m", pytest.fail)
            assert caught.value.exit_code == 3
            assert "wrong" not in str(caught.value)
        finally:
            server.kill()


def test_without_redis_py_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigError, match=r"needs the package redis; run: .+ install .*'redis>="):
        open_remote_ledger(LedgerAddress(host="localhost"), None, "x", {}, tmp_path / "m", pytest.fail)


def test_a_process_of_another_machine_cannot_be_seen_and_counts_as_living() -> None:
    machine = SharingMachine.here()
    assert machine.is_alive(machine.owner)
    shown, boot, name = machine.owner.split(" ")
    pid, start, namespace = name.split(".")
    assert not machine.is_alive(f"{shown} {boot} {pid}.{int(start) + 1}.{namespace}")
    assert machine.is_alive(f"{shown} another-boot {pid}.{int(start) + 1}.{namespace}")
    assert machine.is_alive("nonsense")
