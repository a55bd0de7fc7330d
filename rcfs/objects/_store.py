"""The interface of object stores: whole objects, ranges, and puts under a condition."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import attrs

from rcfs.errors import StoreError


class ObjectStoreError(StoreError):
    """The object store cannot be reached, refuses, or fails; the text is one line, without secrets."""


@attrs.frozen
class Found:
    """A range of an object."""

    data: bytes
    """The bytes; fewer than were asked for at the end of the object."""
    object_bytes: int
    """Size of the whole object."""
    tag: str
    """Changes with every put of the object."""
    modified_s: float
    """When it was put, by the store's clock, in seconds since 1970 UTC."""


class ObjectStore(Protocol):
    """A place for objects with names such as ``ab/cd``; methods block, and any thread may call them.

    A put is atomic: a reader sees the object before it or after it. Every method raises `ObjectStoreError`
    when the store fails.
    """

    @property
    def place(self) -> str:
        """Where it is, for people; without secrets."""

    def get(
        self, name: str, start: int, stop: int, on_answer: Callable[[], None] = lambda: None
    ) -> Found | None:
        """Bytes ``[start, stop)`` of an object, or fewer at its end; None if there is no such object.

        `on_answer` is called, in the same thread, as soon as the store has answered; the bytes follow.
        """

    def put(self, name: str, parts: Iterable[bytes], size_bytes: int) -> None:
        """Stores an object, whether or not there is one; `parts` have `size_bytes` together."""

    def create(self, name: str, data: bytes) -> str | None:
        """Stores a small object, and returns its tag; None if one of that name exists."""

    def replace(self, name: str, data: bytes, tag: str) -> str | None:
        """Stores a small object in place of the one with `tag`, and returns its new tag.

        Returns:
            None if the object has another tag by now, or is gone.
        """

    def delete(self, names: Sequence[str]) -> None:
        """Removes objects; those that do not exist do not matter."""

    def names(self, prefix: str) -> Iterator[Sequence[str]]:
        """The names of all objects below `prefix`, which ends with a slash, some hundred at a time."""
