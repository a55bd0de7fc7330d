"""Contents that nobody reads any more, kept open for a while in case somebody does again."""

from collections import OrderedDict
from collections.abc import Collection

import attrs
import trio

from rcfs.content._content import Content
from rcfs.model import ContentKey
from rcfs.store import share_of_descriptors

_KEPT_OPEN = 64
"""Chunks of contents kept open after their last reader: opening anew costs a thread hop and the checks, about
1.5 ms per MiB; 64 of them hold at most 64 MiB of memory where contents of one chunk could not be stored.
Larger contents that are in memory are given up at once. Fewer where the process may open fewer than 512
files."""
_KEPT_OPEN_S = 60.0
"""How long chunks on the disk are kept open after their last reader, in seconds."""
_SWEEP_S = 1.0
"""How often rcfs looks whether the cache, in this process or another, gave up what is kept open, in seconds:
at most 64 calls of fstat, 0.1 ms."""


@attrs.frozen
class _Kept:
    content: Content
    chunks: int
    """How many chunks it had when it was put here: one that turns out to be damaged is no longer counted."""
    until_s: float | None
    """When it is closed; None for what is in memory, which is kept until there is too much."""


class IdleContents:
    """The contents that are kept open, the oldest first; all methods run in the trio thread."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._kept: OrderedDict[ContentKey, _Kept] = OrderedDict()
        self._chunks = 0
        self._most = share_of_descriptors(8, _KEPT_OPEN)
        self._sweeping = False

    def keep(self, content: Content) -> bool:
        """Whether `content`, which nobody reads or fills, is kept open now; else it is to be closed."""
        most = self._most if content.is_on_disk else 1
        if not content.complete or content.chunk_count > most or content.is_removed:
            return False
        until_s = trio.current_time() + _KEPT_OPEN_S if content.is_on_disk else None
        self._kept[content.key] = _Kept(content, content.chunk_count, until_s)
        self._chunks += content.chunk_count
        if until_s is not None and not self._sweeping:
            self._sweeping = True
            self._nursery.start_soon(self._sweep_on)
        while len(self._kept) > self._most or self._chunks > self._most:
            self.drop(next(iter(self._kept)))
        return True

    def take(self, key: ContentKey) -> Content | None:
        """A content that was kept, and is so no more; None when it was not."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        self._chunks -= kept.chunks
        return kept.content

    @property
    def keys(self) -> Collection[ContentKey]:
        """Which contents are kept."""
        return self._kept.keys()

    def drop(self, key: ContentKey) -> bool:
        """Whether the content of that key was kept; it is closed then."""
        content = self.take(key)
        if content is not None:
            content.clear()
        return content is not None

    def sweep(self) -> None:
        """Closes what the cache has given up, so that its room comes back, and what was kept for long."""
        now_s = trio.current_time()
        for key, kept in list(self._kept.items()):
            if kept.until_s is not None and (now_s >= kept.until_s or kept.content.is_removed):
                self.drop(key)

    def clear(self) -> None:
        """Closes all."""
        for key in list(self._kept):
            self.drop(key)

    async def _sweep_on(self) -> None:
        """Sweeps until nothing on the disk is kept open."""
        try:
            while any(kept.until_s is not None for kept in self._kept.values()):
                await trio.sleep(_SWEEP_S)
                self.sweep()
        finally:
            self._sweeping = False
