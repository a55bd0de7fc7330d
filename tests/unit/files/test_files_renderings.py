"""Long texts, which lie on the disk of the cache while they are open."""

import errno
import os
import tracemalloc
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
import trio
import trio.testing

from rcfs.errors import NoRoomError, StaleError, StoreError
from rcfs.files._changes import Changes, Listener
from rcfs.files._renderings import SHORT_BYTES, Renderer, Rendering
from rcfs.files._texts import Texts
from rcfs.model import CHUNK_BYTES
from rcfs.store import Spill
from rcfs.tree import TextFile, Times

LINE = b"a line of the call log, and another cell of it\n"


def text_of(size_bytes: int, first: int = 0) -> Iterator[bytes]:
    """A text of that size in pieces of some kB, all of them different."""
    number = first
    while size_bytes > 0:
        piece = (b"%020d " % number + LINE) * 100
        yield piece[:size_bytes]
        size_bytes -= len(piece)
        number += 1


def no_file() -> Spill:
    raise OSError(errno.EACCES, "no file may be made")


@pytest.fixture
def spills(tmp_path: Path) -> list[Path]:
    """The directories of the files that were made; empty until there are some."""
    return []


@pytest.fixture
def spill(tmp_path: Path, spills: list[Path]) -> Callable[[], Spill]:
    def make() -> Spill:
        spills.append(tmp_path)
        return Spill.create(tmp_path)

    return make


def test_a_short_text_needs_no_file() -> None:
    text = Renderer(no_file).render(text_of(SHORT_BYTES))
    assert text.size_bytes == SHORT_BYTES
    assert text.read(0, SHORT_BYTES) == b"".join(text_of(SHORT_BYTES))


@pytest.mark.parametrize("extra", [1, CHUNK_BYTES, CHUNK_BYTES + 5])
def test_each_range_of_a_long_text(spill: Callable[[], Spill], tmp_path: Path, extra: int) -> None:
    expected = b"".join(text_of(SHORT_BYTES + extra))
    text = Renderer(spill).render(text_of(len(expected)))
    assert text.size_bytes == len(expected)
    assert list(tmp_path.iterdir()) == [], "the file has no name"
    for off in (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, SHORT_BYTES - 3, SHORT_BYTES, len(expected) - 1):
        for size in (1, 4096, CHUNK_BYTES + 1, 2 * len(expected)):
            assert text.read(off, size) == expected[off : off + size], (off, size)
    assert text.read(len(expected), 10) == b""
    assert text.read(len(expected) + CHUNK_BYTES, 10) == b""


def test_versions_are_compared_without_both_in_memory(spill: Callable[[], Spill]) -> None:
    renderer = Renderer(spill)
    sizes = (SHORT_BYTES - 1, SHORT_BYTES + 1, SHORT_BYTES + CHUNK_BYTES, SHORT_BYTES + 3 * CHUNK_BYTES + 9)
    texts = [renderer.render(text_of(size)) for size in sizes]
    for index, text in enumerate(texts):
        assert [text.begins(other) for other in texts] == [at >= index for at in range(len(texts))]
        assert [text.equals(other) for other in texts] == [at == index for at in range(len(texts))]
        again = renderer.render(text_of(text.size_bytes), text)
        assert again.equals(text)
        assert again.version == text.version
        other = renderer.render([*text_of(text.size_bytes - 1), b"!"])
        assert other.size_bytes == text.size_bytes
        assert not text.begins(other)
        assert other.version != text.version
        assert not renderer.render(text_of(text.size_bytes + CHUNK_BYTES, first=1)).begins(text)


def test_a_version_takes_over_what_has_not_changed(spill: Callable[[], Spill], spills: list[Path]) -> None:
    renderer = Renderer(spill)
    first = renderer.render(text_of(SHORT_BYTES + CHUNK_BYTES))
    same = renderer.render(text_of(SHORT_BYTES + CHUNK_BYTES), first)
    assert len(spills) == 1, "nothing was written again"
    longer = renderer.render(text_of(SHORT_BYTES + 2 * CHUNK_BYTES), same)
    assert len(spills) == 2
    assert longer.chunks[:9] == first.chunks[:9]
    assert first.begins(longer)
    del first, same
    assert longer.read(0, 4096) == next(text_of(4096))


