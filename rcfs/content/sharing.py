"""Contents that are shared with other machines: puts the parts together, and ends them.

Only an engine that shares contents imports this module.
"""

from collections.abc import Callable
from typing import ClassVar

import trio

from rcfs.content._shared_source import SharedSource
from rcfs.content._shared_store import SharedStore
from rcfs.content._shared_writer import SharedWriter
from rcfs.content._source import Source
from rcfs.objects import ObjectClaims, SharedPlace
from rcfs.status import SharedStatus
from rcfs.store import ContentCache
from rcfs.transport import Recorder


class Sharing:
    """The sharing of one engine; all methods run in the trio thread."""

    closing_s: ClassVar[float] = 10.0
    """How long the end of a mount may wait for `close`, in seconds: that writes a thousand voicemails."""

    def __init__(
        self,
        place: SharedPlace,
        cache: ContentCache,
        server_url: str,
        recorder: Recorder,
        nursery: trio.Nursery,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Begins to share contents.

        Args:
            place: Keeps the contents.
            cache: Has the contents that are written.
            server_url: Origin of the platform.
            recorder: Logs failures.
            nursery: Where the work in the background runs.
            clock: Seconds that never go back; any thread calls it.
        """
        objects = place.objects
        self._objects = objects
        self._store = SharedStore(
            objects, ObjectClaims(objects, clock), server_url, recorder, nursery, answer_s=place.wait_s
        )
        self.writer = SharedWriter(self._store, cache, place.erasures, recorder)
        """Writes contents, and erases those of purged messages."""

    def source(self, source: Source) -> SharedSource:
        """A source that asks the shared store first, and then `source`."""
        return SharedSource(source, self._store, self.writer)

    async def close(self) -> None:
        """Writes what waits, and releases all claims. The caller gives up after `closing_s`."""
        with trio.move_on_after(self.closing_s / 2):
            await self.writer.drain()
        await self._store.give_back_all()

    def status(self) -> SharedStatus:
        """How the store is used."""
        counts, writer = self._store.counts, self.writer
        return SharedStatus(
            place=self._objects.place,
            passed_over_because=self._store.problem or None,
            is_read=self._store.is_read,
            hits=counts.hits,
            misses=counts.misses,
            written=writer.written,
            waiting=writer.waiting,
            dropped=writer.dropped,
            wrong=counts.wrong,
            taken_over=counts.taken_over,
            to_erase=writer.to_erase,
        )
