"""Open files, as fsspec has them."""

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import attrs
from fsspec.asyn import AbstractAsyncStreamedFile
from fsspec.spec import AbstractBufferedFile

from rcfs.model import CHUNK_BYTES
from rcfs.spec._engine import EngineThread, result_of
from rcfs.spec._paths import Opened, Paths

if TYPE_CHECKING:
    from rcfs.spec._filesystem import RcfsFileSystem


@attrs.define(eq=False)
class Handle:
    """An open file, and the engine that has opened it."""

    engine: EngineThread
    opened: Opened

    @property
    def size_bytes(self) -> int:
        """Its exact size."""
        return self.opened.size_bytes

    def read(self, path: str, start: int, stop: int) -> "Future[bytes]":
        """The bytes ``[start, stop)``; errors are about `path`."""
        return self.engine.submit(path, lambda paths: paths.read(self.opened, start, stop))

    def release(self) -> None:
        """Ends the use of the file; returns at once, whatever thread calls it."""

        async def close(paths: Paths) -> None:  # noqa: ASYNC124 - calls are asynchronous
            paths.close(self.opened)

        self.engine.submit("", close)


class RcfsFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A file that is read: a text stays as it was at the open, and a content never changes."""

    DEFAULT_BLOCK_SIZE = CHUNK_BYTES
    """Read-ahead of fsspec in bytes. It only saves calls: the bytes are on this machine, or on their way."""

    def __init__(self, fs: "RcfsFileSystem", path: str, handle: Handle, **options: Any) -> None:
        """Takes over `handle`; `options` are those of `AbstractBufferedFile`."""
        self._handle = handle
        super().__init__(fs, path, "rb", size=handle.size_bytes, **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        if self._handle.engine is not self.fs.engine():
            # The process was forked since the open, or the file system was closed.
            self._handle = self.fs.open_again(self.path, self.size)
        return result_of(self._handle.read(self.path, start, end))

    def close(self) -> None:
        """Ends the use of the file; a second call does nothing."""
        if not self.closed:
            super().close()
            self._handle.release()


class RcfsAsyncFile(AbstractAsyncStreamedFile):  # type: ignore[misc]  # fsspec has no types
    """The same for a program with an asyncio loop of its own, without read-ahead."""

    def __init__(self, fs: "RcfsFileSystem", path: str, handle: Handle) -> None:
        """Takes over `handle`."""
        self._handle = handle
        super().__init__(fs, path, "rb", size=handle.size_bytes, cache_type="none")

    async def _fetch_range(self, start: int, end: int) -> bytes:
        return await asyncio.wrap_future(self._handle.read(self.path, start, end))

    async def close(self) -> None:
        """Ends the use of the file; a second call does nothing."""
        if not self.closed:
            await super().close()
            self._handle.release()
