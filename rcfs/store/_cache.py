"""The content cache: the bytes of attachments on the disk, checked when they are read, and capped.

Concurrency: any thread may call any method, except `lacks` and `use`, which are for one. A write takes a lock
of this process and then SQLite's lock, which all processes share. It makes room, writes the file and commits
its row within SQLite's lock, so the cap holds between any two system calls. Reads take no lock.

Failures: once it is open, the cache never raises because of the disk or the database. If it cannot read a
value, the value counts as missing; if it cannot write one, it does not keep it. Each reason is reported once.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal

from rcfs.errors import StoreError
from rcfs.filenames import CacheFiles
from rcfs.model import CHUNK_BYTES, DEFAULT_CACHE_BYTES, ContentKey
from rcfs.private import reason_of
from rcfs.store._cache_database import Timeout
from rcfs.store._cache_opening import open_read_only, open_table
from rcfs.store._cache_stats import CacheStats, PinStats
from rcfs.store._claims import Claims
from rcfs.store._content import (
    ContentInfo,
    StoredContent,
    forget_damaged,
    load_content,
    presence,
    values_of,
    verify_content,
)
from rcfs.store._glance import Glance
from rcfs.store._incoming import Incoming
from rcfs.store._keys import value_key
from rcfs.store._mended import MendedTable
from rcfs.store._pins import PinFile
from rcfs.store._room import Room, used_bytes
from rcfs.store._spill import Spill
from rcfs.store._table import ChunkTable
from rcfs.store._value import (
    Chunk,
    DamagedValueError,
    UncheckedChunk,
    open_value,
)

_MOST_WAITING_USES = 50
"""Uses that wait to be written, at most: `touch` writes them all, and so does the end of the process."""


class ContentCache:
    """The cache of one directory; several objects and processes may share a directory."""

    def __init__(
        self,
        table: ChunkTable,
        directory: Path,
        size_limit_bytes: int,
        free_floor_bytes: int | None,
        warn: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """Use `open` instead."""
        self._table = MendedTable(table, directory, warn, self._tell, clock)
        self._directory = directory
        self._warn = warn
        self._pins = PinFile(directory)
        self._room = Room(directory, size_limit_bytes, free_floor_bytes, self._pins_now, self._tell)
        self.claims = Claims.open(directory)
        """The contents that this process and others are fetching."""
        self._glance = Glance(CacheFiles(directory).database)
        self._count_lock = threading.Lock()
        self._told: set[str] = set()
        self._hits = 0
        self._misses = 0

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        size_limit_bytes: int = DEFAULT_CACHE_BYTES,
        free_floor_bytes: int | None = None,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> "ContentCache":
        """The cache in `directory`, which is created when missing (mode 0700, files 0600).

        A damaged or foreign database is moved aside, and a new one is built from the chunk files. If the
        directory or disk is read-only or full, the cache can still be read.

        Args:
            directory: Directory of the cache.
            size_limit_bytes: Cap in bytes of all files in the directory. Database and log need some of it, at
                most about 1 MiB at first, and 0.5 KiB per value.
            free_floor_bytes: Bytes of the disk that stay free; None for the smaller of 1 GiB and 5 % of the
                disk.
            warn: Gets one line for each problem, now and later, in any thread.
            clock: Seconds that never go back, for pauses after failures.
            wall_clock: Seconds since 1970 UTC, for the order in which contents are evicted.

        Raises:
            StoreError: The directory cannot be created or written, and holds nothing to read.
        """
        directory = directory.absolute()
        try:
            table = open_table(directory, warn, wall_clock)
        except StoreError as exc:
            try:
                table = open_read_only(directory, wall_clock)
            except StoreError:
                raise exc from None
            warn(f"{exc}; rcfs serves the contents in it, and adds none")
        return cls(table, directory, size_limit_bytes, free_floor_bytes, warn, clock)

    def load(self, key: ContentKey, *, counts: bool = True) -> StoredContent | None:
        """All cached chunks of a content; None if there is nothing. The chunks of a short one are checked.

        If it `counts`, it is a use. A chunk that fails its check is removed and reported. If the process runs
        out of descriptors, the result lacks chunks that could not be opened. The caller closes the result.
        """
        stored, damaged = self._table.attempt(
            lambda table: load_content(table, key), (StoredContent(None, {}), 0)
        )
        if damaged:
            self._tell_damaged(damaged, key)
        if counts:
            with self._count_lock:
                self._hits += stored.complete
                self._misses += not stored.complete
        if stored.info is None and not stored.chunks and not stored.unchecked:
            return None
        if counts:
            self._table.attempt(lambda table: table.touch_content(str(key)), None)
        return stored

    def lacks(self, key: ContentKey) -> bool:
        """Whether `load` would certainly find nothing, which counts as a miss; for the event loop.

        It waits for no lock, and takes 15 µs; `load` in a thread takes 0.3 ms (measured 2026-11).
        """
        if self._table.present.read_only or self._glance.has(str(key)) is not False:
            return False
        with self._count_lock:
            self._misses += 1
        return True

    def use(self, key: ContentKey) -> bool | None:
        """As `touch`, for the event loop; None if only `touch` can tell. Such uses are written later."""
        table = self._table.present
        if table.read_only or table.waiting_uses >= _MOST_WAITING_USES:
            return None
        has = self._glance.has(str(key))
        if has:
            table.note_use(str(key))
        return has

    def touch(self, key: ContentKey) -> bool:
        """Whether some of a content is there, which counts as a use; False if the database fails."""
        return self._table.attempt(lambda table: table.touch_content(str(key)), otherwise=False)

    def check(self, key: ContentKey, index: int, unchecked: UncheckedChunk) -> Chunk | None:
        """The chunk `index`, which `load` gave `unchecked`, after reading and checking every byte of it.

        A damaged one is removed and reported; the result is then None. `unchecked` is not usable afterwards.
        """
        try:
            return unchecked.check()
        except DamagedValueError:
            name = value_key(str(key), index)
            self._table.attempt(lambda table: forget_damaged(table, name, unchecked.name), None)
            self._tell_damaged(1, key)
            return None

    def put_chunk(
        self, key: ContentKey, index: int, data: bytes | bytearray, info: ContentInfo | None = None
    ) -> Chunk | None:
        """The chunk after storing it, open for reading; None if it could not be stored.

        Either chunk and `info` are both stored, and survive anything except a power cut, or neither is.

        Args:
            key: The content.
            index: The chunk holds the content's bytes from ``index * CHUNK_BYTES`` on; at least 0.
            data: CHUNK_BYTES bytes, or for the last chunk 1 to CHUNK_BYTES; nobody changes them meanwhile. A
                chunk already there is replaced.
            info: New info on the content; None to leave the present one.

        Raises:
            ValueError: `index` or the length of `data` is out of bounds.
        """
        if index < 0 or not 0 < len(data) <= CHUNK_BYTES:
            raise ValueError(f"chunk {index} with {len(data)} bytes is out of bounds")
        paths = self._store(key, {index: data}, info)
        if not paths:
            return None
        try:
            return open_value(paths[0], self._table.present.disk.seats)
        except FileNotFoundError:
            return None  # Another process has removed it meanwhile.
        except OSError as exc:
            self._tell(f"a new chunk in the cache cannot be opened: {reason_of(exc)}; rcfs does not cache it")
            return None

    def put_info(self, key: ContentKey, info: ContentInfo) -> bool:
        """Store `info` in place of the present one; whether that succeeded."""
        return bool(self._store(key, {}, info))

    def incoming(self) -> Incoming:
        """Puts whole contents into this cache."""
        return Incoming(self._table, self._room, self._tell, self.put_chunk, self.drop)

    def admits(self, size_bytes: int) -> bool:
        """Whether a content of this size fits under the cap; if not, that is reported once."""
        return self._room.admits(size_bytes)

    @property
    def evictions(self) -> int:
        """The number of contents that this process has evicted to make room; it only grows."""
        return self._room.evictions

    def spill(self) -> Spill:
        """A file on the cache's disk, but outside of the cache, for a content that the cache cannot keep.

        Raises:
            OSError: It cannot be created.
        """
        return Spill.create(self._directory)

    def drop(self, key: ContentKey) -> None:
        """Remove a content; its open chunks stay readable."""
        with self._table.lock:
            self._table.attempt(lambda table: table.discard_content(str(key)), 0)

    def discard_messages(self, account_id: str, extension_id: int, message_ids: Iterable[int]) -> int:
        """Remove the contents of these messages, except pinned ones.

        Returns:
            The bytes of disk that this freed.
        """
        prefixes = [f"{account_id}/{extension_id}/{message_id}" for message_id in message_ids]
        with self._table.lock:
            return self._table.attempt(
                lambda table: self._discard_below(table, prefixes, self._pins.read()), 0
            )

    def forget_account(self, account_id: str) -> int:
        """Remove all contents of an account, and its pins.

        Returns:
            The bytes of disk that this freed.

        Raises:
            StoreError: The directory cannot be written.
        """
        self._change_pins(lambda pins: {key for key in pins if not key.startswith(f"{account_id}/")})
        with self._table.lock:
            return self._table.attempt(lambda table: self._discard_below(table, [account_id]), 0)

    @staticmethod
    def _discard_below(
        table: ChunkTable, prefixes: Iterable[str], spared: AbstractSet[str] = frozenset()
    ) -> int:
        tags = [tag for prefix in prefixes for tag in table.tags_below(prefix) if tag not in spared]
        return sum(map(table.discard_content, tags))

    def contains(self, key: ContentKey) -> Literal["yes", "partial", "no"]:
        """How much of a content is there, judged without reading its chunks."""
        return self._table.attempt(lambda table: presence(table, key), "no")

    def verify(self, key: ContentKey) -> tuple[int | None, int]:
        """As `verify_content`, without counting as a use; (None, 0) if the database fails."""
        none: tuple[int | None, int] = (None, 0)
        size_bytes, damaged = self._table.attempt(lambda table: verify_content(table, key), none)
        if damaged:
            self._tell_damaged(damaged, key)
        return size_bytes, damaged

    def fingerprint(self, account_id: str, extension_id: int) -> str | None:
        """A digest of the names and sizes of all chunk files of a mailbox; None if the database fails.

        It takes a second for 50,000 contents, so it is for worker threads.
        """
        prefix = f"{account_id}/{extension_id}"
        return self._table.attempt(lambda table: table.fingerprint_below(prefix), None)

    @property
    def directory(self) -> Path:
        """Its directory."""
        return self._directory

    def stats(self) -> CacheStats:
        """Size and use of the cache, in about 1 ms for every 10,000 values."""
        size_bytes, contents = self._table.attempt(
            lambda table: (used_bytes(table), table.count_contents()), (0, 0)
        )
        with self._count_lock:
            hits, misses = self._hits, self._misses
        return CacheStats(self._directory, size_bytes, self._room.limit_bytes, contents, hits, misses)

    def clear(self, *, pinned: bool = False) -> int:
        """Remove all contents, pinned ones only if `pinned`; pins and open chunks stay.

        Returns:
            The bytes of disk that this freed.
        """
        with self._table.lock:
            return self._table.attempt(
                lambda table: table.empty(besides=() if pinned else self._pins.read()), 0
            )

    def pin(self, keys: Iterable[ContentKey]) -> int:
        """Pin `keys`: no process that uses the directory evicts them, now or when they are stored later.

        Returns:
            The number of keys that were not pinned before.

        Raises:
            StoreError: The directory cannot be written.
        """
        return self._change_pins(lambda pins: pins | set(map(str, keys)))

    def unpin(self, keys: Iterable[ContentKey]) -> int:
        """Unpin `keys`: they are evicted like all others again.

        Returns:
            The number of keys that were pinned before.

        Raises:
            StoreError: The directory cannot be written.
        """
        return self._change_pins(lambda pins: pins - set(map(str, keys)))

    def pins(self) -> frozenset[ContentKey]:
        """The pinned contents."""
        return frozenset(map(ContentKey.parse, self._read_pins()))

    def pin_stats(self) -> PinStats:
        """The number and size of the pinned contents, in about 1 ms for every 1,000 contents."""
        pins = self._read_pins()
        sizes = self._table.attempt(lambda table: table.sizes(), dict[object, int]())
        there = [size for tag, size in sizes.items() if tag in pins]
        return PinStats(len(pins), len(there), sum(there))

    def _pins_now(self) -> frozenset[str]:
        """The pins, after reporting damaged lines; the caller holds the lock."""
        pins = self._pins.read()
        if self._pins.damaged:
            lines = ", ".join(map(repr, self._pins.damaged[:5]))
            self._tell(
                f"{len(self._pins.damaged)} lines of {self._pins.path} are damaged, so their contents may be"
                f" evicted; pin them again: {lines}"
            )
        return pins

    def _read_pins(self) -> frozenset[str]:
        with self._table.lock:
            return self._table.attempt(lambda _table: self._pins_now(), frozenset[str]())

    def _change_pins(self, change: Callable[[AbstractSet[str]], AbstractSet[str]]) -> int:
        """Change the pins; the difference of their number before and after."""
        with self._table.lock:
            if self._table.present.read_only:
                raise StoreError(f"the pins in {self._directory} cannot be changed: the cache is read-only")
            try:
                # Within the database's lock, so that no process overwrites the pins of another.
                with self._table.present.session(), self._table.present.transact():
                    before = self._pins_now()
                    after = change(before)
                    if after != before:
                        self._pins.write(after)
                    return abs(len(after) - len(before))
            except (Timeout, sqlite3.Error, OSError) as exc:
                raise StoreError(
                    f"the pins in {self._directory} cannot be changed: {reason_of(exc)}"
                ) from exc

    def close(self) -> None:
        """Close the cache; open chunks stay readable."""
        self.claims.close()
        self._glance.close()
        if self._table.present.waiting_uses:
            self._table.attempt(lambda table: table.write_uses_now(), None)
        self._table.close()

    def _store(
        self, key: ContentKey, chunks: Mapping[int, bytes | bytearray], info: ContentInfo | None
    ) -> Sequence[Path]:
        """Store `chunks`, by index, and `info`; their value files, or none if storing failed."""
        with self._table.lock:
            if not self._table.is_writable:
                return ()
            return self._table.attempt(lambda table: self._store_in(table, key, chunks, info), ())

    def _store_in(
        self,
        table: ChunkTable,
        key: ContentKey,
        chunks: Mapping[int, bytes | bytearray],
        info: ContentInfo | None,
    ) -> Sequence[Path]:
        table.disk.uncommitted.clear()
        table.shorten_log()
        try:
            with table.transact():
                values = values_of(table, key, chunks, info)
                if not self._room.make(table, key, values):
                    return ()
                try:
                    replaced = table.write(list(values.values()))
                except FileNotFoundError:
                    raise  # The whole directory is gone: `MendedTable` can mend that.
                except OSError as exc:
                    # Not raised, because the transaction must commit that contents were evicted to make room.
                    self._tell(
                        f"the cache in {self._directory} cannot be written: {reason_of(exc)};"
                        " rcfs serves what it fetches, but does not cache it"
                    )
                    return ()
        except sqlite3.Error:
            table.disk.remove_uncommitted()
            raise
        for filename in replaced:
            table.disk.remove(filename)
        return [table.disk.path(name) for name in table.disk.uncommitted]

    def _tell_damaged(self, count: int, key: ContentKey) -> None:
        self._warn(f"damaged chunks of {key} in the cache: {count}; rcfs fetches them again")

    def _tell(self, text: str) -> None:
        with self._count_lock:
            known = text in self._told
            self._told.add(text)
        if not known:
            self._warn(text)
