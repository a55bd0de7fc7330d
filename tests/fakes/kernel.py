"""The kernel's side of a mount: the names, attributes and pages that it caches until rcfs invalidates them.

It shows what the mount says now, and everything that rcfs failed to invalidate. Timeouts never expire here,
as no result may depend on them.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import attrs
import pyfuse3
import pytest

from rcfs.fuse._operations import Operations

Path = tuple[str, ...]
XATTRS = ("message_id", "type", "direction", "from", "to", "read_status")
_LISTED_AT_ONCE = 7
"""Entries that fit into an answer: few, so that listings need several answers."""
_now_serving: ContextVar["Kernel"] = ContextVar("kernel")


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pyfuse3 talk to the `Kernel` that is calling."""

    def forget_name(parent: int, name: bytes, *, ignore_enoent: bool) -> None:
        assert ignore_enoent
        _now_serving.get().forget_name(parent, os.fsdecode(name))

    def forget_attributes(inode: int, *, attr_only: bool) -> None:
        assert attr_only, "to drop pages hangs with a read under way"
        _now_serving.get().forget_attributes(inode)

    # As of a pyfuse3 with contrib/lib/pyfuse3-opendir.patch, which need not be installed here.
    monkeypatch.setattr(pyfuse3, "FileInfo", Opened)
    monkeypatch.setattr(pyfuse3, "readdir_reply", lambda token, *entry: token(*entry))
    monkeypatch.setattr(pyfuse3, "invalidate_entry_async", forget_name)
    monkeypatch.setattr(pyfuse3, "invalidate_inode", forget_attributes)


@attrs.frozen
class Seen:
    """A path as a program sees it."""

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    what: Any = None
    """Target of a link, bytes of a text, (message id, attachment id) of an attachment, else None."""
    xattrs: tuple[tuple[str, str], ...] = ()
    """The extended attributes among `XATTRS` that a message's directory has."""


@attrs.define(eq=False)
class Opened:
    """The reply to an open, as `pyfuse3.FileInfo`."""

    fh: int
    direct_io: bool = False
    keep_cache: bool = True
    cache_readdir: bool = False


@attrs.define(eq=False)
class _Inode:
    attributes: pyfuse3.EntryAttributes | None
    lookups: int = 0
    pages: bytes | None = None
    listed: list[str] | None = None
    """The entries of a directory, if the kernel has kept them."""


