"""The file system by path: look up, list, find, open, read. All of it runs in the trio thread.

A path is names below the root with slashes between them. It may lead through links, and what is told about a
link is about its target. Only `find` does not follow links, so that it gives each file once.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs
import trio

from rcfs.errors import DeadlineError, ForbiddenError, NoDirectoryError, NotFoundError, RcfsError
from rcfs.files import MAX_WAITERS, Asker, FileSystem, Opener, OpenLive
from rcfs.model import CHUNK_BYTES
from rcfs.spec._entries import Info, info_of, version_of
from rcfs.spec._errors import is_a_directory
from rcfs.tree import Directory, Link, Node, TextFile, tree_parts

Parts = tuple[str, ...]

_NEWS_WITHIN_S = 60.0
"""Longest wait for a sync that is due; then the index is shown as it is. A penalty takes as long."""
_OPENS = MAX_WAITERS // 2
"""Most opens that wait at the same time. Further ones queue here, where a mount refuses them."""


@attrs.frozen(eq=False)
class Opened:
    """An open file."""

    opener: Opener
    """The file as the file system knows it."""
    size_bytes: int
    """Its exact size."""


@attrs.frozen
class Place:
    """An entry that was looked up."""

    parts: Parts
    """Its path without links, name by name."""
    node: Node
    """The entry; a link only if its target is not there."""


class Paths:
    """The files of one engine by their paths; many calls at the same time."""

    def __init__(self, files: FileSystem, asker: Asker, settle: Callable[[str], Awaitable[None]]) -> None:
        """Asks `files` on behalf of `asker`; `settle` waits for the end of a collection's sync."""
        self._files = files
        self._asker = asker
        self._settle = settle
        self._opens = trio.CapacityLimiter(_OPENS)

    # Names

    async def info(self, path: str) -> Info:
        """The entry at `path`; of a link, its target.

        Raises:
            NotFoundError: There is no such entry.
            NoDirectoryError: The path leads through a file.
            RcfsError: A directory on the way cannot be read.
        """
        parts = tree_parts(path)
        node, real = await self._look_up(parts)
        return await self._info("/".join(parts), node, real)

    async def version(self, path: str) -> str:
        """A digest that changes when the bytes at `path` may have changed; raises as `info`."""
        place = await self._find(path)
        return version_of(place.node, self._own_info("/".join(place.parts), place.node))

    async def listing(self, path: str) -> list[Info]:
        """The entries of a directory, or the file at `path` itself; not older than a mount would show.

        Raises as `info`.
        """
        place = await self._find(path)
        name = "/".join(tree_parts(path))
        if not isinstance(place.node, Directory):
            return [await self._info(name, place.node, place.parts)]
        return [
            await self._info(f"{name}/{entry}" if name else entry, node, (*place.parts, entry))
            for entry, node in await self._entries(place.node)
        ]

    async def find(self, path: str, max_depth: int | None = None) -> dict[str, Info]:
        """All entries below `path`, by path, or the file at `path` itself; links and what is behind them not.

        Directories that the login may not read are passed over. Raises as `info`.

        Args:
            path: Where to begin.
            max_depth: Most names below `path`; None for any number.
        """
        place = await self._find(path)
        top = "/".join(tree_parts(path))
        found: dict[str, Info] = {}
        if not isinstance(place.node, Directory):
            return {top: self._own_info(top, place.node)}
        pending = [(top, place.node, 1)]
        while pending:
            above, directory, depth = pending.pop()
            try:
                for entry, node in await self._entries(directory):
                    below = f"{above}/{entry}" if above else entry
                    if isinstance(node, Link):
                        continue
                    found[below] = self._own_info(below, node)
                    if isinstance(node, Directory) and (max_depth is None or depth < max_depth):
                        pending.append((below, node, depth + 1))
            except (ForbiddenError, NotFoundError):
                if above == top:
                    raise
        return found

    async def _entries(self, directory: Directory) -> list[tuple[str, Node]]:
        """The entries of a directory, as of the last minute."""
        listing = await self._files.list(directory, self._asker)
        await self._wait_for_news(directory)
        entries: list[tuple[str, Node]] = []
        after = 0
        while page := await self._files.page(listing, after):
            entries += ((entry.name, entry.node) for entry in page)
            after = page[-1].cursor
            await trio.lowlevel.checkpoint()
        return entries

    async def _wait_for_news(self, node: Node) -> None:
        """Returns when the sync that a look at `node` has started is over."""
        if node.collection_id is not None:
            with trio.move_on_after(_NEWS_WITHIN_S):
                await self._settle(node.collection_id)

    async def _find(self, path: str) -> Place:
        node, parts = await self._followed(*await self._look_up(tree_parts(path)))
        return Place(parts, node)

    async def _look_up(self, parts: Parts) -> tuple[Node, Parts]:
        """The node at `parts`, which may be a link, and its path without links on the way."""
        node: Node = self._files.root
        real: Parts = ()
        for name in parts:
            node, real = await self._followed(node, real)
            if not isinstance(node, Directory):
                raise NoDirectoryError(f"{'/'.join(real)} is not a directory")
            node, real = await self._child(node, name), (*real, name)
        return node, real

    async def _child(self, directory: Directory, name: str) -> Node:
        try:
            node = await self._files.find(directory, name, self._asker)
        except DeadlineError:
            # Its mailbox is still loading; a listing waits as long as the user allows.
            await self._files.list(directory, self._asker)
            node = await self._files.find(directory, name, self._asker)
        if node is None:
            raise NotFoundError("there is no such file or directory")
        return node

    async def _followed(self, node: Node, parts: Parts) -> tuple[Node, Parts]:
        """The target of a link, or the link itself if that is not there; any other node as it is."""
        if not isinstance(node, Link):
            return node, parts
        try:
            return await self._look_up(tree_parts("/".join((*parts[:-1], node.target))))
        except (NotFoundError, NoDirectoryError):
            return node, parts

    async def _info(self, path: str, node: Node, parts: Parts) -> Info:
        if not isinstance(node, Link):
            return self._own_info(path, node)
        # A target that cannot be read now must not hide the entries beside the link.
        with suppress(RcfsError):
            node, parts = await self._followed(node, parts)
        return info_of(path, self._files.attributes(node), "/".join(parts))

    def _own_info(self, path: str, node: Node) -> Info:
        return info_of(path, self._files.attributes(node))

    # Files

    async def open(self, path: str) -> Opened:
        """Opens the file at `path`; returns when its size is exact, and a small content is complete.

        Raises:
            IsADirectoryError: It is a directory.
            RcfsError: As `info`, or the file is not available, or not in time.
        """
        node = (await self._find(path)).node
        if isinstance(node, Directory):
            raise is_a_directory(path)
        async with self._opens:
            if isinstance(node, TextFile):
                await self._files.collections.need(node, self._asker)
                await self._wait_for_news(node)
            # A place of its own: the text stays as it is now, whoever opens the file later.
            opener = await self._files.open(node, self._asker, object())
        if isinstance(opener, OpenLive):
            return Opened(opener, len(opener.data))
        return Opened(opener, self._files.attributes(node).size_bytes)

    async def read(self, opened: Opened, start: int, stop: int) -> bytes:
        """The bytes ``[start, stop)`` of an open file; fewer only at its end.

        Raises:
            RcfsError: The bytes are not available, or not in time.
        """
        parts = []
        while start < stop:
            size = min(stop - start, CHUNK_BYTES - start % CHUNK_BYTES)
            part = await self._files.read(opened.opener, start, size)
            if not part:
                break
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def close(self, opened: Opened) -> None:
        """Ends the use of an open file."""
        self._files.close(opened.opener)

    async def cat(self, path: str, start: int | None, stop: int | None) -> bytes:
        """The bytes ``[start, stop)`` of the file at `path`, both as in a slice; raises as `open`."""
        opened = await self.open(path)
        try:
            start, stop, _step = slice(start, stop).indices(opened.size_bytes)
            return await self.read(opened, start, stop)
        finally:
            self.close(opened)
