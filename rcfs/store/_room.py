"""Room for what the cache is about to hold: the cap, the free floor of the disk, and what goes for it."""

import shutil
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from rcfs.model import CHUNK_BYTES, ContentKey
from rcfs.store._table import ChunkTable
from rcfs.store._value import HEADER_BYTES, allocated_bytes

_FREE_FLOOR_BYTES = 1 << 30
_FREE_FLOOR_SHARE = 0.05
"""What is left free on the disk for others: 1 GiB, with which a system and its desktop still work normally,
or, where that would be much, 5 %, which is what ext4 holds back for root."""

_GROWTH_BYTES = 256 << 10
"""What database and log may grow by in one write, in bytes: the log's 64 pages, once over."""


class Room:
    """The room of one cache directory; used by whoever holds the lock of its database."""

    def __init__(
        self,
        directory: Path,
        limit_bytes: int,
        free_floor_bytes: int | None,
        read_pins: Callable[[], AbstractSet[str]],
        tell: Callable[[str], None],
    ) -> None:
        """As in `rcfs.store.ContentCache.open`; `read_pins` gives what must stay, `tell` hears of trouble."""
        if free_floor_bytes is None:
            free_floor_bytes = min(
                _FREE_FLOOR_BYTES, int(shutil.disk_usage(directory).total * _FREE_FLOOR_SHARE)
            )
        self.limit_bytes = limit_bytes
        """The cap of all that lies in the directory."""
        self._directory = directory
        self._floor_bytes = free_floor_bytes
        self._read_pins = read_pins
        self._tell = tell

    def admits(self, size_bytes: int) -> bool:
        """Whether a content of so many bytes may fit at all; when it does not, that is told."""
        if size_bytes < self.limit_bytes:
            return True
        self._tell_too_large()
        return False

    def make(self, table: ChunkTable, key: ContentKey, payloads: Mapping[int, bytes | bytearray]) -> bool:
        """Whether `payloads` may be written now for `key`; evicts whole other contents until so."""
        needed_bytes = sum(allocated_bytes(HEADER_BYTES + len(payload)) for payload in payloads.values())
        overhead_bytes = table.overhead_bytes()
        room_bytes = self.limit_bytes - overhead_bytes - _GROWTH_BYTES
        before_bytes = max(0, *payloads) * allocated_bytes(HEADER_BYTES + CHUNK_BYTES)
        if before_bytes + needed_bytes > room_bytes:
            # It can never be whole, so neither others are pushed out for it, nor its beginning kept.
            table.discard_content(str(key))
            self._tell_too_large()
            return False
        missing = self._missing_bytes(table.value_bytes() + overhead_bytes, needed_bytes)
        if missing <= 0:
            return True
        table.note_uses()
        pins = self._read_pins()
        while missing > 0:
            coldest = table.coldest_content(besides=pins | {str(key)})
            if coldest is None:
                break
            missing -= table.discard_content(*coldest)
        # Asked again, because a file that is open somewhere gives its room back only when it is closed.
        if self._missing_bytes(used_bytes(table), needed_bytes) > 0:
            pinned = ", or what fills it is pinned" if pins else ""
            self._tell(
                f"there is no room for the cache in {self._directory}: the disk is full, or the cap too small"
                + pinned
            )
            return False
        return True

    def _missing_bytes(self, used_bytes: int, needed_bytes: int) -> int:
        """How many bytes must go before `needed_bytes` may be added to `used_bytes`; 0 or less when none."""
        over_cap = used_bytes + _GROWTH_BYTES + needed_bytes - self.limit_bytes
        # A commit that fails for want of room would have evicted for nothing.
        needed_free = self._floor_bytes + _GROWTH_BYTES + needed_bytes
        under_floor = needed_free - shutil.disk_usage(self._directory).free
        return max(over_cap, under_floor)

    def _tell_too_large(self) -> None:
        self._tell(f"a content is larger than the cap of the cache in {self._directory}, so it is not kept")


def used_bytes(table: ChunkTable) -> int:
    """What all that lies in the cache directory takes on the disk."""
    return table.value_bytes() + table.overhead_bytes()
