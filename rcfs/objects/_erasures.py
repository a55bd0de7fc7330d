"""Objects to be erased: a list on the disk, so that a store that is away at a purge is cleaned later.

Each line is a store's place and the name of an object, or a prefix that ends with a slash. Lines go when it
is done. Two processes that do the same work do no harm.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from rcfs.errors import StoreError
from rcfs.objects._store import ObjectStore
from rcfs.private import FILE_MODE, replace_private_file

_AT_ONCE: Final = 100
"""Lines that are done before the file is written again."""


class Erasures:
    """The list of one state directory; any thread and several processes may use it."""

    def __init__(self, path: Path, store: ObjectStore) -> None:
        """Keeps the list in the file `path`, which need not exist; erases from `store`."""
        self._path = path
        self._store = store

    def add(self, names: Iterable[str]) -> None:
        """Adds objects and prefixes; they are on the disk afterwards.

        Raises:
            StoreError: The file cannot be written.
        """
        with self._locked():
            lines = self._lines()
            known = set(lines)
            fresh = [line for line in map(self._line, names) if line not in known]
            if fresh:
                self._write([*lines, *fresh])

    def count(self) -> int:
        """Number of objects and prefixes of this store that wait.

        Raises:
            StoreError: The file cannot be read.
        """
        return len(self._waiting())

    def carry_out(self, erased: Callable[[int], None] = lambda _objects: None) -> None:
        """Erases all that wait; `erased` is told the number of objects after each line.

        Raises:
            ObjectStoreError: The store fails; what is done is no longer in the list.
            StoreError: The file cannot be read or written.
        """
        while names := self._waiting()[:_AT_ONCE]:
            done: list[str] = []
            try:
                for name in names:
                    erased(erase(self._store, name))
                    done.append(name)
            finally:
                self._remove(done)

    def _waiting(self) -> list[str]:
        start = self._line("")
        return [line.removeprefix(start) for line in self._lines() if line.startswith(start)]

    def _remove(self, names: Sequence[str]) -> None:
        done = set(map(self._line, names))
        with self._locked():
            self._write([line for line in self._lines() if line not in done])

    def _line(self, name: str) -> str:
        return f"{self._store.place} {name}"

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as exc:
            raise StoreError(f"{self._path} cannot be read: {exc}") from exc

    def _write(self, lines: Sequence[str]) -> None:
        try:
            replace_private_file(self._path, "".join(f"{line}\n" for line in lines), sync=True)
        except OSError as exc:
            raise StoreError(f"{self._path} cannot be written: {exc.strerror}") from exc

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path.with_name(f"{self._path.name}.lock")
        try:
            fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        except OSError as exc:
            raise StoreError(f"{lock} cannot be opened: {exc.strerror}") from exc
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)  # It is held for milliseconds, never while a store is asked.
            yield
        finally:
            os.close(fd)


@attrs.frozen
class SharedPlace:
    """A store that is shared with other machines, as an engine gets it."""

    objects: ObjectStore
    """Keeps the contents."""
    erasures: Erasures
    """Keeps what is to be erased from it."""
    wait_s: float = 1.0
    """Longest wait of a reader for an answer of the store, in seconds; then rcfs works without it."""


def erase(store: ObjectStore, name: str) -> int:
    """Erases an object, or all below a prefix that ends with a slash; their number.

    Raises:
        ObjectStoreError: The store fails.
    """
    if not name.endswith("/"):
        store.delete([name])
        return 1
    erased = 0
    for names in store.names(name):
        store.delete(names)
        erased += len(names)
    return erased
