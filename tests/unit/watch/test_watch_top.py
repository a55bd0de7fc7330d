"""`rcfs top`, driven by Textual's pilot."""

import asyncio
from collections.abc import Awaitable, Callable

import attrs
import pytest
from rich.text import Text
from textual.widgets import DataTable, Static

from rcfs.errors import MountError
from rcfs.status import (
    GroupStatus,
    LedgerStatus,
    LoadStatus,
    PoolLoginStatus,
    QueueStatus,
    ReadersStatus,
    ReaderStatus,
    RequestCounts,
    SharedStatus,
    Status,
    TrafficStatus,
)
from rcfs.watch._top_rows import headline
from rcfs.watch.top import Top

CP = ReaderStatus(pid=5, program="cp[red]", opens=3, read_bytes=2048, idle_s=5.0, waiting=1, refused=False)
CAT = ReaderStatus(pid=6, program="cat", opens=1, read_bytes=9000, idle_s=0.1, waiting=0, refused=False)
FIRST = Status(
    version="1.2",
    pid=77,
    mountpoint="/home/jane/rc",
    uptime_s=10.0,
    network="up",
    quota=(GroupStatus("medium", 20, 40, 60.0, 0.0, 0.0, 0, ()),),
    queue=(QueueStatus("medium", "bulk", 7, 2, 75.0, 1.0, 90.0, ()),),
    requests=RequestCounts(sent=10, refused=0, by_group={}, content=5),
    traffic=TrafficStatus(1000, 2000),
    loads=(LoadStatus(62, "101", "Jane", 5.0, 3, 12, 3000, 12_000, 60.0),),
    readers=ReadersStatus(1, 400, (CAT, CP)),
)
SECOND = attrs.evolve(
    FIRST,
    uptime_s=12.0,
    requests=RequestCounts(sent=13, refused=0, by_group={}, content=5),
    traffic=TrafficStatus(1000 + 2 * 1024, 2000),
    readers=ReadersStatus(1, 400, (CAT, attrs.evolve(CP, read_bytes=2048 + 6 * 1024))),
)


def rows(app: Top, name: str) -> list[list[str]]:
    table = app.query_one(f"#{name}", DataTable)
    found = [table.get_row_at(number) for number in range(table.row_count)]
    assert all(isinstance(cell, Text) for row in found for cell in row), "a name may look like markup"
    return [[str(cell) for cell in row] for row in found]


def text(app: Top, name: str) -> str:
    return str(app.query_one(f"#{name}", Static).render())


def shown(
    statuses: list[Status | None],
    act: Callable[[str, int], str],
    check: Callable[[Top, Callable[..., Awaitable[None]]], Awaitable[None]],
) -> None:
    """Runs the view with one status after the other, the last one again and again."""
    app = Top(lambda: statuses.pop(0) if len(statuses) > 1 else statuses[0], act, every_s=3600)

    async def run() -> None:
        async with app.run_test(size=(110, 40)) as pilot:

            async def press(*keys: str) -> None:
                await pilot.press(*keys)
                await app.workers.wait_for_complete()
                await pilot.pause()

            await press()
            await check(app, press)

    asyncio.run(run())


def no_act(action: str, pid: int) -> str:
    raise AssertionError((action, pid))


