"""Drives the file system of a small account in a process without FUSE; prints the path of a read file."""

# ruff: noqa: E402

import sys
from typing import Any, cast

sys.modules["pyfuse3"] = cast("Any", None)  # From now on, importing it fails.

import pytest
import trio

from rcfs.errors import ReadOnlyError, WrongKindError
from rcfs.files import FileSystem, Kind
from rcfs.tree import Directory, LiveFile, Node
from tests.fakes.askers import Somebody
from tests.fakes.small_files import small


async def main() -> None:
    files = small()
    asker = Somebody()
    path, node = await walk(files, asker)
    opener = await files.open(node, asker, path)
    assert files.attributes(node).size_bytes == len(await files.read(opener, 0, 99)) == 2, path
    files.close(opener)
    control = await files.find(files.root, ".rcfs", asker)
    assert isinstance(control, Directory)
    quota = await files.find(control, "quota", asker)
    assert isinstance(quota, LiveFile)
    assert await files.read(await files.open(quota, asker, None), 6, 99) == b"quota"
    with pytest.raises(WrongKindError):
        await files.open(files.root, asker, ())
    with pytest.raises(ReadOnlyError):
        await files.make_directory(files.root, "x", asker)
    assert not any(name.startswith("rcfs.fuse") for name in sys.modules)
    print("/".join(path))  # noqa: T201


async def walk(files: FileSystem, asker: Somebody) -> tuple[tuple[str, ...], Node]:
    """The path down to a file, by the last entry of each directory but the extension's first view."""
    path: tuple[str, ...] = ()
    node: Node = files.root
    while isinstance(node, Directory):
        assert files.attributes(node).kind is Kind.DIRECTORY
        entries = await files.page(await files.list(node, asker), 0)
        entry = entries[0] if len(path) == 1 else entries[-1]
        found = await files.find(node, entry.name, asker)
        assert found is not None
        assert files.attributes(found) == files.attributes(entry.node)
        path, node = (*path, entry.name), found
    return path, node


if __name__ == "__main__":
    trio.run(main)
