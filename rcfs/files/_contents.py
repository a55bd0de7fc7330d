"""Open attachments: obtaining and reading their contents, a few of them while they arrive."""

from collections.abc import Callable, Hashable, Iterable

import trio

from rcfs.content import Content, Library
from rcfs.errors import NotFoundError, PurgedError
from rcfs.files._openers import OpenContent
from rcfs.files._readers import Asker, CrawlerError, Readers
from rcfs.files._waits import Waits
from rcfs.model import CHUNK_BYTES
from rcfs.tree import ContentFile, MessageDirectory, Node

WHOLE_BYTES = 4 * CHUNK_BYTES
"""Largest content that is complete when `open` returns: nearly all voicemails, faxes and MMS files are
smaller, so their reads never wait. Larger ones are read while they arrive."""
_READS_OF_STREAM = 2
"""Most reads of a sequential reader that the kernel keeps waiting: the read-ahead and the read itself. Only
`Waits.max_readers` may wait, so there are half as many seats for large contents that are read while they
arrive. Without a seat, the open of a large content waits until all of it is there."""
_NOTE_WITHIN_S = 1.0
"""Longest wait for the note of a refusal, which takes well under a millisecond unless the disk hangs."""


class Contents:
    """The open contents; all methods run in the trio thread."""

    def __init__(
        self,
        library: Library,
        waits: Waits,
        readers: Readers,
        max_wait_s: float,
        on_size: Callable[[Hashable], None],
    ) -> None:
        """Makes one without open contents.

        Args:
            library: Source of the contents.
            waits: Bounds all waits.
            readers: Decides with which priority a content is fetched.
            max_wait_s: Longest wait for a content, in seconds.
            on_size: Called with the place of a file whose size differs from an exact size in its attributes.
        """
        self._on_size = on_size
        self._library = library
        self._waits = waits
        self._readers = readers
        self._max_wait_s = max_wait_s
        self._streams = 0

    async def open(self, place: Hashable, node: ContentFile, asker: Asker, flags: int = 0) -> OpenContent:
        """An open content of exact size, which is complete or holds a seat.

        `flags` are those of open(2).
        """
        content = await self._waits.until(
            asker, lambda: self._obtain(node, asker, flags), within_s=self._max_wait_s, seated=False
        )
        self._learn(place, node, content)
        streaming = not content.complete
        self._streams += streaming
        return OpenContent(place, node, content, asker, streaming)

    async def open_again(self, place: Hashable, node: ContentFile, asker: Asker) -> OpenContent | None:
        """An open content that was complete at an earlier open of `place`; None if it must be obtained again.

        This reads nothing, because the opener has kept the bytes. If it still reads, the bytes are read then.
        """
        if not node.size_is_exact or node.size_bytes > WHOLE_BYTES:
            return None
        still_has = await self._waits.until(
            asker, lambda: self._library.still_has(node.key), within_s=self._max_wait_s, seated=False
        )
        return OpenContent(place, node, None, asker) if still_has else None

    def _learn(self, place: Hashable, node: ContentFile, content: Content) -> None:
        """Gives the node the size of the content."""
        size_bytes = content.size_bytes
        if size_bytes is not None and (not node.size_is_exact or size_bytes != node.size_bytes):
            if node.size_is_exact:
                # The record was wrong. A kernel that believes it would cut reads.
                self._on_size(place)
            node.learn(size_bytes)

    async def _obtain(self, node: ContentFile, asker: Asker, flags: int = 0) -> Content:
        """The content of `node`: complete, or the beginning of one that may be read while it arrives.

        Raises:
            PurgedError: The platform no longer has it. The name is there, so this is no "no such file".
            RcfsError: The content is not available.
        """
        try:
            return await self._obtain_known(node, asker, flags)
        except NotFoundError as exc:
            raise PurgedError("RingCentral no longer has this file") from exc

    async def _obtain_known(self, node: ContentFile, asker: Asker, flags: int) -> Content:
        content = await self._library.look(node.wanted())
        settled = False
        try:
            await self._fetch(node, content, asker, flags)
            size_bytes = await content.wait_size()
            if size_bytes > WHOLE_BYTES:
                await content.wait_for(0, CHUNK_BYTES)
            # Count after the wait: nothing runs between here and the taking of the seat.
            if size_bytes <= WHOLE_BYTES or not self._has_stream_seat():
                await content.wait_complete()
            settled = True
            return content
        finally:
            if not settled:
                self._library.release(content)

    def _has_stream_seat(self) -> bool:
        return self._streams < self._waits.max_readers // _READS_OF_STREAM

    async def _fetch(self, node: ContentFile, content: Content, asker: Asker, flags: int = 0) -> None:
        """Starts a fetch of the missing parts of a content, with the priority of `asker`.

        Raises:
            CrawlerError: The asker is a crawler, which gets cached contents only.
            WaitError: No further wait may begin now.
        """
        if not content.is_pending:
            return
        # Cached contents need no seat, so they open even if the maximum of processes waits for others.
        self._waits.require_seat()
        reader = asker.reader()
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
        """The content for a handle from `open_again`."""
        node, asker = handle.node, handle.asker
        # Without a seat, because this waits for the disk and not for the network.
        content = await self._waits.until(
            asker, lambda: self._library.look(node.wanted()), within_s=self._max_wait_s, seated=False
        )
        if not content.complete:
            # The cache has evicted it since the open, or found it damaged.
            self._library.release(content)
            content = await self._waits.until(
                asker, lambda: self._obtain(node, asker), within_s=self._max_wait_s, read=True
            )
        if handle.content is not None:
            self._library.release(content)  # Another read of the handle was faster.
            return handle.content
        self._learn(handle.place, node, content)
        handle.content = content
        return content

    async def _reach(self, handle: OpenContent, content: Content, off: int, size: int) -> None:
        """Returns when these bytes are there; fetches those that were damaged since the open."""
        if not self._library.is_fetching(content):
            await self._fetch(handle.node, content, handle.asker)
        await self._library.reach(content, off, size)

    async def _check(self, handle: OpenContent, content: Content, off: int, size: int) -> None:
        """Returns when these bytes, if they are cached, have been checked."""
        library = self._library
        if content.unchecked(off, size):
            # Without a seat, because this waits for the disk and not for the network.
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
    def of(node: Node) -> list[ContentFile]:
        """The attachments whose cache states make up that of `node`; empty if it has none."""
        if isinstance(node, ContentFile):
            return [node]
        if isinstance(node, MessageDirectory):
            return [entry for entry in node.entries().values() if isinstance(entry, ContentFile)]
        return []

    async def cached_state(self, files: Iterable[ContentFile]) -> str:
        """``yes`` if all of `files` are cached, also for none at all; ``no``, or ``partial``."""
        states = {await self._library.state(file.key) for file in files}
        if len(states) > 1:
            return "partial"
        return states.pop() if states else "yes"
