"""Listings as the kernel asks for them, without a kernel."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pyfuse3
import pytest
import structlog

from rcfs.files import FileSystem, Waits
from rcfs.fuse._operations import Operations
from rcfs.model import ChangeRules
from rcfs.transport import Recorder
from rcfs.tree import Directory, Entry, MessageDirectory, Node, Root, Times

PAGE = 32
"""How many entries are looked up at a time."""


@attrs.define(eq=False)
class Plain(Directory):
    """An empty directory."""

    def times(self) -> Times:
        return Times(0.0, 0.0)


@attrs.define(eq=False)
class Counted(Plain):
    """A directory with the entries 1 to `size`, which counts how often it is asked."""

    size: int
    asked: int = 0
    shortest: int = PAGE
    """Most entries to a page, even if more are requested."""

    def find(self, name: str) -> Node | None:
        return Plain() if 1 <= int(name) <= self.size else None

    def page(self, after: int, limit: int) -> list[Entry]:
        self.asked += 1
        last = min(self.size, after + min(limit, self.shortest))
        return [Entry(number, str(number), Plain()) for number in range(after + 1, last + 1)]


@attrs.define(eq=False)
class Top(Root):
    """A root that shows nothing but one directory."""

    shown: Directory

    def find(self, name: str) -> Node | None:
        return self.shown if name == "x" else None


Listing = Callable[[Counted, int], Any]


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> Listing:
    """Lists a directory with at most `room` entries in a reply; returns the names in each reply."""
    reply: list[tuple[str, int]] = []

    async def listed(directory: Counted, room: int) -> list[list[str]]:
        def fits(_token: object, name: bytes, attributes: pyfuse3.EntryAttributes, cursor: int) -> bool:
            if len(reply) == room:
                return False
            assert attributes.st_ino
            reply.append((name.decode(), cursor))
            return True

        monkeypatch.setattr(pyfuse3, "readdir_reply", fits)
        root = Top(fallback_s=0.0, shown=directory)
        cache = SimpleNamespace(spill=None)
        engine = cast(
            Any,
            SimpleNamespace(
                recorder=Recorder(structlog.get_logger()),
                searches=None,
                library=None,
                outbox=SimpleNamespace(rules=ChangeRules()),
                cache=cache,
            ),
        )
        files = FileSystem(root, engine, Waits(), max_wait_s=1.0, render_live=cast(Any, None))
        operations = Operations(files)
        context = cast(Any, SimpleNamespace(pid=1))
        inode = (await operations.lookup(pyfuse3.ROOT_INODE, b"x", context)).st_ino
        handle = await operations.opendir(inode, context)
        replies: list[list[str]] = []
        after = 0
        while True:
            reply.clear()
            await operations.readdir(handle, after, cast(Any, None))
            replies.append([name for name, _cursor in reply])
            if not reply:
                await operations.releasedir(handle)
                return replies
            after = reply[-1][1]

    return listed


@pytest.mark.parametrize("size", [0, 1, PAGE - 1, PAGE, PAGE + 1, 1000])
@pytest.mark.parametrize("room", [1, 20, PAGE, 500, 5000])
async def test_every_entry_is_listed_once_whatever_fits(listing: Listing, size: int, room: int) -> None:
    replies = await listing(Counted(size), room)
    assert [name for reply in replies for name in reply] == [str(number) for number in range(1, size + 1)]
    assert len(replies) == -(-size // min(room, PAGE)) + 1, "as few replies as can be, and the empty one"


async def test_a_message_is_asked_once(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "ends_short", MessageDirectory.ends_short)
    directory = Counted(5)
    await listing(directory, 20)
    assert directory.asked == 1, "the kernel asks twice, as it wants to be told of the end"


async def test_a_short_page_is_not_the_end_of_every_directory(listing: Listing) -> None:
    replies = await listing(Counted(100, shortest=7), 50)
    assert sum(map(len, replies)) == 100


async def test_a_reply_holds_one_page(listing: Listing) -> None:
    directory = Counted(50 * PAGE)
    replies = await listing(directory, 5000)
    assert directory.asked == len(replies) == 51
