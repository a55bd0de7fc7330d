"""Archives that people look into: which are whole in the cache, their directories, and their open members.

Nothing here sends a request. An archive that somebody reads stays open for a while, because to open one of
1 GB means to open a thousand files. Its bytes are checked before they are read, as those of any content.
"""

import math
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import attrs
import trio

from rcfs.content import Content, Library
from rcfs.errors import DamagedError, NotFoundError, StoreError
from rcfs.files._members import MemberStream
from rcfs.files._openers import OpenMember
from rcfs.files._readers import Asker
from rcfs.files._waits import Waits
from rcfs.model import CHUNK_BYTES, ContentKey
from rcfs.transport import Recorder
from rcfs.tree import (
    TAIL_BYTES,
    ArchiveDirectory,
    BadZipError,
    ExportArchiveFile,
    ExportDirectory,
    ExportShelf,
    MemberFile,
    ZipDirectory,
    zip_extent,
)

KEPT_OPEN_S: Final = 60.0
"""How long an archive stays open after its last reader, in seconds."""
_SWEEP_S: Final = 10.0
"""Time between two looks for archives to close, in seconds."""
_MOST_OPEN: Final = 4
"""Archives without a reader that stay open: some 4,000 files."""
_MOST_KNOWN: Final = 500_000
"""Most members whose directories are kept, besides those of the archive that was looked into last: 85 MB."""
_WARM: Final = 16
"""Streams that keep unpacked blocks, of 5 MB each."""
_THREADS: Final = 2
"""Members that are unpacked at the same time."""


@attrs.define(eq=False)
class _Archive:
    """An archive that is open."""

    file: ExportArchiveFile
    content: Content
    users: int = 0
    """Number of opens of its members, and of tasks that read its directory."""
    until_s: float = math.inf
    """When it is closed; infinite while it has users."""
    streams: dict[int, tuple[MemberStream, int]] = attrs.field(factory=dict)
    """By the position of each open member, its stream and its number of opens."""


