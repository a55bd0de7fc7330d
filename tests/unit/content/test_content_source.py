"""Contents from another source than the platform, of another kind than attachments."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import attrs
import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.content import Confirm, Library, Part, Storage
from rcfs.errors import NotFoundError
from rcfs.model import CHUNK_BYTES, ByteRange, ContentKey, Priority, RecordingKey, Wanted
from rcfs.store import ContentCache, ContentInfo, FetchHistory, FetchRecord, SizeIndex
from rcfs.transport import Recorder, RequestOptions
from tests.fakes.rig import noise

KEY = RecordingKey("1", "3421234004")
DATA = noise(2 * CHUNK_BYTES + 5)


@attrs.define
class Shelf:
    """A source with contents in memory that sends at most `most_bytes` of one at a time."""

    contents: dict[ContentKey, bytes]
    most_bytes: int = 1 << 40
    asked: list[tuple[str, str, int, int | None]] = attrs.field(factory=list)
    """Key, class, first byte and end of each range that was requested."""
    endings: list[tuple[str, bool]] = attrs.field(factory=list)
    """Each content whose fetch ended, and whether all of it came."""

    def price(self, _wanted: Wanted) -> tuple[float, float]:
        return 1.5, 0.0

    def transfer(self, wanted: Wanted) -> "Reading":
        return Reading(self, wanted.key)

    def remark(self, wanted: Wanted) -> str:
        return ""

    def ended(self, wanted: Wanted, *, is_complete: bool) -> None:
        self.endings.append((str(wanted.key), is_complete))


@attrs.define
class Reading:
    shelf: Shelf
    key: ContentKey

    async def run(
        self,
        missing: Callable[[], ByteRange],
        take: Callable[[Part], Awaitable[None]],
        options: RequestOptions,
        *,
        progress: Callable[[], int],
        confirm: Confirm,
        reserve: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        assert progress() >= 0
        stretch = missing()
        confirm()
        self.shelf.asked.append((str(self.key), options.priority.name, stretch.start, stretch.stop))
        if self.key not in self.shelf.contents:
            raise NotFoundError("there is no such content")
        data = self.shelf.contents[self.key]
        stop = min(len(data) if stretch.stop is None else stretch.stop, stretch.start + self.shelf.most_bytes)
        pieces = [data[at : min(at + 65_536, stop)] for at in range(stretch.start, stop, 65_536)]

        async def receive() -> bytes:
            await trio.lowlevel.checkpoint()
            return pieces.pop(0) if pieces else b""

        await take(Part(stretch.start, stop, len(data), is_whole=False, waited_s=0.0, receive=receive))


async def pass_over(_key: ContentKey, _text: bytes) -> None:
    """Gets the texts, which these tests do not need."""


@asynccontextmanager
async def open_library(
    source: Shelf, directory: Path, damaged: int = 0
) -> AsyncIterator[tuple[Library, ContentCache, FetchHistory]]:
    warnings: list[str] = []
    with (
        closing(ContentCache.open(directory / "cache", free_floor_bytes=0, warn=warnings.append)) as cache,
        closing(SizeIndex.open(directory / "sizes.sqlite", pytest.fail)) as sizes,
        closing(FetchHistory.open(directory / "history.sqlite", pytest.fail)) as history,
    ):
        recorder = Recorder(structlog.testing.CapturingLogger())
        async with trio.open_nursery() as nursery:
            storage = Storage(cache, sizes, recorder, nursery, on_text=pass_over, history=history)
            library = Library(source, storage, recorder, nursery, now_s=lambda: 1_764_000_000.0)
            yield library, cache, history
            library.forget_idle()
            nursery.cancel_scope.cancel()
    assert len(warnings) == damaged


async def read(library: Library, program: str = "cp") -> bytes:
    content = await library.look(Wanted(KEY, content_type="audio/mpeg"))
    try:
        if content.is_pending:
            library.fetch(content, Priority.BULK, program)
        await content.wait_complete()
        return content.read(0, content.arrived)
    finally:
        library.release(content)


async def test_a_recording_is_fetched_once_and_added_to_the_history(tmp_path: Path) -> None:
    source = Shelf({KEY: DATA})
    async with open_library(source, tmp_path) as (library, cache, history):
        assert await read(library) == DATA
        assert await read(library) == DATA
        assert source.asked == [("1/recording/3421234004", "BULK", 0, None)]
        assert cache.contains(KEY) == "yes"
        assert history.fetches([KEY]) == {
            KEY: [FetchRecord(KEY, 1_764_000_000.0, "cp", "bulk", 1, len(DATA))]
        }
        library.forget_idle()
        assert await read(library) == DATA
        assert len(source.asked) == 1
        assert set(source.endings) == {("1/recording/3421234004", True)}


async def test_the_next_request_starts_where_the_last_part_ended(tmp_path: Path) -> None:
    source = Shelf({KEY: DATA}, most_bytes=CHUNK_BYTES + 1)
    async with open_library(source, tmp_path) as (library, _cache, history):
        assert await read(library) == DATA
        assert [start for _path, _class, start, _stop in source.asked] == [
            0,
            CHUNK_BYTES + 1,
            2 * CHUNK_BYTES + 2,
        ]
        assert [record.requests for record in history.fetches([KEY])[KEY]] == [3]


async def test_only_the_bytes_that_the_cache_lacks_are_requested(tmp_path: Path) -> None:
    source = Shelf({KEY: DATA})
    async with open_library(source, tmp_path) as (library, cache, _history):
        for index in (0, 2):
            part = DATA[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
            chunk = cache.put_chunk(KEY, index, part, ContentInfo(len(DATA)))
            assert chunk is not None
            chunk.close()
        assert await read(library) == DATA
        assert [(start, stop) for *_rest, start, stop in source.asked] == [(CHUNK_BYTES, 2 * CHUNK_BYTES)]


async def test_a_look_sends_nothing_and_a_definite_error_is_remembered(tmp_path: Path) -> None:
    source = Shelf({})
    async with open_library(source, tmp_path) as (library, _cache, _history):
        content = await library.look(Wanted(KEY))
        assert content.is_pending
        assert not library.is_fetching(content)
        library.release(content)
        assert source.asked == []
        for _again in range(2):
            with pytest.raises(NotFoundError):
                await read(library)
        assert len(source.asked) == 1


async def test_a_damaged_chunk_is_fetched_in_the_class_that_was_given_last(tmp_path: Path) -> None:
    data = noise(6 * CHUNK_BYTES)
    source = Shelf({KEY: data})
    async with open_library(source, tmp_path, damaged=1) as (library, _cache, _history):
        assert await read(library) == data
        await wait_all_tasks_blocked()
        library.forget_idle()
        (path,) = (
            path
            for path in (tmp_path / "cache" / "chunks").glob("*.val")
            if path.read_bytes()[512:] == data[3 * CHUNK_BYTES : 4 * CHUNK_BYTES]
        )
        with path.open("r+b") as file:
            file.seek(5000)
            file.write(b"damage")
        looked = await library.look(Wanted(KEY))
        library.fetch(looked, Priority.PERSON, "mpv")
        seen = await library.look(Wanted(KEY))
        assert seen is looked, "one content for both"
        await library.reach(seen, 3 * CHUNK_BYTES, 100)
        assert seen.read(3 * CHUNK_BYTES, 100) == data[3 * CHUNK_BYTES :][:100]
        assert [asked[1:] for asked in source.asked[1:]] == [("PERSON", 3 * CHUNK_BYTES, 4 * CHUNK_BYTES)]
        await seen.wait_complete()
        library.release(looked)
        library.release(seen)
