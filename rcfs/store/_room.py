"""Room for new values of the cache: the cap, the free space of the disk, and the eviction of contents."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from rcfs.model import CHUNK_BYTES, ContentKey
from rcfs.store._table import ChunkTable, Value
from rcfs.store._value import HEADER_BYTES, allocated_bytes

_FREE_FLOOR_BYTES = 1 << 30
_FREE_FLOOR_SHARE = 0.05
"""Space on the disk that stays free: 1 GiB, with which a system and its desktop still work normally, or 5 %
of a small disk, which is also what ext4 reserves for root."""

_GROWTH_BYTES = 256 << 10
"""Bytes by which database and log may grow in one write: the log's 64 pages."""


class Room:
    """The room in one cache directory; its user holds the lock of the database."""

    def __init__(
        self,
        directory: Path,
        limit_bytes: int,
        free_floor_bytes: int | None,
        read_pins: Callable[[], AbstractSet[str]],
        tell: Callable[[str], None],
    ) -> None:
        """As `rcfs.store.ContentCache.open`; `read_pins` gives the pinned keys, `tell` gets each problem."""
        if free_floor_bytes is None:
            free_floor_bytes = min(
                _FREE_FLOOR_BYTES, int(shutil.disk_usage(directory).total * _FREE_FLOOR_SHARE)
            )
        self.limit_bytes = limit_bytes
        """The cap of all files in the directory."""
        self.evictions = 0
        """Contents that this process has evicted to make room."""
        self._directory = directory
        self._floor_bytes = free_floor_bytes
        self._read_pins = read_pins
        self._tell = tell

    def admits(self, size_bytes: int) -> bool:
        """Whether a content of this size fits under the cap; if not, that is reported."""
        if size_bytes < self.limit_bytes:
            return True
        self._tell_too_large()
        return False

    def make(self, table: ChunkTable, key: ContentKey, values: Mapping[int, Value]) -> bool:
        """Evict whole other contents until `values` of `key`, by index, fit; whether they fit now."""
        needed_bytes = file_bytes(payload for _name, payload in values.values())
        before_bytes = max(0, *values) * allocated_bytes(HEADER_BYTES + CHUNK_BYTES)
        overhead_bytes = table.overhead_bytes()
        if before_bytes + needed_bytes > self._room_bytes(overhead_bytes):
            # It can never be cached whole, so no other content is evicted for it, and its beginning is
            # removed.
            table.discard_content(str(key))
            self._tell_too_large()
            return False
        return self._make_for(table, {str(key)}, needed_bytes, overhead_bytes)

    def make_for(self, table: ChunkTable, contents: AbstractSet[str], needed_bytes: int) -> bool:
        """Evict whole contents other than `contents` until `needed_bytes` fit; whether they fit now."""
        return self._make_for(table, contents, needed_bytes, table.overhead_bytes())

    def _make_for(
        self, table: ChunkTable, contents: AbstractSet[str], needed_bytes: int, overhead_bytes: int
    ) -> bool:
        """As `make_for`; `overhead_bytes` is that of the table now."""
        if needed_bytes > self._room_bytes(overhead_bytes):
            return False
        missing = self._missing_bytes(table.value_bytes() + overhead_bytes, needed_bytes)
        if missing <= 0:
            return True
        table.write_uses()
        pins = self._read_pins()
        while missing > 0:
            coldest = table.coldest_content(besides=pins | contents)
            if coldest is None:
                break
            missing -= table.discard_content(*coldest)
            self.evictions += 1
        # Checked again, because the space of a file that is open becomes free only when it is closed.
        if self._missing_bytes(used_bytes(table), needed_bytes) > 0:
            unpin = ", or unpin contents" if pins else ""
            self._tell(
                f"the cache in {self._directory} is full, so rcfs does not cache what it fetches;"
                f" free disk space, raise --cache-size{unpin}"
            )
            return False
        return True

    def _room_bytes(self, overhead_bytes: int) -> int:
        """Bytes that all value files together may take."""
        return self.limit_bytes - overhead_bytes - _GROWTH_BYTES

    def _missing_bytes(self, used_bytes: int, needed_bytes: int) -> int:
        """Bytes to evict before `needed_bytes` fit beside `used_bytes`; 0 or less if they fit now."""
        over_cap = used_bytes + _GROWTH_BYTES + needed_bytes - self.limit_bytes
        # Otherwise the commit may fail on a full disk, after contents were evicted for nothing.
        needed_free = self._floor_bytes + _GROWTH_BYTES + needed_bytes
        under_floor = needed_free - shutil.disk_usage(self._directory).free
        return max(over_cap, under_floor)

    def _tell_too_large(self) -> None:
        self._tell(
            f"a content is larger than the limit of the cache in {self._directory}, so rcfs does not cache"
            " it; raise --cache-size"
        )


def file_bytes(payloads: Iterable[bytes | bytearray]) -> int:
    """Bytes on the disk of value files with these payloads."""
    return sum(allocated_bytes(HEADER_BYTES + len(payload)) for payload in payloads)


def used_bytes(table: ChunkTable) -> int:
    """Bytes that all files of the cache directory take on the disk."""
    return table.value_bytes() + table.overhead_bytes()