class Kernel:
    """Calls `operations`, and caches the answers."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._context = pyfuse3.RequestContext()
        self._inodes: dict[int, _Inode] = {int(pyfuse3.ROOT_INODE): _Inode(None, 1)}
        self._names: dict[int, dict[str, int]] = {}
        """The known names of each directory and their inodes, by the directory's inode."""

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Within this block, invalidations through pyfuse3 go to this kernel."""
        token = _now_serving.set(self)
        try:
            yield
        finally:
            _now_serving.reset(token)

    # Invalidations.

    def forget_name(self, parent: int, name: str) -> None:
        if name in self._names.get(parent, {}):
            self._drop(parent, name)

    def forget_attributes(self, inode: int) -> None:
        if inode in self._inodes:
            self._inodes[inode].attributes = None

    def drop_caches(self) -> None:
        """Forget everything, as if memory were short."""
        for name in list(self._names.get(int(pyfuse3.ROOT_INODE), ())):
            self._drop(int(pyfuse3.ROOT_INODE), name)

    def _drop(self, parent: int, name: str) -> None:
        inode = self._names[parent].pop(name)
        for below in list(self._names.get(inode, ())):
            self._drop(inode, below)
        self._names.pop(inode, None)
        gone = self._inodes.pop(inode)
        self._operations._inodes.forget([(inode, gone.lookups)])

    # Questions of programs.

    def remembered(self, path: Path) -> Iterator[Path]:
        """The cached paths below `path`, each before those below it."""
        inode = self._remembered_inode(path)
        for name, below in list(self._names.get(inode, {}).items()) if inode else ():
            if below in self._inodes:
                yield (*path, name)
                yield from self.remembered((*path, name))

    async def tree(self, path: Path) -> dict[Path, Seen]:
        """Everything below the directory `path`, as a complete walk finds it."""
        found: dict[Path, Seen] = {}
        for name in await self.names(path):
            below = (*path, name)
            found[below] = seen = await self.look(below)
            if stat.S_ISDIR(seen.mode):
                found |= await self.tree(below)
        return found

    async def names(self, path: Path) -> list[str]:
        """A listing of the directory `path`; fails the test if a name comes twice."""
        with self.serving():
            inode = await self._walk(path)
            opened = await self._operations.opendir(inode, self._context)
            keeps = isinstance(opened, Opened) and opened.cache_readdir
            handle, kept = opened.fh if keeps else opened, self._inodes[inode]
            if not (keeps and opened.keep_cache):
                # As in Linux, where this drops pages, and an empty directory has no pages.
                kept.listed = None if kept.listed else kept.listed
            listed: list[str] = list(kept.listed or ()) if keeps else []
            position, more = 0, not keeps or kept.listed is None
            while more:
                batch: list[tuple[bytes, pyfuse3.EntryAttributes, int]] = []

                def reply(name: bytes, attributes: pyfuse3.EntryAttributes, cursor: int) -> bool:
                    if len(batch) == _LISTED_AT_ONCE:  # noqa: B023 - it is called before the next round
                        return False
                    batch.append((name, attributes, cursor))  # noqa: B023
                    return True

                await self._operations.readdir(handle, position, reply)  # type: ignore[arg-type]
                for name, attributes, cursor in batch:
                    self._learn(inode, os.fsdecode(name), attributes)
                    listed.append(os.fsdecode(name))
                    position = cursor
                more = bool(batch)
            await self._operations.releasedir(handle)
            if keeps:
                kept.listed = listed
        assert len(set(listed)) == len(listed), f"a name comes twice in {path}"
        return listed

    async def look(self, path: Path) -> Seen:
        """The attributes and content of `path`.

        Raises:
            FUSEError: As the program would see it.
        """
        with self.serving():
            inode = await self._walk(path)
            attributes = await self._attributes(inode)
            what: Any = None
            xattrs: tuple[tuple[str, str], ...] = ()
            size = attributes.st_size
            if stat.S_ISLNK(attributes.st_mode):
                what = os.fsdecode(await self._operations.readlink(inode, self._context))
            elif len(path) == 4 - (path[1:2] == ("Trash",)) and stat.S_ISDIR(attributes.st_mode):
                xattrs = await self._xattrs(inode)
            if stat.S_ISREG(attributes.st_mode):
                what = await self._attachment(inode)
                if what is None:
                    what = await self._read(inode)
                    size = (await self._attributes(inode)).st_size
                else:
                    size = -1  # It may be an estimate.
            return Seen(
                attributes.st_mode, size, attributes.st_mtime_ns, attributes.st_ctime_ns, what, xattrs
            )

    async def read_attachment(self, path: Path) -> bytes:
        """All bytes of an attachment, whatever size its attributes claim."""
        with self.serving():
            inode = await self._walk(path)
            opened = await self._operations.open(inode, os.O_RDONLY, self._context)
            size = (await self._attributes(inode)).st_size
            data = await self._operations.read(opened.fh, 0, size)
            await self._operations.release(opened.fh)
        assert len(data) == size
        return data

    async def _read(self, inode: int) -> bytes:
        opened = await self._operations.open(inode, os.O_RDONLY, self._context)
        kept = self._inodes[inode]
        if not opened.keep_cache:
            kept.pages = None
        size = (await self._attributes(inode)).st_size
        if kept.pages is None:
            kept.pages = await self._operations.read(opened.fh, 0, size)
        await self._operations.release(opened.fh)
        return kept.pages

    async def _attachment(self, inode: int) -> tuple[int, int] | None:
        try:
            key = await self._xattr(inode, "key")
        except pyfuse3.FUSEError:
            return None
        _account, _extension, message, attachment = key.split("/")
        return int(message), int(attachment)

    async def _xattrs(self, inode: int) -> tuple[tuple[str, str], ...]:
        listed = {os.fsdecode(name) for name in await self._operations.listxattr(inode, self._context)}
        names = [name for name in XATTRS if f"user.rcfs.{name}" in listed]
        return tuple([(name, await self._xattr(inode, name)) for name in names])

    async def _xattr(self, inode: int, name: str) -> str:
        return os.fsdecode(
            await self._operations.getxattr(inode, b"user.rcfs." + name.encode(), self._context)
        )

    async def _attributes(self, inode: int) -> pyfuse3.EntryAttributes:
        kept = self._inodes[inode]
        if kept.attributes is None or not kept.attributes.attr_timeout:
            self._change(kept, await self._operations.getattr(inode, self._context))
        assert kept.attributes is not None
        return kept.attributes

    async def _walk(self, path: Path) -> int:
        parent = int(pyfuse3.ROOT_INODE)
        for name in path:
            inode = self._names.get(parent, {}).get(name)
            if inode is None:
                attributes = await self._operations.lookup(parent, name.encode(), self._context)
                inode = self._learn(parent, name, attributes)
            parent = inode
        return parent

    def _remembered_inode(self, path: Path) -> int | None:
        inode: int | None = int(pyfuse3.ROOT_INODE)
        for name in path:
            inode = self._names.get(inode, {}).get(name) if inode else None
        return inode

    def _learn(self, parent: int, name: str, attributes: pyfuse3.EntryAttributes) -> int:
        assert parent in self._inodes, errno.ESTALE
        inode = int(attributes.st_ino)
        known = self._names.setdefault(parent, {}).get(name)
        assert known in (None, inode), "a path has one inode for ever"
        kept = self._inodes.setdefault(inode, _Inode(None))
        kept.lookups += 1
        self._names[parent][name] = inode
        self._change(kept, attributes)
        return inode

    @staticmethod
    def _change(kept: _Inode, attributes: pyfuse3.EntryAttributes) -> None:
        """As fuse_change_attributes in fs/fuse/inode.c: a new size drops a file's pages."""
        if kept.pages is not None and len(kept.pages) != attributes.st_size:
            kept.pages = None
        kept.attributes = attributes