def test_a_full_disk_is_an_error_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = text_of(SHORT_BYTES + CHUNK_BYTES)
    with pytest.raises(NoRoomError, match=r"no room for a long text \(no file may be made after 0 B\)"):
        Renderer(no_file).render(pieces)
    full = os.statvfs_result((4096, 4096, 1000, 100, 100, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda _fd: full)
    with pytest.raises(NoRoomError, match="too little disk space is free"):
        Renderer(lambda: Spill.create(tmp_path)).render(text_of(SHORT_BYTES + CHUNK_BYTES))


def test_a_disk_that_fails_later(spill: Callable[[], Spill], monkeypatch: pytest.MonkeyPatch) -> None:
    text = Renderer(spill).render(text_of(SHORT_BYTES + 1))

    def broken(*_arguments: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(StoreError, match="the disk of the cache failed"):
        text.read(0, 10)
    assert text.read(SHORT_BYTES, 10) == b"".join(text_of(SHORT_BYTES + 1))[-1:]


@attrs.define(eq=False, kw_only=True)
class CallLog(TextFile):
    """A slow text of any size, which is never whole in memory."""

    is_quick: ClassVar[bool] = False
    grows: ClassVar[bool] = True
    present_bytes: int
    first: int = 0

    @property
    def collection_id(self) -> str:
        return "calls/company/2026-11"

    def content(self) -> bytes:
        raise AssertionError("it may be too large")

    def pieces(self) -> Iterator[bytes]:
        return text_of(self.present_bytes, self.first)


@attrs.define(eq=False)
class Heard(Listener):
    """Notes the notices of the texts."""

    grown: list[int] = attrs.field(factory=list)
    replaced: list[Hashable] = attrs.field(factory=list)
    news: trio.Event = attrs.field(factory=trio.Event)

    def text_grew(self, place: Hashable, size_bytes: int) -> None:
        self.grown.append(size_bytes)
        self.news.set()

    def text_replaced(self, place: Hashable) -> None:
        self.replaced.append(place)
        self.news.set()


def log_of(size_bytes: int) -> CallLog:
    return CallLog(times=Times(0.0, 0.0), size_bytes=size_bytes, present_bytes=size_bytes)


async def changed(texts: Texts, node: CallLog, heard: Heard) -> None:
    """Lets the texts hear that the log has changed, and waits for their notice."""
    heard.news = trio.Event()
    texts.collection_changed(node.collection_id)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(texts.run)
            await heard.news.wait()
            nursery.cancel_scope.cancel()


async def test_a_large_text_of_which_little_is_in_memory(spill: Callable[[], Spill]) -> None:
    """A call log of 200 MB is opened, read by its end, and grows."""
    size_bytes = 200 * 1000 * 1000
    heard, changes = Heard(), Changes()
    changes.listen(heard)
    texts = Texts(changes, Renderer(spill))
    node = log_of(size_bytes)
    tracemalloc.start()
    try:
        text = texts.open(1, node, await texts.render(1, node), texts.ask())
        assert len(text.read(size_bytes - 70, 4096)) == 70
        node.present_bytes += len(LINE)
        grown = await texts.render(1, node)
        assert text.text.begins(grown)
        assert texts.open(1, node, grown, texts.ask()) is text
        held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 30_000_000
    assert held_bytes < 3_000_000, "while it is open"
    (last,) = deque(node.pieces(), maxlen=1)
    assert text.read(size_bytes, 4096) == last[-len(LINE) :]


async def test_a_large_text_grows_while_it_is_open(spill: Callable[[], Spill]) -> None:
    heard, changes = Heard(), Changes()
    changes.listen(heard)
    texts = Texts(changes, Renderer(spill))
    node = log_of(SHORT_BYTES + 10)
    text = texts.open(1, node, await texts.render(1, node), texts.ask())
    node.present_bytes += CHUNK_BYTES
    await changed(texts, node, heard)
    assert heard.grown == [node.present_bytes]
    expected = b"".join(node.pieces())
    assert text.read(SHORT_BYTES, 2 * CHUNK_BYTES) == expected[SHORT_BYTES:]
    node.first = 1
    await changed(texts, node, heard)
    assert heard.replaced == [1]
    with pytest.raises(StaleError):
        text.read(0, 1)


async def test_a_text_for_which_the_disk_has_no_room_any_more(spill: Callable[[], Spill]) -> None:
    heard, changes = Heard(), Changes()
    changes.listen(heard)
    rooms = iter((spill, no_file))

    def make() -> Spill:
        return next(rooms)()

    texts = Texts(changes, Renderer(make))
    node = log_of(SHORT_BYTES + 10)
    text = texts.open(1, node, await texts.render(1, node), texts.ask())
    node.present_bytes += 2 * CHUNK_BYTES
    await changed(texts, node, heard)
    assert heard.replaced == [1]
    with pytest.raises(StaleError):
        text.read(0, 1)


def test_the_version_of_a_short_text_is_that_of_its_bytes() -> None:
    assert Rendering(b"abc").version == blake2b(b"abc", digest_size=16).digest()
