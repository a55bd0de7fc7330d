"""Notices of changes, for any number of listeners that remember parts of the tree.

A mount tells the kernel to forget, and the meter for `df` sums the tree again. Notices come in the trio
thread, when the tree already shows the change. A listener must not wait.
"""

from collections.abc import Collection, Hashable

TreePath = tuple[str, ...]
"""Names of a path below the root."""


class Listener:
    """Base class of listeners; each method does nothing unless a subclass overrides it."""

    def changed(self, paths: Collection[TreePath]) -> None:
        """The nodes at `paths` are new, gone or different, and the directories above have new times."""

    def all_changed(self, path: TreePath) -> None:
        """The directory at `path`, which is not the root, and anything below it may have changed."""

    def found_changed(self, names: Collection[str], *, everything: bool) -> None:
        """Links of these names in searches may have changed; with `everything`, any link."""

    def owners_changed(self) -> None:
        """Directories in the root have new names, so all links in searches have other targets."""

    def size_changed(self, place: Hashable) -> None:
        """The file that is being opened at `place` has another size than its attributes said."""

    def text_grew(self, place: Hashable, size_bytes: int) -> None:
        """The text that is open at `place` has grown at its end to `size_bytes`."""

    def text_replaced(self, place: Hashable) -> None:
        """The text that is open at `place` is stale, and its name now leads to another text."""


class Changes(Listener):
    """Passes each notice on to all listeners."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Adds a listener."""
        self._listeners.append(listener)

    def changed(self, paths: Collection[TreePath]) -> None:
        for listener in self._listeners:
            listener.changed(paths)

    def all_changed(self, path: TreePath) -> None:
        for listener in self._listeners:
            listener.all_changed(path)

    def found_changed(self, names: Collection[str], *, everything: bool) -> None:
        for listener in self._listeners:
            listener.found_changed(names, everything=everything)

    def owners_changed(self) -> None:
        for listener in self._listeners:
            listener.owners_changed()

    def size_changed(self, place: Hashable) -> None:
        for listener in self._listeners:
            listener.size_changed(place)

    def text_grew(self, place: Hashable, size_bytes: int) -> None:
        for listener in self._listeners:
            listener.text_grew(place, size_bytes)

    def text_replaced(self, place: Hashable) -> None:
        for listener in self._listeners:
            listener.text_replaced(place)