class Archives:
    """The archives of one tree; all methods run in the trio thread."""

    def __init__(
        self, shelf: ExportShelf, library: Library, waits: Waits, recorder: Recorder, max_wait_s: float
    ) -> None:
        """Keeps `shelf` up to date; a wait lasts `max_wait_s` seconds at most."""
        self._shelf = shelf
        self._library = library
        self._waits = waits
        self._recorder = recorder
        self._max_wait_s = max_wait_s
        self._open: dict[ContentKey, _Archive] = {}
        self._some_open = trio.Event()
        self._entering = trio.Lock()
        self._parsing = trio.CapacityLimiter(1)
        self._parsed: dict[ContentKey, ZipDirectory] = {}
        """A directory whose caller gave up before it was parsed."""
        self._threads = trio.CapacityLimiter(_THREADS)
        self._warm: OrderedDict[MemberStream, None] = OrderedDict()

    # Directories

    async def look(self, directory: ExportDirectory) -> None:
        """Notes which archives of an export the cache has whole."""
        for file in directory.archives():
            self._note(file.key, is_whole=await self._library.state(file.key) == "yes")

    async def enter(self, directory: ArchiveDirectory) -> None:
        """Returns when the members of the archive of `directory` are known.

        Raises:
            NotFoundError: The cache no longer has all of the archive.
            DamagedError: It is no zip archive, or its directory cannot be used.
            StoreError: The cache has lost parts of it.
        """
        if directory.is_known:
            return
        async with self._entering:
            if not directory.is_known:
                async with self._using(directory.file) as archive:
                    await self._learn(archive)

    def _note(self, key: ContentKey, *, is_whole: bool) -> None:
        if is_whole:
            self._shelf.whole.add(key)
        else:
            self._shelf.whole.discard(key)
            self._shelf.insides.pop(key, None)

    async def _learn(self, archive: _Archive) -> None:
        """Reads the directory of an archive."""
        key, insides = archive.file.key, self._shelf.insides
        try:
            directory = self._parsed.pop(key, None) or await self._parse(archive)
        except BadZipError as exc:
            raise DamagedError(f"nobody can look into the archive {key}: {exc}") from exc
        self._parsed.clear()
        if directory.left_out:
            self._recorder.fault(
                "archive",
                f"members that rcfs does not show, because they cannot be as the archive says:"
                f" {directory.left_out}",
                key=str(key),
            )
        while insides and sum(map(len, insides.values())) + len(directory) > _MOST_KNOWN:
            del insides[next(iter(insides))]
        insides[key] = directory
        self._shelf.whole.add(key)

    async def _parse(self, archive: _Archive) -> ZipDirectory:
        key, size_bytes = archive.file.key, archive.content.size_bytes or 0
        start = max(0, size_bytes - TAIL_BYTES)
        extent = zip_extent(await self._bytes(archive, start, size_bytes - start), size_bytes)
        data = await self._bytes(archive, extent.start, extent.stop - extent.start)

        def parse() -> ZipDirectory:
            known = self._parsed.get(key)
            if known is None:
                known = self._parsed[key] = ZipDirectory.parse(data, extent)
            return known

        # A caller that gives up leaves the result for the next one.
        return await trio.to_thread.run_sync(parse, limiter=self._parsing, abandon_on_cancel=True)

    # Members

    async def open(self, node: MemberFile, asker: Asker) -> OpenMember:
        """Opens a member.

        Raises:
            UnsupportedError: It is encrypted, or packed with an unusual method.
            NotFoundError: The cache no longer has all of the archive.
        """
        archive = await self._waits.until(
            asker, lambda: self._take(node.file), within_s=self._max_wait_s, seated=False
        )
        at = node.member.position
        try:
            stream, opens = archive.streams.get(at, (None, 0))
            if stream is None or stream.member != node.member:
                read = partial(self._bytes, archive)
                stream, opens = MemberStream(node.member, read, self._threads), 0
        except BaseException:
            self._leave(archive)
            raise
        archive.streams[at] = stream, opens + 1
        return OpenMember(node, asker, stream)

    async def read(self, opener: OpenMember, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end.

        Raises:
            DamagedError: The archive is not as it says.
            StoreError: The cache has lost parts of the archive.
        """
        stream = opener.stream
        self._warm[stream] = None
        self._warm.move_to_end(stream)
        if len(self._warm) > _WARM:
            self._cool()
        try:
            # Without a seat, because this waits for the disk and not for the network.
            return await self._waits.until(
                opener.asker, lambda: stream.read(off, size), within_s=self._max_wait_s, seated=False
            )
        except DamagedError as exc:
            node = opener.node
            raise DamagedError(f"{node.member.path} in {node.file.key}: {exc}") from exc

    def close(self, opener: OpenMember) -> None:
        """Ends one open of a member."""
        archive = self._open[opener.node.file.key]
        at = opener.node.member.position
        stream, opens = archive.streams.pop(at)
        if opens > 1:
            archive.streams[at] = stream, opens - 1
        else:
            self._warm.pop(stream, None)
        self._leave(archive)

    def _cool(self) -> None:
        """Makes the stream that was read least recently drop its blocks."""
        for stream in self._warm:
            if stream.cool():
                del self._warm[stream]
                return

    # Open archives

    @asynccontextmanager
    async def _using(self, file: ExportArchiveFile) -> AsyncIterator[_Archive]:
        archive = await self._take(file)
        try:
            yield archive
        finally:
            self._leave(archive)

    async def _take(self, file: ExportArchiveFile) -> _Archive:
        """The archive, open for one more user.

        Raises:
            NotFoundError: The cache does not have all of it.
        """
        key = file.key
        archive = self._open.get(key)
        if archive is not None and not archive.users and not archive.content.complete:
            self._close(archive)  # The cache has found a part of it damaged.
            archive = None
        if archive is None:
            content = await self._library.look(file.wanted())
            archive = self._open.get(key)
            if archive is None and content.complete:
                archive = self._open[key] = _Archive(file, content)
                self._some_open.set()
            else:
                self._library.release(content)
        if archive is None or not archive.content.complete:
            self._note(key, is_whole=False)
            raise NotFoundError("the cache no longer has all of this archive")
        archive.users += 1
        archive.until_s = math.inf
        return archive

    def _leave(self, archive: _Archive) -> None:
        archive.users -= 1
        if not archive.users:
            archive.until_s = trio.current_time() + KEPT_OPEN_S
            idle = [each for each in self._open.values() if not each.users]
            if len(idle) > _MOST_OPEN:
                self._close(min(idle, key=lambda each: each.until_s))

    def _close(self, archive: _Archive) -> None:
        del self._open[archive.file.key]
        self._library.release(archive.content)

    async def _bytes(self, archive: _Archive, start: int, size: int) -> bytes:
        """Exactly `size` bytes of an archive from `start` on, from the cache.

        Raises:
            DamagedError: They reach past its end.
            StoreError: The cache has lost them.
        """
        content, found = archive.content, bytearray()
        while len(found) < size:
            at, part = start + len(found), min(CHUNK_BYTES, size - len(found))
            if not content.has(at, part):
                await self._library.reach(content, at, part)
            if not content.complete:
                raise StoreError(f"the cache lost parts of {archive.file.key}")
            data = content.read(at, part)
            if not data:
                raise DamagedError("the archive ends before this")
            if len(data) == size:
                return data
            found += data
            await trio.lowlevel.checkpoint()  # A directory may have many megabytes.
        return bytes(found)

    async def run(self) -> None:
        """Closes archives that nobody reads any more, until it is cancelled."""
        try:
            while True:
                await self._some_open.wait()
                self._some_open = trio.Event()
                while self._open:
                    await trio.sleep(_SWEEP_S)
                    self._close_unused(trio.current_time())
        finally:
            self._close_unused(math.inf)

    def _close_unused(self, now_s: float) -> None:
        for archive in list(self._open.values()):
            if not archive.users and archive.until_s <= now_s:
                self._close(archive)
