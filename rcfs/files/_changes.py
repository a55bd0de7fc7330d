"""What is told of changes to those who remember the tree: any number of listeners.

A mount lets the kernel forget, `df` sums anew. All of it is told in the trio thread, when the tree shows it
already, and a listener must not wait.
"""

from collections.abc import Collection, Hashable

TreePath = tuple[str, ...]
"""A path below the root, name by name."""


class Listener:
    """Hears of changes; whoever remembers nothing of some kind leaves its method as it is."""

    def changed(self, paths: Collection[TreePath]) -> None:
        """What stands at `paths` came, went, or is something else; the directories above have other times."""

    def all_changed(self, name: str) -> None:
        """Anything below the directory `name` of the root may be something else, and so may that be."""

    def found_changed(self, names: Collection[str], *, everything: bool) -> None:
        """Searches may find something else: links of these names, or with `everything` any of them."""

    def owners_changed(self) -> None:
        """Directories in the root have other names, so that all links in searches lead elsewhere."""

    def size_changed(self, place: Hashable) -> None:
        """What is being opened at `place` turned out to have another size than was told."""

    def text_grew(self, place: Hashable, size_bytes: int) -> None:
        """The text that is open at `place` has more bytes at its end, and now `size_bytes` in all."""

    def text_replaced(self, place: Hashable) -> None:
        """The text that is open at `place` is stale: its name leads to another one from now on."""


class Changes(Listener):
    """Passes on what it is told to all who listen."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tells `listener` of every change from now on."""
        self._listeners.append(listener)

    def changed(self, paths: Collection[TreePath]) -> None:
        for listener in self._listeners:
            listener.changed(paths)

    def all_changed(self, name: str) -> None:
        for listener in self._listeners:
            listener.all_changed(name)

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
