"""A disk that loses unsynced writes in a power cut: drops them, tears them, or reorders them.

It is fed with the recorded changes (`tests.fakes.traced`), and shows, as often as asked, another possible
state after a power cut at this moment. The model is a journaling file system: names appear and disappear in
order, and a sync makes them durable up to that point. The sectors of a file's data are independent: a lost
sector has its old content, which is zeros where the file grew.
"""

from pathlib import Path
from random import Random

import attrs

from tests.fakes.traced import Change

_SECTOR_BYTES = 512


@attrs.define
class _File:
    synced: bytearray = attrs.field(factory=bytearray)
    now: bytearray = attrs.field(factory=bytearray)
    lost: list[tuple[int, bytes]] = attrs.field(factory=list)
    """Sectors written since the last sync: position and bytes."""

    def write(self, offset: int, data: bytes) -> None:
        _put(self.now, offset, data)
        for start in range(offset - offset % _SECTOR_BYTES, offset + len(data), _SECTOR_BYTES):
            begin, stop = max(start, offset), min(start + _SECTOR_BYTES, offset + len(data))
            self.lost.append((begin, data[begin - offset : stop - offset]))

    def truncate(self, size: int) -> None:
        # Truncation is always durable; the states in between come from the writes.
        for content in (self.now, self.synced):
            del content[size:]
        self.now.extend(bytes(size - len(self.now)))
        self.lost = [(at, data[: max(0, size - at)]) for at, data in self.lost if at < size]

    def sync(self) -> None:
        self.synced, self.lost = bytearray(self.now), []

    def after_cut(self, random: Random) -> bytes:
        if not self.lost:
            return bytes(self.synced)
        result = bytearray(self.synced)
        share = random.choice((0.0, 0.5, 0.9, 1.0))
        for at, data in self.lost:
            if random.random() < share:
                _put(result, at, data)
        # The size is metadata like the names: it may be durable without the data.
        size = random.choice((len(result), len(self.now), len(self.synced)))
        return bytes(result.ljust(size, b"\0"))


class LossyDisk:
    """The written data, the synced data, and the possible results of a power cut."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        self._synced_names: dict[str, int] = {}
        self._pending: list[Change] = []

    def apply(self, change: Change) -> None:
        """Apply another change."""
        if change.kind in ("open", "unlink", "rename"):
            self._files.setdefault(change.file, _File())
            _rename(self._names, change)
            self._pending.append(change)
        elif change.kind == "write":
            self._files[change.file].write(change.offset, change.data)
        elif change.kind == "truncate":
            self._files[change.file].truncate(change.offset)
        elif change.kind == "sync":
            self._files[change.file].sync()
            self._synced_names, self._pending = dict(self._names), []

    def contents(self) -> dict[str, bytes]:
        """The present contents of the files, by path."""
        return {name: bytes(self._files[file].now) for name, file in self._names.items()}

    def cut(self, directory: Path, random: Random) -> None:
        """Put into `directory` a state that a power cut now may leave, chosen by `random`."""
        names = dict(self._synced_names)
        for change in self._pending[: random.randint(0, len(self._pending))]:
            _rename(names, change)
        for name, file in names.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # Memory mapped files, such as SQLite's -shm, are written by no system call that was recorded.
            mapped = name.endswith("-shm")
            path.write_bytes(random.randbytes(32768) if mapped else self._files[file].after_cut(random))


def _rename(names: dict[str, int], change: Change) -> None:
    if change.kind == "open":
        names[change.path] = change.file
    else:
        names.pop(change.path, None)
        if change.kind == "rename":
            names[change.target] = change.file


def _put(content: bytearray, at: int, data: bytes) -> None:
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data
