"""The content cache: the bytes of attachments on the disk, checked, capped, and never worth an exception.

Concurrency: any thread may call any method. Writes go one at a time through a lock of this process and
then through SQLite's, which all processes share: within it room is made, the file written and its row
committed, so the cap holds between any two system calls. Reads take no lock at all.

Failures: once it is open, the cache never raises because of the disk or the database. What cannot be
read is not there, what cannot be written is not kept, and each reason is told once.
"""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal, TypeVar

import attrs

from rcfs.errors import StoreError
from rcfs.model import CHUNK_BYTES, DEFAULT_CACHE_BYTES, ContentKey
from rcfs.private import reason_of
from rcfs.store._cache_database import ODD_SETTINGS, Timeout
from rcfs.store._cache_opening import open_read_only, open_table
from rcfs.store._claims import Claims
from rcfs.store._content import (
    ContentInfo,
    StoredContent,
    forget_damaged,
    held_indices,
    load_content,
    read_info,
)
from rcfs.store._keys import INFO_INDEX, value_key
from rcfs.store._pins import PinFile
from rcfs.store._spill import Spill
from rcfs.store._sqlite import first_error, is_damage
from rcfs.store._table import ChunkTable
from rcfs.store._value import (
    HEADER_BYTES,
    Chunk,
    DamagedValueError,
    UncheckedChunk,
    allocated_bytes,
    open_value,
)

T = TypeVar("T")

_FREE_FLOOR_BYTES = 1 << 30
_FREE_FLOOR_SHARE = 0.05
"""What is left free on the disk for others: 1 GiB, with which a system and its desktop still work normally,
or, where that would be much, 5 %, which is what ext4 holds back for root."""

_GROWTH_BYTES = 256 << 10
"""What database and log may grow by in one write, in bytes: the log's 64 pages, once over."""

_LOCKED_PAUSE_S = 10.0
"""After a lock was not had in time nothing is written for so long, in seconds: else each chunk of a large
content would wait again for a process that was stopped while it held the lock."""
_RECOVERY_INTERVAL_S = 60.0
"""At most one attempt to mend the database in so many seconds: on a failing disk there is no end to it."""


@attrs.frozen
class CacheStats:
    """The cache at one moment."""

    directory: Path
    """Where it lies."""
    size_bytes: int
    """What it takes on the disk, its database included."""
    limit_bytes: int
    """The cap of `size_bytes`."""
    contents: int
    """Contents of which at least something is there; those of other processes included."""
    hits: int
    """Loads since it was opened, by this object, that found the whole content."""
    misses: int
    """Loads since it was opened, by this object, that did not."""


@attrs.frozen
class PinStats:
    """The pinned contents at one moment."""

    contents: int
    """How many contents are pinned."""
    cached: int
    """Of how many of them at least something is there."""
    size_bytes: int
    """What those take on the disk."""


