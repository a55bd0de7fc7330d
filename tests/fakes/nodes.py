"""Finds and lists nodes of a tree by their path."""

from rcfs.tree import Directory, Node


def at(root: Node, *path: str) -> Node:
    """The node at `path` below `root`."""
    for name in path:
        assert isinstance(root, Directory)
        found = root.find(name)
        assert found is not None, name
        root = found
    return root


def names(root: Node, *path: str) -> list[str]:
    """The names in the directory at `path`, read page by page; each can be looked up."""
    directory = at(root, *path)
    assert isinstance(directory, Directory)
    listed, after = [], 0
    while page := directory.page(after, 2):
        listed += [entry.name for entry in page]
        after = page[-1].cursor
    assert listed == list(directory.entries())
    assert all(directory.find(name) is not None for name in listed)
    return listed
