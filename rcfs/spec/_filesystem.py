"""The class that fsspec knows: its names and conventions, on top of `Paths`."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, ClassVar, NoReturn, TypeVar

import attrs
from fsspec.asyn import AsyncFileSystem, get_loop, sync
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import LocalFileSystem, make_path_posix, trailing_sep
from fsspec.utils import isfilelike, stringify_path

from rcfs.model import CHUNK_BYTES
from rcfs.spec._engine import EngineThread, Work
from rcfs.spec._engines import Engines
from rcfs.spec._entries import Info
from rcfs.spec._errors import read_only
from rcfs.spec._file import Handle, RcfsAsyncFile, RcfsFile
from rcfs.spec._glob import glob, may_be_pattern
from rcfs.spec._options import Options
from rcfs.tree import tree_parts

T = TypeVar("T")

_BATCH = 32
"""Files that one call (`cat`, `get`, `cat_ranges`) reads at the same time: nearly as many as a minute brings,
so that no request waits for the one before it."""
_OPTIONS = frozenset(field.name for field in attrs.fields(Options))
_OF_FSSPEC = frozenset({"use_listings_cache", "listings_expiry_time", "max_paths", "protocol", "auto_mkdir"})
"""Storage options that fsspec itself hands to any file system. Its cache of listings is not used: the
index is the cache, and knows when it is old."""


class RcfsFileSystem(AsyncFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A RingCentral account, read only: ``fsspec.filesystem("rcfs")``, or URLs such as ``rcfs://Company/Calls``.

    Instances are cheap: all those of a process with the same state directory share one engine, which opens at
    the first call. It shares cache, index and quota with mounts and other processes of the same directories.
    A listing is at most as old as in a mount: a sync that is due is waited for. The first few files that a
    process opens in a minute and that are not cached are fetched as a person's, further ones as bulk.

    Threads and forked processes may use an instance. A process that is forked while another thread reads may
    find a database locked, so start such processes by ``spawn`` or ``forkserver``.

    Names are taken as they are: ``%``, ``#`` and ``?`` mean nothing in a path, and a name in brackets is a
    pattern only if there is no such entry. Links are followed (``islink`` and ``destination`` in `info`), but
    not by `find`, `walk` and `du`, which give each file once.

    Errors are Python's: FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError,
    TimeoutError after `max_wait`, and OSError with EROFS for everything that writes.
    `rcfs.errors.ConfigError` says that credentials or settings are missing or wrong.
    """

    protocol: ClassVar = "rcfs"
    cachable: ClassVar = True
    root_marker: ClassVar = ""

    def __init__(
        self, *, asynchronous: bool = False, loop: Any = None, batch_size: int | None = None, **options: Any
    ) -> None:
        """Sends nothing, and opens nothing yet.

        Args:
            asynchronous: Whether the caller awaits the methods with an underscore in a loop of its own.
            loop: The loop that runs them otherwise; None for fsspec's.
            batch_size: Files that one call reads at the same time.
            options: Those of `Options`: ``config``, ``server_url``, ``state_dir``, ``cache_dir``,
                ``cache_size``, ``max_content``, ``max_wait``, ``limit`` and ``offline``, as on the command
                line.

        Raises:
            TypeError: There is no such option.
        """
        unknown = options.keys() - _OPTIONS - _OF_FSSPEC
        if unknown:
            raise TypeError(
                f"rcfs:// has no option {min(unknown)}; its options are {', '.join(sorted(_OPTIONS))}"
            )
        super().__init__(asynchronous=asynchronous, loop=loop, batch_size=batch_size or _BATCH)
        self._loop_pid = os.getpid()
        self._options = Options(**{name: value for name, value in options.items() if name in _OPTIONS})

    # The engine

    @property
    def loop(self) -> Any:
        """The asyncio loop of the calls without an underscore; after a fork, fsspec's new one."""
        if self._loop_pid != os.getpid():
            self._loop_pid, self._loop = os.getpid(), None if self.asynchronous else get_loop()
        return self._loop

    def engine(self) -> EngineThread:
        """The engine of this process; reads the settings if it is new.

        Raises:
            ConfigError: Settings or credentials are wrong or missing.
        """
        return Engines.get(self._options)

    def close(self) -> None:
        """Logs out and closes databases, for all instances that share them; a later call opens them again."""
        Engines.close(self._options)

    async def _ask(self, path: str, work: Work[T]) -> T:
        engine = await self._engine_async()
        return await asyncio.wrap_future(engine.submit(path, work))

    async def _engine_async(self) -> EngineThread:
        running = Engines.running(self._options)
        return await asyncio.to_thread(self.engine) if running is None else running

    # Names

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """The path below the root without slashes at its ends; ``.``, ``..`` and doubled slashes resolved."""
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text = stringify_path(path)
        for prefix in ("rcfs://", "rcfs::"):
            text = text.removeprefix(prefix)
        return "/".join(tree_parts(text))

    async def _info(self, path: str, **_options: Any) -> Info:
        path = self._strip_protocol(path)
        return await self._ask(path, lambda paths: paths.info(path))

    async def _ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        path = self._strip_protocol(path)
        found = await self._ask(path, lambda paths: paths.listing(path))
        return found if detail else [info["name"] for info in found]

    async def _exists(self, path: str, **_options: Any) -> bool:
        try:
            await self._info(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    async def _walk(  # noqa: ASYNC900 - fsspec's interface
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = "omit",
        **options: Any,
    ) -> AsyncIterator[tuple[str, Any, Any]]:
        """As fsspec documents, but goes through no links, and omits only what is absent or not permitted.

        An outage or a time-out would otherwise look like an empty directory.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        try:
            listing = await self._ls(path)
        except OSError as exc:
            if callable(on_error):
                on_error(exc)
            elif on_error == "raise" or not isinstance(exc, (FileNotFoundError, PermissionError)):
                raise
            return
        infos = {info["name"].rpartition("/")[2]: info for info in listing if info["name"] != path}
        directories = {name: info for name, info in infos.items() if info["type"] == "directory"}
        files = {name: info for name, info in infos.items() if name not in directories}
        shown = (directories, files) if options.get("detail") else (list(directories), list(files))
        if topdown:
            yield path, *shown
        if maxdepth is None or maxdepth > 1:
            below = None if maxdepth is None else maxdepth - 1
            for name in list(shown[0]):  # from which the caller may have removed some
                info = infos.get(name)
                if info is not None and not info["islink"]:
                    async for each in self._walk(info["name"], below, topdown, on_error, **options):
                        yield each
        if not topdown:
            yield path, *shown

    def walk(self, path: str, *arguments: Any, **options: Any) -> Iterator[tuple[str, Any, Any]]:
        """As `_walk`, which not every version of fsspec wraps."""
        steps = self._walk(path, *arguments, **options)
        with suppress(StopAsyncIteration):
            while True:
                yield sync(self.loop, steps.__anext__)

    async def _find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **_options: Any,
    ) -> Any:
        path = self._strip_protocol(path)
        try:
            found = await self._ask(path, lambda paths: paths.find(path, maxdepth))
            if withdirs and path:
                found[path] = await self._info(path)
        except FileNotFoundError:
            found = {}
        names = sorted(name for name, info in found.items() if withdirs or info["type"] != "directory")
        return {name: found[name] for name in names} if detail else names

    async def _du(
        self,
        path: str,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **_options: Any,
    ) -> Any:
        found = await self._find(path, maxdepth, withdirs=withdirs, detail=True)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    async def _glob(
        self, path: str, maxdepth: int | None = None, detail: bool = False, **_options: Any
    ) -> Any:
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        directories_only = stringify_path(path).endswith("/")
        pattern = self._strip_protocol(path)
        found = await self._ask(pattern, lambda paths: glob(paths, pattern, maxdepth))
        if directories_only:
            found = {name: info for name, info in found.items() if info["type"] == "directory"}
        return found if detail else list(found)

    async def _expand_path(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None, **_options: Any
    ) -> list[str]:
        """As fsspec's, but a name with brackets is no pattern if there is such an entry."""
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        given = [path] if isinstance(path, (str, os.PathLike)) else path
        found: set[str] = set()
        for each in map(self._strip_protocol, given):
            starts, below = {each}, maxdepth
            if may_be_pattern(each) and not await self._exists(each):
                starts = set(await self._glob(each, maxdepth))
                found |= starts
                below = None if maxdepth is None else maxdepth - 1
            elif not recursive or await self._exists(each):
                found |= starts
            if recursive and below != 0:
                for start in starts:
                    found.update(await self._find(start, below, withdirs=True))
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return sorted(found)

    def created(self, path: str) -> datetime:
        """The time of the message or call, in UTC."""
        return datetime.fromtimestamp(self.info(path)["created"], UTC)

    def modified(self, path: str) -> datetime:
        """The time of the last change of its record, in UTC."""
        return datetime.fromtimestamp(self.info(path)["mtime"], UTC)

    def ukey(self, path: str) -> str:
        """A digest that changes when the bytes may have changed; it sends no request for a content."""
        path = self._strip_protocol(path)
        return self.engine().call(path, lambda paths: paths.version(path))

    def checksum(self, path: str) -> int:
        """The digest of `ukey` as a number."""
        return int(self.ukey(path), 16)

    # Bytes

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_options: Any
    ) -> bytes:
        path = self._strip_protocol(path)
        return await self._ask(path, lambda paths: paths.cat(path, start, end))

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        cache_type: str = "readahead",
        **_options: Any,
    ) -> RcfsFile:
        handle = self._handle(path, mode)
        return RcfsFile(
            self, path, handle, block_size=block_size, cache_options=cache_options, cache_type=cache_type
        )

    async def open_async(self, path: str, mode: str = "rb", **_options: Any) -> RcfsAsyncFile:
        """A file whose `read` and `close` are awaited."""
        path = self._strip_protocol(path)
        return RcfsAsyncFile(self, path, await self._handle_async(path, mode))

    def open_again(self, path: str, size_bytes: int) -> Handle:
        """Another handle for a file that was open with this size.

        Raises:
            OSError: It is not available, or not the same any more.
        """
        handle = self._handle(path, "rb")
        if handle.size_bytes != size_bytes:
            handle.release()
            raise OSError(errno.ESTALE, "the file has changed; open it again", path)
        return handle

    def _handle(self, path: str, mode: str) -> Handle:
        if mode != "rb":
            raise read_only(path)
        engine = self.engine()
        return Handle(engine, engine.call(path, lambda paths: paths.open(path)))

    async def _handle_async(self, path: str, mode: str = "rb") -> Handle:
        if mode != "rb":
            raise read_only(path)
        engine = await self._engine_async()
        return Handle(engine, await asyncio.wrap_future(engine.submit(path, lambda paths: paths.open(path))))

    async def _get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **options: Any,
    ) -> Any:
        """As fsspec's, which takes a name with brackets for a pattern, and a name in the root for no name."""
        if isinstance(rpath, str) and isinstance(lpath, (str, os.PathLike)):
            path = self._strip_protocol(rpath)
            if not may_be_pattern(path) or await self._exists(path):
                sources = await self._expand_path(path, recursive, maxdepth)
                if not recursive or maxdepth is not None:
                    sources = [each for each in sources if not await self._isdir(each)]
                target = make_path_posix(lpath)
                is_into = trailing_sep(target) or LocalFileSystem().isdir(target)
                if is_into and not rpath.endswith("/"):
                    target = f"{target.rstrip('/')}/{path.rpartition('/')[2]}"
                lpath = [f"{target}/{each[len(path) :]}".rstrip("/") for each in sources]
                rpath = sources
        return await super()._get(
            rpath, lpath, recursive=recursive, callback=callback, maxdepth=maxdepth, **options
        )

    async def _get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **_options: Any
    ) -> None:
        try:
            handle = await self._handle_async(self._strip_protocol(rpath))
        except IsADirectoryError:
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        try:
            callback.set_size(handle.size_bytes)
            if outfile is None and isfilelike(lpath):
                outfile = lpath
            if outfile is not None:
                await self._copy_bytes(rpath, handle, outfile, callback)
                return
            target = Path(lpath)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                try:
                    await self._copy_bytes(rpath, handle, file, callback)
                except BaseException:
                    target.unlink()  # a part would look like the file
                    raise
        finally:
            handle.release()

    async def _copy_bytes(self, path: str, handle: Handle, file: IO[bytes], callback: Any) -> None:
        for start in range(0, handle.size_bytes, CHUNK_BYTES):
            data = await asyncio.wrap_future(handle.read(path, start, start + CHUNK_BYTES))
            file.write(data)
            callback.relative_update(len(data))

    # Changes are refused

    async def _refuse(self, path: Any, *_arguments: Any, **_options: Any) -> NoReturn:  # noqa: ASYNC124 - as fsspec's
        raise read_only(str(path))

    _mkdir = _makedirs = _rm = _rm_file = _cp_file = _mv_file = _pipe_file = _refuse

    async def _put_file(self, _lpath: Any, rpath: Any, **_options: Any) -> NoReturn:  # noqa: ASYNC124 - as fsspec's
        raise read_only(str(rpath))

    def rmdir(self, path: str) -> NoReturn:
        """Always fails with EROFS."""
        raise read_only(path)

    def touch(self, path: str, **_options: Any) -> NoReturn:
        """Always fails with EROFS."""
        raise read_only(path)
