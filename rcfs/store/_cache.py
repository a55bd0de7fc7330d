"""The content cache: the bytes of attachments on the disk, checked, capped, and never worth an exception.

Concurrency: any thread may call any method. Writes go one at a time through a lock of this process and
then through SQLite's, which all processes share: within it room is made, the file written and its row
committed, so the cap holds between any two system calls. Reads take no lock at all.

Failures: once it is open, the cache never raises because of the disk or the database. What cannot be
read is not there, what cannot be written is not kept, and each reason is told once.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Literal

import attrs

from rcfs.errors import StoreError
from rcfs.model import CHUNK_BYTES, DEFAULT_CACHE_BYTES, ContentKey
from rcfs.private import reason_of
from rcfs.store._cache_database import Timeout
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
        free_floor_bytes: int | None,
        warn: Callable[[str], None],
    ) -> None:
        """See `open`, which is how to get one."""
        self._table = MendedTable(table, directory, warn, self._tell)
        self._directory = directory
        self._warn = warn
        self._pins = PinFile(directory)
        self._room = Room(directory, size_limit_bytes, free_floor_bytes, self._pins_now, self._tell)
        self.claims = Claims.open(directory)
        """What this process and others are fetching at the moment."""
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
            warn(f"{exc}; rcfs reads what it holds, but adds nothing")
        return cls(table, directory, size_limit_bytes, free_floor_bytes, warn)

    def load(self, key: ContentKey) -> StoredContent | None:
        """What is there of a content; None when nothing is. A short one is all read and checked.

        It counts as a use. A chunk that fails its check is removed and told; when there are no more
        descriptors, the result has the chunks for which there were. The caller closes the result.
        """
        stored, damaged = self._table.attempt(
            lambda table: load_content(table, key), (StoredContent(None, {}), 0)
        )
        if damaged:
            self._tell_damaged(damaged, key)
        with self._count_lock:
            self._hits += stored.complete
            self._misses += not stored.complete
        if stored.info is None and not stored.chunks and not stored.unchecked:
            return None
        self._table.attempt(lambda table: table.touch_content(str(key)), None)
        return stored

    def touch(self, key: ContentKey) -> bool:
        """Whether anything is there of a content, which is used just now; False when that cannot be told."""
        return self._table.attempt(lambda table: table.touch_content(str(key)), otherwise=False)

    def check(self, key: ContentKey, index: int, unchecked: UncheckedChunk) -> Chunk | None:
        """The chunk `index`, which `load` gave `unchecked`, after reading and checking every byte of it.

        None when it is damaged; it is then removed, and that is told. `unchecked` is used up.
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
            return open_value(paths[0], self._table.present.disk.seats)
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
        return self._room.admits(size_bytes)

    def spill(self) -> Spill:
        """A place on the cache's disk, but not in the cache, for a content that it cannot keep.

        Raises:
            OSError: There is none.
        """
        return Spill.create(self._directory)

    def drop(self, key: ContentKey) -> None:
        """Remove a content; chunks of it that are open stay readable."""
        with self._table.lock:
            self._table.attempt(lambda table: table.discard_content(str(key)), 0)

    def discard_messages(self, account_id: str, extension_id: int, message_ids: Iterable[int]) -> int:
        """How many bytes of disk were freed by removing the contents of these messages.

        Pinned contents stay: a pin says that they are kept on purpose, whoever set it.
        """
        prefixes = [f"{account_id}/{extension_id}/{message_id}" for message_id in message_ids]
        with self._table.lock:
            return self._table.attempt(
                lambda table: self._discard_below(table, prefixes, self._pins.read()), 0
            )

    def forget_account(self, account_id: str) -> int:
        """How many bytes of disk were freed by removing all contents of an account, and its pins.

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
        """How much of a content is there, as far as can be told without reading its chunks."""
        return self._table.attempt(lambda table: _presence(table, key), "no")

    def fingerprint(self, account_id: str, extension_id: int) -> str | None:
        """A digest of all that is there of a mailbox, not of the bytes; None when that cannot be told.

        Costs a second for 50,000 contents, so it is for worker threads.
        """
        prefix = f"{account_id}/{extension_id}"
        return self._table.attempt(lambda table: table.fingerprint_below(prefix), None)

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return self._directory

    def stats(self) -> CacheStats:
        """Size and use of the cache; costs about 1 ms for every 10,000 values."""
        nothing = (0, 0)
        size_bytes, contents = self._table.attempt(
            lambda table: (used_bytes(table), table.count_contents()), nothing
        )
        with self._count_lock:
            hits, misses = self._hits, self._misses
        return CacheStats(self._directory, size_bytes, self._room.limit_bytes, contents, hits, misses)

    def clear(self, *, pinned: bool = False) -> int:
        """How many bytes of disk were freed by removing all contents; open chunks stay readable.

        Pinned contents stay, unless `pinned`; the pins stay in any case.
        """
        with self._table.lock:
            return self._table.attempt(
                lambda table: table.empty(besides=() if pinned else self._pins.read()), 0
            )

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
        sizes = self._table.attempt(lambda table: table.sizes(), nothing)
        there = [size for tag, size in sizes.items() if tag in pins]
        return PinStats(len(pins), len(there), sum(there))

    def _pins_now(self) -> frozenset[str]:
        """The pins, for whoever holds the lock; lines that are damaged are told."""
        pins = self._pins.read()
        self._tell_lost_pins()
        return pins

    def _read_pins(self) -> frozenset[str]:
        nothing: frozenset[str] = frozenset()
        with self._table.lock:
            return self._table.attempt(lambda _table: self._pins_now(), nothing)

    def _change_pins(self, change: Callable[[AbstractSet[str]], AbstractSet[str]]) -> int:
        """By how many the number of pins has changed."""
        with self._table.lock:
            if self._table.present.read_only:
                raise StoreError(f"the cache in {self._directory} cannot be written")
            try:
                # The lock of the database, so that of two processes neither loses what the other pins.
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
        """End the use of the cache; chunks that are open stay readable."""
        self.claims.close()
        self._table.close()

    def _store(self, key: ContentKey, payloads: Mapping[int, bytes | bytearray]) -> Sequence[Path]:
        """The value files of `payloads`, by index of chunk or info, after storing them; or none of them."""
        with self._table.lock:
            if not self._table.is_writable:
                return ()
            return self._table.attempt(lambda table: self._store_in(table, key, payloads), ())

    def _store_in(
        self, table: ChunkTable, key: ContentKey, payloads: Mapping[int, bytes | bytearray]
    ) -> Sequence[Path]:
        table.disk.uncommitted.clear()
        values = [(value_key(str(key), index), payload) for index, payload in payloads.items()]
        try:
            with table.transact():
                if not self._room.make(table, key, payloads):
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
