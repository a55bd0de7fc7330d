"""Contents that come into the cache whole or not at all, and not by a fetch: out of an archive, for example.

Each content has been checked when it is put. Many small ones share a transaction: one of its own for each
would take longer than writing its file. A content too large for memory is put chunk by chunk under a name
that no reader asks for, and gets its own name when it is complete and checked; so no reader ever continues
unchecked bytes.

Concurrency: any thread may call any method of `Incoming`; a `Hidden` has one user. The cap holds as it does
for `ContentCache.put_chunk`, and a SIGKILL leaves no file uncounted.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import attrs

from rcfs.errors import NoRoomError
from rcfs.model import CHUNK_BYTES, ContentKey
from rcfs.private import reason_of
from rcfs.store._content import ContentInfo
from rcfs.store._keys import INFO_INDEX, value_key
from rcfs.store._mended import MendedTable
from rcfs.store._room import Room, file_bytes
from rcfs.store._table import ChunkTable, Value
from rcfs.store._value import Chunk, DamagedValueError

_MOST_VALUES: Final = 256
"""Files that one transaction writes at most: it then holds the lock for some 20 ms."""
_MOST_BYTES: Final = 8 << 20
"""Bytes that one transaction writes at most, besides its first content: some 20 ms, too."""


@attrs.frozen
class WholeContent:
    """A content with all its bytes."""

    key: ContentKey
    """The identity of the content."""
    data: bytes | bytearray = attrs.field(repr=False)
    """Its bytes, some MiB at most; nobody changes them until it is stored."""
    content_type: str = ""
    """Its media type; empty when unknown."""

    @property
    def value_count(self) -> int:
        """Number of value files that it takes: one for each chunk, and one for the info."""
        return 1 - (-len(self.data) // CHUNK_BYTES)

    def values(self) -> Iterator[Value]:
        """Its values."""
        name = str(self.key)
        info = ContentInfo(size_bytes=len(self.data), content_type=self.content_type)
        if len(self.data) <= CHUNK_BYTES:
            if self.data:
                yield value_key(name, 0), self.data
        else:
            view = memoryview(self.data)
            for index in range(info.chunk_count):
                start = index * CHUNK_BYTES
                yield value_key(name, index), bytes(view[start : start + CHUNK_BYTES])
        yield value_key(name, INFO_INDEX), info.to_json().encode()


@attrs.frozen
class _HiddenKey(ContentKey):
    """The name of a content in the cache that is not complete; no path of a content begins like it."""

    content: str
    """Path of the content."""

    kind = "incoming"


class Incoming:
    """Puts contents into one cache; see `ContentCache.incoming`."""

    def __init__(
        self,
        table: MendedTable,
        room: Room,
        tell: Callable[[str], None],
        put_chunk: Callable[[ContentKey, int, bytes, ContentInfo | None], Chunk | None],
        drop: Callable[[ContentKey], None],
    ) -> None:
        """Uses the parts of a cache."""
        self._table = table
        self._room = room
        self._tell = tell
        self.put_chunk = put_chunk
        self.drop = drop

    def put(self, contents: Sequence[WholeContent]) -> int:
        """Store contents in their order, in place of what the cache has of them.

        Returns:
            How many were stored. The cache takes no others now: it is full of pinned contents or locked, or
            its disk is full or fails.
        """
        stored, done = 0, 1
        with self._table.lock:
            while done and stored < len(contents) and self._table.is_writable:
                done = self._table.attempt(partial(self._put_some, contents[stored:]), 0)
                stored += done
        return stored

    def _put_some(self, contents: Sequence[WholeContent], table: ChunkTable) -> int:
        """Store the first contents in one transaction, as many as file names were committed for."""
        table.disk.uncommitted.clear()
        if contents[0].value_count > table.spare_count():
            table.reserve(contents[0].value_count)
        values: list[Value] = []
        stored = 0
        try:
            with table.transact():
                room = table.spare_count()
                size_bytes = 0
                for content in contents:
                    size_bytes += len(content.data)
                    if stored and (len(values) + content.value_count > room or size_bytes > _MOST_BYTES):
                        break
                    values += content.values()
                    stored += 1
                names = {str(content.key) for content in contents[:stored]}
                if not self._room.make_for(table, names, file_bytes(payload for _key, payload in values)):
                    return 0
                left = sum(content.value_count for content in contents[stored:])
                try:
                    replaced = table.write(values, next_values=max(2, min(left or len(values), _MOST_VALUES)))
                except FileNotFoundError:
                    raise  # The whole directory is gone: `MendedTable` can mend that.
                except OSError as exc:
                    # Not raised, because the transaction must commit that contents were evicted to make room.
                    self._tell(f"the cache cannot be written: {reason_of(exc)}")
                    return 0
        except sqlite3.Error:
            table.disk.remove_uncommitted()
            raise
        for filename in replaced:
            table.disk.remove(filename)
        return stored

    def hidden(self, key: ContentKey, content_type: str = "") -> "Hidden":
        """A large content, of which nothing has come yet; what an earlier one left is removed."""
        hidden = Hidden(self, key, content_type)
        hidden.discard()
        return hidden

    def move(self, hidden: ContentKey, key: ContentKey, info: ContentInfo) -> bool:
        """Make the chunks of `hidden` those of `key`, one after the other; whether all were there."""
        with self._table.lock:
            return self._table.attempt(lambda table: self._move(table, hidden, key, info), otherwise=False)

    def _move(self, table: ChunkTable, hidden: ContentKey, key: ContentKey, info: ContentInfo) -> bool:
        # Nothing of an earlier fetch may be left: its info would make a part of these chunks complete.
        table.discard_content(str(key))
        for index in range(info.chunk_count):
            name = value_key(str(hidden), index)
            entry = table.entry(name)
            if entry is None:
                return False
            try:
                chunk = table.disk.open_unchecked(entry.mode, entry.filename).check()
            except (OSError, TypeError, DamagedValueError):
                return False
            try:
                data = chunk.pread(0, chunk.length_bytes)
            finally:
                chunk.close()
            moved = self.put_chunk(key, index, data, info if index == info.chunk_count - 1 else None)
            if moved is None:
                return False
            moved.close()
            table.forget(entry)
        return True


class Hidden:
    """A large content that arrives; `commit` or `discard` ends it."""

    def __init__(self, incoming: Incoming, key: ContentKey, content_type: str) -> None:
        """Use `Incoming.hidden` instead."""
        self._incoming = incoming
        self._key = key
        self._content_type = content_type
        self._hidden = _HiddenKey(key.account_id, str(key))
        self._draft = bytearray()
        self._count = 0

    def write(self, data: bytes | memoryview) -> None:
        """Add the next bytes; full chunks go to the disk.

        Raises:
            NoRoomError: The cache takes no more now.
        """
        self._draft += data
        while len(self._draft) >= CHUNK_BYTES:
            self._put(bytes(memoryview(self._draft)[:CHUNK_BYTES]))
            del self._draft[:CHUNK_BYTES]

    def commit(self) -> bool:
        """Store the content under its own name, complete; False if the cache has lost some of it meanwhile.

        Raises:
            NoRoomError: The cache takes no more now.
        """
        size_bytes = self._count * CHUNK_BYTES + len(self._draft)
        if self._draft:
            self._put(bytes(self._draft))
            self._draft.clear()
        info = ContentInfo(size_bytes=size_bytes, content_type=self._content_type)
        is_moved = self._incoming.move(self._hidden, self._key, info)
        if not is_moved:
            self._incoming.drop(self._key)
            self.discard()
        return is_moved

    def discard(self) -> None:
        """Remove what has come."""
        self._incoming.drop(self._hidden)

    def _put(self, data: bytes) -> None:
        chunk = self._incoming.put_chunk(self._hidden, self._count, data, None)
        if chunk is None:
            raise NoRoomError("the cache takes no more now: it is full of pinned contents, or its disk fails")
        chunk.close()
        self._count += 1
