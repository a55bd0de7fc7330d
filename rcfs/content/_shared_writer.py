"""Fills the shared store in the background with what was fetched, and erases from it what was purged.

One task does both, one content at a time, so that an erased content is not written again. A content is read
from the cache: a MiB of it is in memory, or 24 MiB of a large one.
"""

import itertools
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final

import trio

from rcfs.content._shared_store import PassedOverError, SharedStore
from rcfs.errors import StoreError
from rcfs.model import ContentKey, DatasetKey, ReportKey
from rcfs.objects import (
    MOST_CONTENT_BYTES,
    Erasures,
    chunk_digest,
    is_claim,
    write_header,
)
from rcfs.store import Chunk, ContentCache
from rcfs.transport import Recorder

_MOST_WAITING: Final = 10_000
"""Contents that wait to be written: an archive of an export has a few thousand. Only their keys wait."""
_ATTEMPTS: Final = 3
_WAIT_S: Final = 60.0
"""How long what waits is kept while the store is broken, in seconds; then it is dropped."""
_UPLOAD_S: Final = 3600.0
"""Longest time for an upload, or for erasing, in seconds. The store's client ends each request sooner."""
_BEGINNING_BYTES: Final = 64


def is_shared(key: ContentKey) -> bool:
    """Whether contents of this kind are shared: archives are not, since their parts are."""
    return not isinstance(key, (ReportKey, DatasetKey))


class SharedWriter:
    """Writes to a shared store, and erases; all methods run in the trio thread."""

    def __init__(
        self, store: SharedStore, cache: ContentCache, erasures: Erasures, recorder: Recorder
    ) -> None:
        """Does nothing until `run`; `erasures` keeps what is to be erased."""
        self.written = 0
        """Contents that were written."""
        self.dropped = 0
        """Contents that could not be written."""
        self.to_erase = 0
        """Objects and prefixes that wait to be erased."""
        self._store = store
        self._cache = cache
        self._erasures = erasures
        self._recorder = recorder
        self._waiting: deque[tuple[ContentKey, bool]] = deque()
        """The contents to write, and whether the store may have them already."""
        self._something = trio.Event()
        self._idle = trio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Number of contents that wait to be written."""
        return len(self._waiting)

    def offer(self, key: ContentKey, *, may_be_there: bool = False) -> None:
        """Writes a content of the cache later; never waits.

        Args:
            key: The content.
            may_be_there: Whether nobody has looked if the store has it.
        """
        if not is_shared(key):
            return
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append((key, may_be_there))
        self._wake()

    async def erase_messages(self, account_id: str, extension_id: int, message_ids: Collection[int]) -> None:
        """Erases the contents of messages: notes it on the disk, and does it later."""
        names = [self._store.names.message(account_id, extension_id, each) for each in message_ids]
        try:
            await trio.to_thread.run_sync(self._erasures.add, names)
            self.to_erase = await trio.to_thread.run_sync(self._erasures.count)
        except StoreError as exc:
            self._recorder.fault("shared", f"purged contents stay in the shared store: {exc}")
        self._wake()

    async def run(self) -> None:
        """Writes and erases for as long as it runs."""
        with suppress(StoreError):
            self.to_erase = await trio.to_thread.run_sync(self._erasures.count)
        while True:
            if self._store.problem:
                await self._wait_for_store()
            if self.to_erase:
                await self._erase()
            elif self._waiting:
                await self._write(*self._waiting[0])
                self._waiting.popleft()
            else:
                self._idle.set()
                await self._something.wait()
                self._something = trio.Event()

    async def drain(self) -> None:
        """Returns when nothing waits to be written, or when the store is broken."""
        while self._waiting and not self._store.problem:
            await self._idle.wait()

    def _wake(self) -> None:
        if self._idle.is_set():
            self._idle = trio.Event()
        self._something.set()

    async def _wait_for_store(self) -> None:
        """Returns when the store works again; drops what waits to be written after a minute."""
        with trio.move_on_after(_WAIT_S):
            await self._store.working.wait()
            return
        for key, _may_be_there in self._waiting:
            self._store.forget_claim(key)
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._idle.set()
        await self._store.working.wait()

    async def _erase(self) -> None:
        try:
            with suppress(PassedOverError):
                await self._store.call(self._erasures.carry_out, within_s=_UPLOAD_S)
            self.to_erase = await trio.to_thread.run_sync(self._erasures.count)
        except StoreError as exc:
            self._recorder.fault("shared", str(exc))
            self.to_erase = 0  # Until the next start, or the next purge.

    async def _write(self, key: ContentKey, may_be_there: bool) -> None:
        """Writes one content; releases its claim if that fails."""
        for _attempt in range(_ATTEMPTS):
            try:
                if may_be_there and await self._store.call(
                    self._is_there, key, within_s=self._store.answer_s
                ):
                    return
                if await self._store.call(self._upload, key, within_s=_UPLOAD_S):
                    self.written += 1
                    self._store.forget_claim(key)
                    return
                break  # The cache has it no more.
            except PassedOverError:
                with trio.move_on_after(_WAIT_S):
                    await self._store.working.wait()
            except StoreError as exc:
                self._recorder.fault("shared", str(exc), key=str(key))
                break
        self.dropped += 1
        await self._store.give_back(key)

    def _is_there(self, key: ContentKey) -> bool:
        found = self._store.objects.get(self._store.names.content(key), 0, _BEGINNING_BYTES)
        return found is not None and not is_claim(found.data)

    def _upload(self, key: ContentKey) -> bool:
        """Writes a content; False if the cache does not have all of it. Runs in a thread."""
        stored = self._cache.load(key, counts=False)
        if stored is None:
            return False
        chunks: dict[int, Chunk] = dict(stored.chunks)
        unchecked = dict(stored.unchecked)
        try:
            for index in list(unchecked):
                checked = self._cache.check(key, index, unchecked.pop(index))
                if checked is not None:
                    chunks[index] = checked
            info = stored.info
            if info is None or not 0 < info.size_bytes <= MOST_CONTENT_BYTES:
                return False
            if not stored.complete or set(chunks) != set(range(info.chunk_count)):
                return False

            def data() -> Iterator[bytes]:
                for index in range(info.chunk_count):
                    yield chunks[index].pread(0, chunks[index].length_bytes)

            names = self._store.names
            header = write_header(
                names.identity(key),
                info.size_bytes,
                info.content_type,
                [chunk_digest(each) for each in data()],
            )
            parts = itertools.chain([header], data())
            self._store.objects.put(names.content(key), parts, len(header) + info.size_bytes)
        except OSError as exc:
            raise StoreError(f"the cache lost bytes of {key}: {exc.strerror}") from exc
        else:
            return True
        finally:
            for chunk in chunks.values():
                chunk.close()
            for each in unchecked.values():
                each.close()
