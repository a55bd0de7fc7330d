"""Drives the file system of a small account in a process without FUSE; prints the path of a read file."""

# ruff: noqa: E402

import sys
from types import SimpleNamespace
from typing import Any, cast

sys.modules["pyfuse3"] = cast("Any", None)  # From now on, importing it fails.

import pytest
import structlog
import trio

from rcfs.errors import ReadOnlyError, WrongKindError
from rcfs.files import FileSystem, Kind, Waits
from rcfs.model import ChangeRules, Extension, Message
from rcfs.transport import Recorder
from rcfs.tree import Directory, LiveFile, Node, build_root
from tests.fakes.askers import Somebody
from tests.fakes.catalogue import PlainCatalogue


async def live(topic: str) -> str:  # noqa: ASYNC124 - the mount's are asynchronous
    return f"about {topic}"


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


def small() -> FileSystem:
    """A file system with one message."""
    mailboxes = SimpleNamespace(visit=lambda _extension_id: None)
    engine = SimpleNamespace(
        account=SimpleNamespace(mailboxes=mailboxes, visit=lambda _collection_id: None),
        searches=None,
        outbox=SimpleNamespace(rules=ChangeRules()),
        library=None,
        cache=SimpleNamespace(spill=None),
        recorder=Recorder(structlog.get_logger()),
        lane=SimpleNamespace(gate=SimpleNamespace(mark_present=lambda: None)),
    )
    root = build_root([Extension(id=5, number="101", name="Jane")], fallback_s=0.0)
    catalogue = PlainCatalogue()
    catalogue.put(Message(1, "SMS", created_s=1793726825.0, subject="hi"))
    root.extension(5).show(catalogue)
    return FileSystem(root, cast("Any", engine), Waits(), max_wait_s=1.0, render_live=live)


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
