"""One content as the cache returns it, and how it is put together from checked values."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Literal

import attrs

from rcfs.model import CHUNK_BYTES, ContentKey
from rcfs.store._keys import INFO_INDEX, parse_value_key, value_key, with_info
from rcfs.store._table import ChunkTable, Entry, Value
from rcfs.store._value import MOST_KEY_BYTES, Chunk, DamagedValueError, UncheckedChunk

CHECKED_AT_ONCE = 4
"""Chunks of a content that are checked when it is loaded. It takes about 1.5 ms per chunk (measured 2026-11),
so in a longer content each chunk is checked before its first read."""


@attrs.frozen
class ContentInfo:
    """Size and type of a content."""

    size_bytes: int = attrs.field(validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)])
    """Exact size in bytes, at least 0."""
    content_type: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    """Media type; empty when unknown."""

    def chunk_length(self, index: int) -> int:
        """Bytes of the chunk `index`; 0 or less if it lies beyond the end."""
        return min(CHUNK_BYTES, self.size_bytes - index * CHUNK_BYTES)

    @property
    def chunk_count(self) -> int:
        """Number of chunks of the whole content; 0 for an empty content."""
        return -(-self.size_bytes // CHUNK_BYTES)

    def to_json(self) -> str:
        """The info as JSON; `from_json` is the inverse."""
        return json.dumps({"content_type": self.content_type, "size_bytes": self.size_bytes})

    @classmethod
    def from_json(cls, data: str | bytes) -> "ContentInfo":
        """The info from the JSON of `to_json`.

        Raises:
            ValueError, TypeError: `data` is not such JSON.
        """
        return cls(**json.loads(data))


@attrs.frozen(eq=False)
class StoredContent:
    """The cached part of a content, open until `close`."""

    info: ContentInfo | None
    """None if the size of the content is not known yet."""
    chunks: Mapping[int, Chunk]
    """Checked chunks by index: chunk i holds the bytes from ``i * CHUNK_BYTES`` on. All but the last are
    full."""
    unchecked: Mapping[int, UncheckedChunk] = attrs.field(factory=dict)
    """Chunks whose bytes were not read yet, by index; see `ContentCache.check`."""

    @property
    def prefix_bytes(self) -> int:
        """Number of bytes from the first one up to the first gap."""
        total = 0
        for index in range(len(self.chunks) + len(self.unchecked)):
            chunk = self.chunks.get(index) or self.unchecked.get(index)
            if chunk is None:
                break
            total += chunk.length_bytes
        return total

    @property
    def complete(self) -> bool:
        """Whether the size is known and every byte is there, assuming that unchecked chunks are good."""
        return self.info is not None and self.prefix_bytes == self.info.size_bytes

    def close(self) -> None:
        """Close all chunks, also those that are in use elsewhere."""
        for chunk in self.chunks.values():
            chunk.close()
        for unchecked in self.unchecked.values():
            unchecked.close()


class MisplacedValueError(DamagedValueError):
    """A row leads to the file of another key; the file may be good."""


def held_indices(table: ChunkTable, key: ContentKey) -> set[int]:
    """The indices of the values that have a row; their files are not opened."""
    return {index for index, _entry in _indexed(table.entries(str(key)), key) if index is not None}


def read_info(table: ChunkTable, key: ContentKey) -> ContentInfo | None:
    """The info of a content; None if it is missing or damaged. One with a chunk is not checked."""
    name = value_key(str(key), INFO_INDEX)
    entry = table.entry(name)
    try:
        if entry is not None:
            return _to_info(_open_entry(table, entry, name).check())
        info = read_info_of_chunk(table, key)
        return ContentInfo.from_json(info) if info else None
    except (OSError, DamagedValueError, ValueError, TypeError):
        return None


def read_info_of_chunk(table: ChunkTable, key: ContentKey) -> str:
    """The info, as JSON, in the file of the first chunk; empty without one. It is not checked.

    Raises:
        OSError: The file cannot be opened.
        DamagedValueError: Its header is not as it was written, or belongs to another key.
    """
    name = value_key(str(key), 0)
    entry = table.entry(name)
    if entry is None:
        return ""
    chunk = _open_entry(table, entry, name)
    chunk.close()
    return chunk.info


def presence(table: ChunkTable, key: ContentKey) -> Literal["yes", "partial", "no"]:
    """How much of a content has rows; see `ContentCache.contains`."""
    held = held_indices(table, key)
    info = read_info(table, key) if held else None
    if info is not None and held.issuperset(range(info.chunk_count)):
        return "yes"
    return "partial" if held - {INFO_INDEX} else "no"


def load_content(table: ChunkTable, key: ContentKey) -> tuple[StoredContent, int]:
    """The cached part of a content, and the number of its values that were damaged and removed.

    A value that cannot be opened for lack of descriptors is left out, and stays in the cache.
    """
    info: ContentInfo | None = None
    found: dict[int, UncheckedChunk] = {}
    chunks: dict[int, Chunk] = {}
    opened: dict[int, Entry] = {}
    damaged: list[Entry] = []
    misplaced: list[Entry] = []
    for index, entry in _indexed(table.entries(str(key)), key):
        try:
            if index is None:
                raise MisplacedValueError("the row belongs to another content")
            chunk = _open_entry(table, entry, value_key(str(key), index))
            if index == INFO_INDEX:
                info = _to_info(chunk.check())
            else:
                found[index], opened[index] = chunk, entry
        except FileNotFoundError:
            table.forget(entry)  # Evicted by another process since the row was read, or lost.
        except MisplacedValueError:
            misplaced.append(entry)
        except DamagedValueError:
            damaged.append(entry)
        except OSError:
            continue
    if misplaced:
        lost = [entry for entry in misplaced if not table.restore(entry)]
        for entry in damaged:
            table.forget(entry)
        StoredContent(info, {}, found).close()
        stored, more = load_content(table, key)
        return stored, len(lost) + len(damaged) + more
    has_inner_info = info is None and 0 in found and bool(found[0].info)
    if has_inner_info:
        with suppress(ValueError, TypeError):
            info = ContentInfo.from_json(found[0].info)
    last = max(found, default=0)
    at_once = len(found) <= CHECKED_AT_ONCE
    for index, entry in opened.items():
        if not _fits(index, found[index].length_bytes, info, last):
            found.pop(index).close()
            damaged.append(entry)
        elif at_once:
            try:
                chunks[index] = found.pop(index).check()
            except DamagedValueError:
                damaged.append(entry)
    for entry in damaged:
        table.forget(entry)
    if has_inner_info and 0 not in chunks:
        info = None
    return StoredContent(info, chunks, found), len(damaged)


def verify_content(table: ChunkTable, key: ContentKey) -> tuple[int | None, int]:
    """(size in bytes, number of damaged values) of a content after reading and checking every byte of it.

    The size is None unless the content is whole. Damaged values are removed.
    """
    stored, damaged = load_content(table, key)
    try:
        size_bytes = None if stored.info is None or not stored.complete else stored.info.size_bytes
        for index, unchecked in stored.unchecked.items():
            try:
                unchecked.check().close()
            except DamagedValueError:
                damaged += 1
                forget_damaged(table, value_key(str(key), index), unchecked.name)
    finally:
        stored.close()
    return (None if damaged else size_bytes), damaged


def forget_damaged(table: ChunkTable, name: str, filename: str) -> None:
    """Remove the value `name`, whose file `filename` is damaged, unless it has another file now."""
    entry = table.entry(name)
    if entry is not None and entry.filename == filename:
        table.forget(entry)


def values_of(
    table: ChunkTable, key: ContentKey, chunks: Mapping[int, bytes | bytearray], info: ContentInfo | None
) -> Mapping[int, Value]:
    """The values that store `chunks`, by index, and `info`, each with its key; within a transaction.

    The info of a content that has one chunk is stored with that: a file costs more than all else of a small
    content, 0.17 ms of CPU time and a block of 4 KiB (measured 2026-11).
    """
    values: dict[int, Value] = {index: (value_key(str(key), index), data) for index, data in chunks.items()}
    text = "" if info is None else info.to_json()
    if 0 in chunks and info is None:
        with suppress(OSError, DamagedValueError):
            text = read_info_of_chunk(table, key)  # The file that has it is about to be replaced.
    elif info is not None and info.chunk_count == 1 and 0 in chunks and len(chunks[0]) == info.size_bytes:
        whole = with_info(values[0][0], text)
        # An info of its own would win.
        if len(whole.encode()) <= MOST_KEY_BYTES and table.entry(value_key(str(key), INFO_INDEX)) is None:
            return {0: (whole, chunks[0])}
    if text:
        values[INFO_INDEX] = value_key(str(key), INFO_INDEX), text.encode()
    return values


def _indexed(entries: Iterable[Entry], key: ContentKey) -> list[tuple[int | None, Entry]]:
    """The entries with their indices, the info first; the index is None for values of another key."""
    indexed: list[tuple[int | None, Entry]] = []
    for entry in entries:
        content, index = parse_value_key(entry.key) or ("", INFO_INDEX)
        indexed.append((index if content == str(key) else None, entry))
    return sorted(indexed, key=lambda pair: INFO_INDEX if pair[0] is None else pair[0])


def _open_entry(table: ChunkTable, entry: Entry, name: str) -> UncheckedChunk:
    """The unchecked value of `entry`, whose key must be `name`.

    Raises:
        OSError: It cannot be opened.
        DamagedValueError: It is not as it was written, or belongs to another key.
    """
    try:
        chunk = table.disk.open_unchecked(entry.mode, entry.filename)
    except TypeError as exc:
        raise DamagedValueError(str(exc)) from exc
    if chunk.key != name:
        chunk.close()
        raise MisplacedValueError(f"it belongs to {chunk.key}")
    return chunk


def _to_info(chunk: Chunk) -> ContentInfo:
    """The info in a value, which is then closed."""
    try:
        return ContentInfo.from_json(chunk.pread(0, chunk.length_bytes))
    except (ValueError, TypeError) as exc:
        raise DamagedValueError(str(exc)) from exc
    finally:
        chunk.close()


def _fits(index: int, length: int, info: ContentInfo | None, last: int) -> bool:
    """Whether a chunk of `length` bytes can be the chunk `index`, where `last` is the highest index."""
    if info is not None:
        return 0 < length == info.chunk_length(index)
    return length == CHUNK_BYTES or (index == last and 0 < length < CHUNK_BYTES)
