"""An fsspec filesystem that shows a tree of the test's own, without an account."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from typing import Any, cast

import attrs

from rcfs.config import Settings
from rcfs.spec import RcfsFileSystem
from rcfs.spec._engine import EngineThread
from rcfs.spec._engines import Engines
from rcfs.spec._paths import Paths
from rcfs.tree import Node
from rcfs.tree._nodes import FixedDirectory, Link, TextFile
from rcfs.tree._times import Times
from tests.fakes.askers import Somebody
from tests.fakes.small_files import small

Tree = Mapping[str, Any]
"""Names with what they lead to: bytes of a file, the target of a link as text, or another tree."""

TIMES = Times(1.5, 2.5)
_NUMBERS = count()


@attrs.define(eq=False, kw_only=True)
class PlainText(TextFile):
    """A file with given bytes."""

    data: bytes

    def content(self) -> bytes:
        return self.data


def node_of(tree: Tree | bytes | str) -> Node:
    """The node of a tree."""
    if isinstance(tree, bytes):
        return PlainText(times=TIMES, size_bytes=len(tree), data=tree)
    if isinstance(tree, str):
        return Link(times=TIMES, target=tree)
    return FixedDirectory(times=TIMES, entries={name: node_of(below) for name, below in tree.items()})


@asynccontextmanager
async def open_tree(tree: Tree) -> AsyncIterator[Paths]:
    """The paths of a tree."""
    files = small()
    files.root = cast("Any", node_of(tree))
    yield Paths(files, Somebody(), settle=cast("Any", None))


@contextmanager
def filesystem(tree: Tree, **options: Any) -> Iterator[RcfsFileSystem]:
    """A filesystem that shows `tree`."""
    fs = RcfsFileSystem(skip_instance_cache=True, state_dir=f"/{next(_NUMBERS)}", **options)
    engine = EngineThread(partial(open_tree, tree))
    Engines._engines[fs._options] = cast("Settings", None), engine
    try:
        yield fs
    finally:
        engine.close()
        del Engines._engines[fs._options]
