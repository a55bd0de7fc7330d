"""After the kernel has forgotten inodes, nothing of them is left, even of very many."""

from collections.abc import Sized

import pytest

from rcfs.fuse._inodes import InodeTable
from rcfs.tree import Directory


def entries(table: InodeTable) -> dict[str, int]:
    """How many entries each part of the table has."""
    parts = vars(table).items()
    return {name: len(part) for name, part in parts if isinstance(part, Sized)}


@pytest.fixture
def table() -> InodeTable:
    """A table of which the kernel holds the directory that the others are in."""
    table = InodeTable(Directory())
    table.remember(1, b"Search", Directory())
    return table


def come_and_go(table: InodeTable, name: bytes, *, newer: bool = False) -> int:
    """The inode of a directory that is made, opened, listed and removed; then perhaps made once more."""
    parent = table.number(1, b"Search")
    inode = table.remember(parent, name, Directory())
    table.opened(inode, Directory())
    table.serve(inode, b"text")
    table.note_whole(inode)
    table.retire(inode)
    assert table.number(parent, name) != inode
    table.closed(inode)
    again = table.remember(parent, name, Directory()) if newer else None
    table.forget([(inode, 1)])
    if again is not None:
        assert table.number(parent, name) == again, "the kernel holds it"
        table.forget([(again, 1)])
    return inode


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("distinct", [1, 300])
def test_searches_that_come_and_go_leave_nothing(table: InodeTable, distinct: int, newer: bool) -> None:
    before = entries(table)
    inodes = [come_and_go(table, b"query %d" % (lap % distinct), newer=newer) for lap in range(600)]
    assert entries(table) == before
    assert len(set(inodes)) == distinct, "a path has its first inode again when the kernel holds none of it"


def test_a_path_that_is_retired_many_times_always_has_an_inode_that_the_kernel_does_not_hold(
    table: InodeTable,
) -> None:
    before, parent = entries(table), table.number(1, b"Search")
    inodes = []
    for _lap in range(50):
        inodes.append(table.remember(parent, b"query", Directory()))
        table.retire(inodes[-1])
    assert len(set(inodes)) == 50, "the kernel still holds each of them"
    newest = table.remember(parent, b"query", Directory())
    table.forget([(inode, 1) for inode in inodes])
    assert table.number(parent, b"query") == newest
    table.forget([(newest, 1)])
    assert entries(table) == before


def test_files_that_were_open_leave_nothing(table: InodeTable) -> None:
    before, parent = entries(table), table.number(1, b"Search")
    for number in range(5000):
        inode = table.remember(parent, b"%d" % number, Directory())
        table.opened(inode, Directory())
        table.note_whole(inode)
        table.serve(inode, b"text")
        table.forget([(inode, 1)])
        table.closed(inode)
    assert entries(table) == before
