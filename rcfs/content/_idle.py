"""Contents without a reader that stay open for a while, so that the next reader gets them at once."""

from collections import OrderedDict
from collections.abc import Collection

import attrs
import trio

from rcfs.content._content import Content
from rcfs.model import ContentKey
from rcfs.store import share_of_descriptors

_KEPT_OPEN = 64
"""Chunks of contents kept open after their last reader: to open them again costs a thread call and the
checks, about 1.5 ms per MiB; 64 chunks that could not be stored hold at most 64 MiB of memory. Contents of
more than one chunk that are in memory are closed at once. Fewer where the process may open fewer than 512
files."""
_KEPT_OPEN_S = 60.0
"""How long chunks on the disk stay open after their last reader, in seconds."""
_SWEEP_S = 1.0
"""How often rcfs looks whether the cache, in this process or another, has evicted a content that is kept
open, in seconds: at most 64 calls of fstat, 0.1 ms."""


@attrs.frozen
class _Kept:
    content: Content
    chunks: int
    """Number of its chunks when it was put here; later a check may find some damaged."""
    until_s: float | None
    """When to close it; None for a content in memory, which stays until there are too many."""


class IdleContents:
    """The contents that are kept open, the oldest first; all methods run in the trio thread."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._kept: OrderedDict[ContentKey, _Kept] = OrderedDict()
        self._chunks = 0
        self._most = share_of_descriptors(8, _KEPT_OPEN)
        self._sweeping = False

    def keep(self, content: Content) -> bool:
        """Whether `content`, without a reader or a fetch, stays open here; else the caller must close it."""
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
        """Removes a content from here for a reader; None when it is not here."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        self._chunks -= kept.chunks
        return kept.content

    @property
    def keys(self) -> Collection[ContentKey]:
        """The keys of the contents here."""
        return self._kept.keys()

    def drop(self, key: ContentKey) -> bool:
        """Closes the content of that key; False when it is not here."""
        content = self.take(key)
        if content is not None:
            content.clear()
        return content is not None

    def sweep(self) -> None:
        """Closes the contents whose time is over, and those that the cache has evicted (to free the disk)."""
        now_s = trio.current_time()
        for key, kept in list(self._kept.items()):
            if kept.until_s is not None and (now_s >= kept.until_s or kept.content.is_removed):
                self.drop(key)

    def clear(self) -> None:
        """Closes all contents here."""
        for key in list(self._kept):
            self.drop(key)

    async def _sweep_on(self) -> None:
        """Calls `sweep` regularly until no content on the disk is kept open."""
        try:
            while any(kept.until_s is not None for kept in self._kept.values()):
                await trio.sleep(_SWEEP_S)
                self.sweep()
        finally:
            self._sweeping = False
