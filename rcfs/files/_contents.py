"""Open attachments: their contents are obtained and read, a few of them while they arrive."""

from collections.abc import Callable, Hashable, Iterable

import trio

from rcfs.content import Content, Library
from rcfs.files._openers import OpenContent
from rcfs.files._readers import Asker, CrawlerError, Readers
from rcfs.files._waits import MAX_READ_WAITERS, Waits
from rcfs.model import CHUNK_BYTES
from rcfs.tree import AttachmentFile, MessageDirectory, Node

WHOLE_BYTES = 4 * CHUNK_BYTES
"""Contents up to this size are there when `open` returns: nearly all voicemails, faxes and MMS files, so
that their reads never wait. Larger ones are read while they arrive."""
_STREAMS = MAX_READ_WAITERS // 2
"""Large contents that may be read while they arrive. The kernel keeps up to two reads of a sequential
reader waiting (read-ahead, and the read itself), and only MAX_READ_WAITERS may wait; further opens of large
contents wait until all is there."""
_NOTE_WITHIN_S = 1.0
"""Longest wait for a refusal to be noted; it takes well under a millisecond unless the disk is stuck."""


class Contents:
    """The contents that are open; all methods run in the trio thread."""

    def __init__(
        self,
        library: Library,
        waits: Waits,
        readers: Readers,
        max_wait_s: float,
        on_size: Callable[[Hashable], None],
    ) -> None:
        """Takes contents from `library`; who waits for one waits for `max_wait_s` seconds at most.

        `on_size` hears at which place a size turned out to be another than was shown as exact.
        """
        self._on_size = on_size
        self._library = library
        self._waits = waits
        self._readers = readers
        self._max_wait_s = max_wait_s
        self._streams = 0

    async def open(self, place: Hashable, node: AttachmentFile, asker: Asker, flags: int = 0) -> OpenContent:
        """An open content of exact size, that is all there or holds a streaming seat.

        `flags` are those of open(2).
        """
        content = await self._waits.until(
            asker, lambda: self._obtain(node, asker, flags), within_s=self._max_wait_s, seated=False
        )
        self._learn(place, node, content)
        streaming = not content.complete
        self._streams += streaming
        return OpenContent(place, node, content, asker, streaming)

    async def open_again(self, place: Hashable, node: AttachmentFile, asker: Asker) -> OpenContent | None:
        """An open content that was whole when `place` was opened before; None when it must be obtained.

        None of it is read: the opener has kept its bytes. What it asks for all the same is read then.
        """
        if not node.size_is_exact or node.size_bytes > WHOLE_BYTES:
            return None
        still_has = await self._waits.until(
            asker, lambda: self._library.still_has(node.key), within_s=self._max_wait_s, seated=False
        )
        return OpenContent(place, node, None, asker) if still_has else None

    def _learn(self, place: Hashable, node: AttachmentFile, content: Content) -> None:
        """Lets the node have the size that the content turned out to have."""
        size_bytes = content.size_bytes
        if size_bytes is not None and (not node.size_is_exact or size_bytes != node.size_bytes):
            if node.size_is_exact:
                # The record was wrong, and a kernel believes it: it would cut the reads.
                self._on_size(place)
            node.learn(size_bytes)

    async def _obtain(self, node: AttachmentFile, asker: Asker, flags: int = 0) -> Content:
        """The content of `node`, all there or the beginning of what may be read while it arrives.

        Raises:
            RcfsError: It cannot be had.
        """
        content = await self._library.look(node.wanted())
        settled = False
        try:
            await self._fetch(node, content, asker, flags)
            size_bytes = await content.wait_size()
            if size_bytes > WHOLE_BYTES:
                await content.wait_for(0, CHUNK_BYTES)
            # Asked after the wait: from here to taking the seat nobody else can take it.
            if size_bytes <= WHOLE_BYTES or self._streams >= _STREAMS:
                await content.wait_complete()
            settled = True
            return content
        finally:
            if not settled:
                self._library.release(content)

    async def _fetch(self, node: AttachmentFile, content: Content, asker: Asker, flags: int = 0) -> None:
        """Has what is missing of a content fetched, in the class of `asker`.

        Raises:
            CrawlerError: It is a crawler, which gets only what is cached.
            WaitError: Nobody may wait for it now.
        """
        if not content.is_pending:
            return
        # What is cached needs no seat, so it is opened however many wait for what is not.
        self._waits.require_seat()
        reader = asker.reader()  # which takes time
        try:
            priority = self._readers.priority(reader, node.key, node.place, trio.current_time(), flags=flags)
        except CrawlerError as exc:
            with trio.move_on_after(_NOTE_WITHIN_S, shield=True):
                await self._library.note_refusal(node.key, exc.name)
            raise
        self._library.fetch(content, priority, reader.name)

    async def read(self, handle: OpenContent, off: int, size: int) -> bytes:
        """Up to `size` bytes from `off` on; fewer only at the end."""
        content = handle.content or await self._late(handle)
        if not content.is_checked:
            await self._check(handle, content, off, size)
        if not content.has(off, size):
            await self._waits.until(
                handle.asker,
                lambda: self._reach(handle, content, off, size),
                within_s=self._max_wait_s,
                read=True,
            )
        return content.read(off, size)

    async def _late(self, handle: OpenContent) -> Content:
        """The content of a handle that was opened without."""
        node, asker = handle.node, handle.asker
        # Without a seat, for it is the disk that is waited for, and not the network.
        content = await self._waits.until(
            asker, lambda: self._library.look(node.wanted()), within_s=self._max_wait_s, seated=False
        )
        if not content.complete:
            # Evicted since it was opened, or damaged.
            self._library.release(content)
            content = await self._waits.until(
                asker, lambda: self._obtain(node, asker), within_s=self._max_wait_s, read=True
            )
        if handle.content is not None:
            self._library.release(content)  # Another read of the handle was quicker.
            return handle.content
        self._learn(handle.place, node, content)
        handle.content = content
        return content

    async def _reach(self, handle: OpenContent, content: Content, off: int, size: int) -> None:
        """Returns when these bytes are there; what was damaged since it was opened is fetched."""
        if not self._library.is_fetching(content):
            await self._fetch(handle.node, content, handle.asker)
        await self._library.reach(content, off, size)

    async def _check(self, handle: OpenContent, content: Content, off: int, size: int) -> None:
        """Returns when these bytes are checked, if they are cached."""
        library = self._library
        if content.unchecked(off, size):
            # Without a seat, for it is the disk that is waited for, and not the network.
            await self._waits.until(
                handle.asker,
                lambda: library.check(content, off, size),
                within_s=self._max_wait_s,
                seated=False,
            )
        else:
            library.look_ahead(content, off, size)

    def release(self, handle: OpenContent) -> None:
        """The last user of an open attachment is gone."""
        self._streams -= handle.streaming
        if handle.content is not None:
            self._library.release(handle.content)

    @staticmethod
    def of(node: Node) -> list[AttachmentFile]:
        """The attachments whose cache state `node` has; empty for what has none."""
        if isinstance(node, AttachmentFile):
            return [node]
        if isinstance(node, MessageDirectory):
            return [entry for entry in node.entries().values() if isinstance(entry, AttachmentFile)]
        return []

    async def cached_state(self, files: Iterable[AttachmentFile]) -> str:
        """``yes`` when all of `files` are in the cache (or there are none), ``no``, or ``partial``."""
        states = {await self._library.state(file.key) for file in files}
        if len(states) > 1:
            return "partial"
        return states.pop() if states else "yes"
