"""The shared store as a source: asked before a request is spent, and filled after one.

A content that the store has comes from there, without a slot. Otherwise the platform is asked: when the
request has its slot, this machine claims the content. If another machine has the claim, the slot is given
back, and the reader waits for that machine's object. So one machine sends a request for each content, and
none keeps others waiting while it is in the queue.

When the store fails, rcfs asks the platform, as it does without a store.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from rcfs.content._shared_store import PassedOverError, SharedObject, SharedStore
from rcfs.content._shared_writer import SharedWriter, is_shared
from rcfs.content._source import Confirm, Part, Source, Transfer
from rcfs.errors import ServerError, WaitError
from rcfs.model import CHUNK_BYTES, ByteRange, ContentKey, Wanted
from rcfs.objects import Verdict, WrongObjectError
from rcfs.transport import RequestOptions

_MOST_CHUNKS: Final = 8
"""Chunks of a large content that are read at once: 8 MiB take a tenth of a second on a fast line."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
"""Pauses between two looks for the object of another machine, in seconds: each is twice as long as the one
before, so a voicemail comes at once, and a long wait costs 30 looks a minute."""


class ClaimedError(WaitError):
    """Another machine fetches the content, or has fetched it since the look; nothing was sent."""


@attrs.define
class _Use:
    """How a content is being fetched."""

    is_asked: bool = False
    """Whether the other source was asked for it."""
    is_counted: bool = False
    """Whether it counts as a hit or a miss already."""


class SharedSource:
    """See `Source`; takes contents from a shared store, and others from another source."""

    def __init__(self, source: Source, store: SharedStore, writer: SharedWriter) -> None:
        """Asks `source` for what `store` does not have, and lets `writer` write that."""
        self._source = source
        self._store = store
        self._writer = writer
        self._uses: dict[ContentKey, _Use] = {}

    def price(self, wanted: Wanted) -> tuple[float, float]:
        """See `Source.price`: of a request to the other source."""
        return self._source.price(wanted)

    def transfer(self, wanted: Wanted) -> Transfer:
        """See `Source.transfer`."""
        transfer = self._source.transfer(wanted)
        if not is_shared(wanted.key):
            return transfer
        return SharedTransfer(wanted.key, transfer, self._store, self._uses.setdefault(wanted.key, _Use()))

    def remark(self, wanted: Wanted, /) -> str:
        """See `Source.remark`."""
        use = self._uses.get(wanted.key)
        if use is None:
            return self._source.remark(wanted)
        if not use.is_asked:
            return "from the shared store"
        took_over = "after a machine that had claimed it died" if self._store.took_over(wanted.key) else ""
        return ", ".join(filter(None, (took_over, self._source.remark(wanted))))

    def ended(self, wanted: Wanted, *, is_complete: bool) -> None:
        """See `Source.ended`."""
        use = self._uses.pop(wanted.key, None)
        if use is None:
            return
        if use.is_asked and is_complete:
            self._writer.offer(wanted.key)
        elif self._store.holds(wanted.key):
            self._store.give_back_soon(wanted.key)


class SharedTransfer:
    """See `Transfer`."""

    def __init__(self, key: ContentKey, transfer: Transfer, store: SharedStore, use: _Use) -> None:
        """Brings `key` from `store`, else by `transfer`, and notes in `use` which."""
        self._key = key
        self._transfer = transfer
        self._store = store
        self._use = use
        self._is_useless = False
        """Whether the store's object does not fit what came before."""

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
        """See `Transfer.run`."""
        assert reserve is None  # noqa: S101 - nobody shares twice

        async def claim() -> None:
            # First between the processes of this machine: else two could each have the claim that the other
            # one waits for.
            confirm(is_request=False)
            if not self._is_useless and await self._store.claim(self._key) is not None:
                raise ClaimedError("another machine fetches this content")
            self._use.is_asked = True

        while not await self._take_stored(missing, take, confirm):
            try:
                await self._transfer.run(
                    missing, take, options, progress=progress, confirm=confirm, reserve=claim
                )
            except ClaimedError:
                await trio.sleep(_FIRST_PAUSE_S)
            else:
                return

    async def _take_stored(
        self, missing: Callable[[], ByteRange], take: Callable[[Part], Awaitable[None]], confirm: Confirm
    ) -> bool:
        """Whether the store had the content, and `take` took a part of it.

        While another machine fetches it, this waits.
        """
        if self._is_useless or self._store.holds(self._key):
            return False
        try:
            begun_s, found = trio.current_time(), await self._look(missing)
            if not self._use.is_counted:
                self._use.is_counted = True
                self._store.count(is_hit=found is not None)
            if found is None:
                return False
            wanted = missing()
            confirm(is_request=False)
            await take(_part(self._store, found, wanted, trio.current_time() - begun_s))
        except PassedOverError:
            return False
        except (WrongObjectError, ServerError):
            # A ServerError says that the object does not fit the bytes that the platform has sent.
            self._is_useless = True
            return False
        return True

    async def _look(self, missing: Callable[[], ByteRange]) -> SharedObject | None:
        """The content in the store; waits for it while another machine fetches it."""
        pause_s = _FIRST_PAUSE_S
        while isinstance(found := await self._store.look(self._key), Verdict):
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            missing()  # Raises when no reader waits any more.
        return found


def _part(store: SharedStore, found: SharedObject, wanted: ByteRange, waited_s: float) -> Part:
    """The part of a content from the chunk on that `wanted` begins in."""
    size_bytes = found.header.size_bytes
    stop = size_bytes if wanted.stop is None else min(wanted.stop, size_bytes)
    if wanted.start >= stop:
        raise WrongObjectError("the shared content ends before the bytes that are missing")
    first, last = wanted.start // CHUNK_BYTES, -(-stop // CHUNK_BYTES)
    chunks: list[bytes] = []
    position = first
    at_once = max(1, len(found.first) // CHUNK_BYTES)

    async def receive() -> bytes:
        nonlocal position, at_once
        if not chunks and position < last:
            end = min(position + at_once, last)
            chunks.extend(await store.read(found, position, end))
            position, at_once = end, min(2 * at_once, _MOST_CHUNKS)
        return chunks.pop(0) if chunks else b""

    return Part(first * CHUNK_BYTES, stop, size_bytes, is_whole=False, waited_s=waited_s, receive=receive)