def test_it_shows_what_machines_and_logins_share() -> None:
    heavy = GroupStatus("heavy", 2, 10, 60.0, 0.0, 0.0, 0, (), left=5)
    shared = SharedStatus("/mnt/rc", None, 1, 2, 3, 4, 5, 6, 7, 8)
    status = attrs.evolve(
        FIRST,
        quota=(heavy,),
        ledger=LedgerStatus("redis://host", "gone", "it is gone", ("a:1", "b:2"), None, 0.5),
        pool=(
            PoolLoginStatus("second", "good", None, (heavy,), 9, 0),
            PoolLoginStatus("third", "refused", "OAU-251", (), 0, 0),
        ),
        shared=shared,
    )

    async def check(app: Top, press: Callable[..., Awaitable[None]]) -> None:
        await press()
        bar, used = "█" * 14 + "░" * 6, "2/10 +5 left to others in 1 min"
        assert rows(app, "quota") == [
            ["heavy", bar, used, "free now"],
            ["second heavy", bar, used, "free now"],
            ["third", "", "", "refused: OAU-251"],
        ]
        head = text(app, "head")
        assert "quota      it is gone; until it is back, rcfs uses 1/2 of each limit\n" in head
        assert "shared     1 from it, 3 written, 4 waiting, 5 could not be written\n" in head

    shown([status], no_act, check)
    assert "shared     passed over: 503" in headline(
        attrs.evolve(status, shared=attrs.evolve(shared, passed_over_because="503")), None
    )


def test_it_shows_quota_queue_readers_and_loads() -> None:
    async def check(app: Top, press: Callable[..., Awaitable[None]]) -> None:
        assert text(app, "head").splitlines() == [
            "rcfs 1.2 at /home/jane/rc, up 10 s; network up",
            "traffic    10 requests, 1.0 KiB received",
            "outbox     empty",
        ]
        assert rows(app, "quota") == [["medium", "█" * 10 + "░" * 10, "20/40 in 1 min", "free now"]]
        assert rows(app, "queue") == [["medium", "bulk", "7 +2 elsewhere", "1 min 15 s", "1 min 30 s"]]
        assert rows(app, "loads") == [["101 Jane", "3 of 12", "3,000 of 12,000 messages", "1 min"]]
        assert rows(app, "readers") == [
            ["6", "cat", "1", "8.8 KiB", "", "0", "reads"],
            ["5", "cp[red]", "3", "2.0 KiB", "", "1", "waits"],
        ]
        app.look_again()
        await press()
        assert "90 requests a minute, 1.0 KiB/s received, 0 B/s read" in text(app, "head")
        assert rows(app, "readers")[1][4] == "3.0 KiB/s"

    shown([FIRST, SECOND], no_act, check)


def test_keys_sort_pause_and_quit() -> None:
    async def check(app: Top, press: Callable[..., Awaitable[None]]) -> None:
        names = []
        for _order in range(6):
            names.append("".join(row[1][:2] for row in rows(app, "readers")))
            await press("s")
        assert names == ["cacp", "cacp", "cpca", "cpca", "cacp", "cacp"]
        await press("p")
        app.look_again()
        await press()
        assert "up 10 s" in text(app, "head"), "it is paused"
        await press("p")
        app.look_again()
        await press()
        assert "up 12 s" in text(app, "head")
        await press("q")
        assert not app.is_running

    shown([FIRST, SECOND], no_act, check)


def test_a_reader_is_refused_and_released() -> None:
    done = []

    def act(action: str, pid: int) -> str:
        done.append((action, pid))
        if len(done) == 3:
            raise MountError("process 5 has ended")
        return f"{action} {pid}"

    refused = attrs.evolve(FIRST, readers=ReadersStatus(1, 400, (CAT, attrs.evolve(CP, refused=True))))

    async def check(app: Top, press: Callable[..., Awaitable[None]]) -> None:
        await press("down", "r")
        assert done == [("refuse", 5)]
        assert text(app, "said") == "refuse 5"
        assert rows(app, "readers")[1][-1] == "REFUSED"
        await press("r")
        assert done[1:] == [("release", 5)], "the cursor stays on the process"
        await press("r")
        assert text(app, "said") == "process 5 has ended"

    shown([FIRST, refused], act, check)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_a_mount_that_does_not_answer(key: str) -> None:
    async def check(app: Top, press: Callable[..., Awaitable[None]]) -> None:
        assert "does not answer" in text(app, "said")
        app.look_again()
        await press()
        assert (text(app, "said"), text(app, "head")[:8]) == ("", "rcfs 1.2"), "it answers again"
        await press(key)
        assert not app.is_running

    shown([None, FIRST], no_act, check)
