"""Glob patterns, name by name.

fsspec's own glob lists everything down to the depth of the pattern. Here that would load all mailboxes and
all months of calls, each with a request. So only those directories are listed that the pattern leads into.

A name first stands for itself, because names of messages end with an id in brackets. Only if there is no such
entry, it is a pattern.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import attrs
from fsspec.utils import glob_translate

from rcfs.errors import FileError, ForbiddenError, NotFoundError
from rcfs.spec._entries import Info
from rcfs.spec._paths import Paths

T = TypeVar("T")

_ANY_DEPTH: Final = "**"
_MAGIC: Final = re.compile(r"[*?[]")


def may_be_pattern(path: str) -> bool:
    """Whether `path` is a pattern, unless an entry has that name."""
    return _MAGIC.search(path) is not None


async def glob(paths: Paths, pattern: str, max_depth: int | None = None) -> dict[str, Info]:
    """The entries that `pattern` matches, by path; entries that cannot be read are no matches.

    Args:
        paths: The tree.
        pattern: Names or patterns of names with slashes between them; ``**`` is any number of names.
        max_depth: Most names that the first ``**`` and all after it match together; None for any number.

    Raises:
        ValueError: ``**`` is only a part of a name.
        RcfsError: A directory cannot be read now, although the login may read it.
    """
    names = tuple(filter(None, pattern.split("/")))
    if any(_ANY_DEPTH in name and name != _ANY_DEPTH for name in names):
        raise ValueError("** stands for whole names only, as in a/**/b")
    most = None
    if max_depth is not None and _ANY_DEPTH in names:
        most = names.index(_ANY_DEPTH) + max_depth
    matching = _Matching(paths, most)
    await matching.below("", names)
    return dict(sorted(matching.found.items()))


@attrs.define
class _Matching:
    paths: Paths
    most: int | None
    """Most names of a match; None for any number."""
    found: dict[str, Info] = attrs.field(factory=dict)

    async def below(self, above: str, names: tuple[str, ...]) -> None:
        """Finds what `names` match below the directory `above`."""
        name, rest = names[0], names[1:]
        if name == _ANY_DEPTH:
            await self._any_depth(above, rest)
            return
        exact = await _readable(lambda: self.paths.info(f"{above}/{name}"))
        if exact is not None:
            await self._take(exact, rest)
        elif may_be_pattern(name):
            pattern = re.compile(glob_translate(name))
            for info in await _readable(lambda: self.paths.listing(above)) or ():
                if pattern.match(info["name"].rpartition("/")[2]):
                    await self._take(info, rest)

    async def _any_depth(self, above: str, rest: tuple[str, ...]) -> None:
        depth = len(above.split("/")) if above else 0
        left = None if self.most is None else self.most - depth
        if left is not None and left < 1:
            return
        inside = await _readable(lambda: self.paths.find(above, left)) or {}
        if rest:
            directories = (path for path, info in inside.items() if info["type"] == "directory")
            for directory in (above, *directories):
                await self.below(directory, rest)
            return
        self.found |= inside
        if above:
            self.found[above] = await self.paths.info(above)

    async def _take(self, info: Info, rest: tuple[str, ...]) -> None:
        path: str = info["name"]
        if self.most is not None and path.count("/") >= self.most:
            return
        if not rest:
            self.found[path] = info
        elif info["type"] == "directory":
            await self.below(path, rest)


async def _readable(operation: Callable[[], Awaitable[T]]) -> T | None:
    """The result of `operation`; None if there is nothing, or the login may not read it."""
    try:
        return await operation()
    except (FileError, ForbiddenError, NotFoundError):
        return None