class ContentCache:
    """The cache of one directory; several objects and processes may share a directory."""

    def __init__(
        self,
        table: ChunkTable,
        directory: Path,
        size_limit_bytes: int,
        free_floor_bytes: int,
        warn: Callable[[str], None],
    ) -> None:
        """See `open`, which is how to get one."""
        self._table = table
        self._directory = directory
        self._limit_bytes = size_limit_bytes
        self._floor_bytes = free_floor_bytes
        self._warn = warn
        self._pins = PinFile(directory)
        self.claims = Claims.open(directory)
        """What this process and others are fetching at the moment."""
        self._lock = threading.RLock()
        self._count_lock = threading.Lock()
        self._told: set[str] = set()
        self._hits = 0
        self._misses = 0
        self._locked_until_s = 0.0
        self._recover_from_s = 0.0

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        size_limit_bytes: int = DEFAULT_CACHE_BYTES,
        free_floor_bytes: int | None = None,
        warn: Callable[[str], None],
    ) -> "ContentCache":
        """The cache in `directory`, which is created when missing (mode 0700, files 0600).

        A damaged or foreign database is moved aside, and made anew from the chunks that are there. When
        the directory or disk has become read-only or full, what is there can still be read.

        Args:
            directory: Where the cache lies or shall lie.
            size_limit_bytes: Cap in bytes of all that lies in there. Database and log need some of it, at
                most about 1 MiB at first, and 0.5 KiB per value.
            free_floor_bytes: How much of the disk is left free in bytes; None for the smaller of 1 GiB
                and 5 % of the disk.
            warn: Gets one line, now and later, for each thing that a person should know; any thread.

        Raises:
            StoreError: The directory cannot be created or written, and holds nothing to read.
        """
        directory = directory.absolute()
        try:
            table = open_table(directory, warn)
        except StoreError as exc:
            try:
                table = open_read_only(directory)
            except StoreError:
                raise exc from None
            warn(f"{exc}; what is in it will be read, but nothing added")
        if free_floor_bytes is None:
            disk_bytes = shutil.disk_usage(directory).total
            free_floor_bytes = min(_FREE_FLOOR_BYTES, int(disk_bytes * _FREE_FLOOR_SHARE))
        return cls(table, directory, size_limit_bytes, free_floor_bytes, warn)

    def load(self, key: ContentKey) -> StoredContent | None:
        """What is there of a content; None when nothing is. A short one is all read and checked.

        It counts as a use. A chunk that fails its check is removed and told; when there are no more
        descriptors, the result has the chunks for which there were. The caller closes the result.
        """
        stored, damaged = self._attempt(lambda table: load_content(table, key), (StoredContent(None, {}), 0))
        if damaged:
            self._tell_damaged(damaged, key)
        with self._count_lock:
            self._hits += stored.complete
            self._misses += not stored.complete
        if stored.info is None and not stored.chunks and not stored.unchecked:
            return None
        self._attempt(lambda table: table.touch_content(str(key)), None)
        return stored

    def touch(self, key: ContentKey) -> bool:
        """Whether anything is there of a content, which is used just now; False when that cannot be told."""
        return self._attempt(lambda table: table.touch_content(str(key)), otherwise=False)

    def check(self, key: ContentKey, index: int, unchecked: UncheckedChunk) -> Chunk | None:
        """The chunk `index`, which `load` gave `unchecked`, after reading and checking every byte of it.

        None when it is damaged; it is then removed, and that is told. `unchecked` is used up.
        """
        try:
            return unchecked.check()
        except DamagedValueError:
            name = value_key(str(key), index)
            self._attempt(lambda table: forget_damaged(table, name, unchecked.name), None)
            self._tell_damaged(1, key)
            return None

    def put_chunk(
        self, key: ContentKey, index: int, data: bytes | bytearray, info: ContentInfo | None = None
    ) -> Chunk | None:
        """The chunk after storing it, open for reading; None when it could not be stored.

        It is there for good when this returns, but for a power cut, or not at all; so is `info` with it.

        Args:
            key: The content.
            index: The chunk holds the content's bytes from ``index * CHUNK_BYTES`` on; at least 0.
            data: CHUNK_BYTES bytes, or for the last chunk 1 to CHUNK_BYTES; nobody changes them meanwhile. A
                chunk already there is replaced.
            info: What is known of the content, in place of what was; None to leave that.

        Raises:
            ValueError: `index` or the length of `data` is out of bounds.
        """
        if index < 0 or not 0 < len(data) <= CHUNK_BYTES:
            raise ValueError(f"chunk {index} with {len(data)} bytes is out of bounds")
        payloads = {index: data} if info is None else {index: data, INFO_INDEX: info.to_bytes()}
        paths = self._store(key, payloads)
        if not paths:
            return None
        try:
            return open_value(paths[0], self._table.disk.seats)
        except FileNotFoundError:
            return None  # Another process dropped or evicted it meanwhile.
        except OSError as exc:
            self._tell(f"chunks of the cache cannot be opened: {reason_of(exc)}")
            return None

    def put_info(self, key: ContentKey, info: ContentInfo) -> bool:
        """Whether `info` could be stored as what is known of the content, in place of what was."""
        return bool(self._store(key, {INFO_INDEX: info.to_bytes()}))

    def admits(self, size_bytes: int) -> bool:
        """Whether a content of so many bytes may fit at all; when it does not, that is told once."""
        if size_bytes < self._limit_bytes:
            return True
        self._tell_too_large()
        return False

    def spill(self) -> Spill:
        """A place on the cache's disk, but not in the cache, for a content that it cannot keep.

        Raises:
            OSError: There is none.
        """
        return Spill.create(self._directory)

    def drop(self, key: ContentKey) -> None:
        """Remove a content; chunks of it that are open stay readable."""
        with self._lock:
            self._attempt(lambda table: table.discard_content(str(key)), 0)

    def discard_messages(self, account_id: str, extension_id: int, message_ids: Iterable[int]) -> int:
        """How many bytes of disk were freed by removing the contents of these messages.

        Pinned contents stay: a pin says that they are kept on purpose, whoever set it.
        """
        prefixes = [f"{account_id}/{extension_id}/{message_id}" for message_id in message_ids]
        with self._lock:
            return self._attempt(lambda table: self._discard_below(table, prefixes, self._pins.read()), 0)

    def forget_account(self, account_id: str) -> int:
        """How many bytes of disk were freed by removing all contents of an account, and its pins.

        Raises:
            StoreError: The directory cannot be written.
        """
        self._change_pins(lambda pins: {key for key in pins if not key.startswith(f"{account_id}/")})
        with self._lock:
            return self._attempt(lambda table: self._discard_below(table, [account_id]), 0)

    @staticmethod
    def _discard_below(
        table: ChunkTable, prefixes: Iterable[str], spared: AbstractSet[str] = frozenset()
    ) -> int:
        tags = [tag for prefix in prefixes for tag in table.tags_below(prefix) if tag not in spared]
        return sum(map(table.discard_content, tags))

    def contains(self, key: ContentKey) -> Literal["yes", "partial", "no"]:
        """How much of a content is there, as far as can be told without reading its chunks."""
        return self._attempt(lambda table: _presence(table, key), "no")

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return self._directory

    def stats(self) -> CacheStats:
        """Size and use of the cache; costs about 1 ms for every 10,000 values."""
        nothing = (0, 0)
        size_bytes, contents = self._attempt(
            lambda table: (_used_bytes(table), table.count_contents()), nothing
        )
        with self._count_lock:
            hits, misses = self._hits, self._misses
        return CacheStats(self._directory, size_bytes, self._limit_bytes, contents, hits, misses)

    def clear(self, *, pinned: bool = False) -> int:
        """How many bytes of disk were freed by removing all contents; open chunks stay readable.

        Pinned contents stay, unless `pinned`; the pins stay in any case.
        """
        with self._lock:
            return self._attempt(lambda table: table.empty(besides=() if pinned else self._pins.read()), 0)

    def pin(self, keys: Iterable[ContentKey]) -> int:
        """How many of `keys` were not pinned before: from now on none of them is evicted.

        It holds for all processes that use the directory, also for contents that are yet to come.

        Raises:
            StoreError: The directory cannot be written.
        """
        return self._change_pins(lambda pins: pins | set(map(str, keys)))

    def unpin(self, keys: Iterable[ContentKey]) -> int:
        """How many of `keys` were pinned: from now on they are evicted like all others.

        Raises:
            StoreError: The directory cannot be written.
        """
        return self._change_pins(lambda pins: pins - set(map(str, keys)))

    def pins(self) -> frozenset[ContentKey]:
        """The contents that are pinned."""
        return frozenset(map(ContentKey.parse, self._read_pins()))

    def pin_stats(self) -> PinStats:
        """How much is pinned; costs about 1 ms for every 1,000 contents."""
        pins = self._read_pins()
        nothing: dict[object, int] = {}
        sizes = self._attempt(lambda table: table.sizes(), nothing)
        there = [size for tag, size in sizes.items() if tag in pins]
        return PinStats(len(pins), len(there), sum(there))

    def _read_pins(self) -> frozenset[str]:
        nothing: frozenset[str] = frozenset()
        with self._lock:
            pins = self._attempt(lambda _table: self._pins.read(), nothing)
            self._tell_lost_pins()
            return pins

    def _change_pins(self, change: Callable[[AbstractSet[str]], AbstractSet[str]]) -> int:
        """By how many the number of pins has changed."""
        with self._lock:
            if self._table.read_only:
                raise StoreError(f"the cache in {self._directory} cannot be written")
            try:
                # The lock of the database, so that of two processes neither loses what the other pins.
                with self._table.session(), self._table.transact():
                    before = self._pins.read()
                    self._tell_lost_pins()
                    after = change(before)
                    if after != before:
                        self._pins.write(after)
                    return abs(len(after) - len(before))
            except (Timeout, sqlite3.Error, OSError) as exc:
                raise StoreError(
                    f"the pins in {self._directory} cannot be changed: {reason_of(exc)}"
                ) from exc

    def close(self) -> None:
        """End the use of the cache; chunks that are open stay readable."""
        self.claims.close()
        with self._lock:
            self._table.dispose()

    def _store(self, key: ContentKey, payloads: Mapping[int, bytes | bytearray]) -> Sequence[Path]:
        """The value files of `payloads`, by index of chunk or info, after storing them; or none of them."""
        with self._lock:
            if self._table.read_only or time.monotonic() < self._locked_until_s:
                return ()
            return self._attempt(lambda table: self._store_in(table, key, payloads), ())

    def _store_in(
        self, table: ChunkTable, key: ContentKey, payloads: Mapping[int, bytes | bytearray]
    ) -> Sequence[Path]:
        table.disk.uncommitted.clear()
        values = [(value_key(str(key), index), payload) for index, payload in payloads.items()]
        try:
            with table.transact():
                if not self._make_room(table, key, payloads):
                    return ()
                try:
                    replaced = table.write(values, tag=str(key))
                except FileNotFoundError:
                    raise  # The whole directory has gone away: that can be mended.
                except OSError as exc:
                    # Not passed on: what was evicted to make room is gone, and must be committed as such.
                    self._tell(f"the cache in {self._directory} cannot be written: {reason_of(exc)}")
                    return ()
        except sqlite3.Error:
            table.disk.remove_uncommitted()
            raise
        for filename in replaced:
            table.disk.remove(filename)
        return [table.disk.path(name) for name in table.disk.uncommitted]

    def _make_room(
        self, table: ChunkTable, key: ContentKey, payloads: Mapping[int, bytes | bytearray]
    ) -> bool:
        """Whether `payloads` may be written now for `key`; evicts whole other contents until so."""
        needed_bytes = sum(allocated_bytes(HEADER_BYTES + len(payload)) for payload in payloads.values())
        overhead_bytes = table.overhead_bytes()
        room_bytes = self._limit_bytes - overhead_bytes - _GROWTH_BYTES
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
        pins = self._pins.read()
        self._tell_lost_pins()
        while missing > 0:
            coldest = table.coldest_content(besides=pins | {str(key)})
            if coldest is None:
                break
            missing -= table.discard_content(*coldest)
        # Asked again, because a file that is open somewhere gives its room back only when it is closed.
        if self._missing_bytes(_used_bytes(table), needed_bytes) > 0:
            pinned = ", or what fills it is pinned" if pins else ""
            self._tell(
                f"there is no room for the cache in {self._directory}: the disk is full, or the cap too small"
                + pinned
            )
            return False
        return True

    def _missing_bytes(self, used_bytes: int, needed_bytes: int) -> int:
        """How many bytes must go before `needed_bytes` may be added to `used_bytes`; 0 or less when none."""
        over_cap = used_bytes + _GROWTH_BYTES + needed_bytes - self._limit_bytes
        # A commit that fails for want of room would have evicted for nothing.
        needed_free = self._floor_bytes + _GROWTH_BYTES + needed_bytes
        under_floor = needed_free - shutil.disk_usage(self._directory).free
        return max(over_cap, under_floor)

    def _attempt(self, work: Callable[[ChunkTable], T], otherwise: T) -> T:
        """The result of `work`, or `otherwise` when the database fails and cannot be mended either."""
        remedies = iter((self._reopen, self._rebuild))
        while True:
            table = self._table
            try:
                with table.session():
                    try:
                        return work(table)
                    except (sqlite3.Error, OSError, *ODD_SETTINGS):
                        table.abandon()
                        raise
            except Timeout:
                self._locked_until_s = time.monotonic() + _LOCKED_PAUSE_S
                self._tell(f"the cache in {self._directory} is locked by another process, or its disk fails")
                return otherwise
            except (sqlite3.Error, OSError, *ODD_SETTINGS) as exc:
                error = first_error(exc)
            remedy = next(remedies, None)
            if remedy is None or not _may_be_mended(error) or not remedy(table, error):
                self._tell(f"the cache in {self._directory} fails: {reason_of(error)}")
                return otherwise

    def _reopen(self, broken: ChunkTable, _error: Exception) -> bool:
        """Open the database anew, rebuilt if need be; whether there is another one than `broken` now."""
        with self._lock:
            if self._table is not broken:
                return True
            if time.monotonic() < self._recover_from_s:
                return False
            self._recover_from_s = time.monotonic() + _RECOVERY_INTERVAL_S
            return self._replace(broken, fault=None)

    def _rebuild(self, broken: ChunkTable, error: Exception) -> bool:
        """The same, when opening it anew did not help: the schema may contradict nothing but us."""
        with self._lock:
            return self._table is not broken or self._replace(broken, fault=reason_of(error))

    def _replace(self, broken: ChunkTable, fault: str | None) -> bool:
        try:
            self._table = open_table(self._directory, self._warn, thorough=True, fault=fault)
        except StoreError:
            return False
        broken.dispose()
        return True

    def _tell_too_large(self) -> None:
        self._tell(f"a content is larger than the cap of the cache in {self._directory}, so it is not kept")

    def _tell_lost_pins(self) -> None:
        if self._pins.damaged:
            lines = ", ".join(map(repr, self._pins.damaged[:5]))
            self._tell(
                f"{len(self._pins.damaged)} lines of {self._pins.path} are damaged, so what they pinned may"
                f" be evicted; pin it again: {lines}"
            )

    def _tell_damaged(self, count: int, key: ContentKey) -> None:
        self._warn(f"the cache held {count} damaged chunks of {key}; they will be fetched again")

    def _tell(self, text: str) -> None:
        with self._count_lock:
            known = text in self._told
            self._told.add(text)
        if not known:
            self._warn(text)


def _presence(table: ChunkTable, key: ContentKey) -> Literal["yes", "partial", "no"]:
    held = held_indices(table, key)
    info = read_info(table, key) if INFO_INDEX in held else None
    if info is not None and held.issuperset(range(info.chunk_count)):
        return "yes"
    return "partial" if held - {INFO_INDEX} else "no"


def _used_bytes(table: ChunkTable) -> int:
    return table.value_bytes() + table.overhead_bytes()


def _may_be_mended(error: Exception) -> bool:
    """Whether opening the database anew may end `error`: damage, or files that were removed under us."""
    if isinstance(error, sqlite3.Error):
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        return is_damage(error) or code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)
    return isinstance(error, (FileNotFoundError, *ODD_SETTINGS))
