"""An object store in memory that fails on demand."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from rcfs.objects import Found, ObjectStoreError


@attrs.define
class MemoryObjects:
    """See `rcfs.objects.ObjectStore`; its clock shows whole seconds, as that of S3 does."""

    clock: Callable[[], float]
    objects: dict[str, tuple[bytes, str, float]] = attrs.field(factory=dict)
    """The bytes, the tag and the time of each object."""
    calls: list[tuple[str, str]] = attrs.field(factory=list)
    """Each call and the name of its object."""
    problem: str = ""
    """Why every call fails; empty when none does."""
    full: str = ""
    """Why every call fails that stores something; empty when none does."""
    breaks_behind: float = math.inf
    """From a get of this or a later byte on, every call fails."""
    on_create: Callable[[], None] = lambda: None
    """Called by every `create`."""
    place: str = "memory"
    _puts: int = 0

    def get(
        self, name: str, start: int, stop: int, on_answer: Callable[[], None] = lambda: None
    ) -> Found | None:
        if start >= self.breaks_behind:
            self.problem = "reset"
        self._called("get", name)
        on_answer()
        if name not in self.objects:
            return None
        data, tag, modified_s = self.objects[name]
        return Found(data[start:stop], len(data), tag, modified_s)

    def put(self, name: str, parts: Iterable[bytes], size_bytes: int) -> None:
        self._called("put", name)
        data = b"".join(parts)
        assert len(data) == size_bytes
        self._store(name, data)

    def create(self, name: str, data: bytes) -> str | None:
        self._called("create", name)
        self.on_create()
        return None if name in self.objects else self._store(name, data)

    def replace(self, name: str, data: bytes, tag: str) -> str | None:
        self._called("replace", name)
        return self._store(name, data) if name in self.objects and self.objects[name][1] == tag else None

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            self._called("delete", name)
            self.objects.pop(name, None)

    def names(self, prefix: str) -> Iterator[Sequence[str]]:
        self._called("names", prefix)
        yield [name for name in self.objects if name.startswith(prefix)]

    def _store(self, name: str, data: bytes) -> str:
        self._puts += 1
        self.objects[name] = data, str(self._puts), float(int(self.clock()))
        return str(self._puts)

    def _called(self, call: str, name: str) -> None:
        self.calls.append((call, name))
        if self.problem:
            raise ObjectStoreError(self.problem)
        if self.full and call in ("put", "create", "replace"):
            raise ObjectStoreError(self.full)
