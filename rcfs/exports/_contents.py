"""Contents out of an archive on their way into the cache: compared with it, claimed, and stored in batches.

All for one worker thread at a time.
"""

from typing import Final, Protocol

import attrs

from rcfs.content import MAX_TEXT_BYTES, Storage
from rcfs.errors import NoRoomError
from rcfs.exports._report import FillReport
from rcfs.model import CHUNK_BYTES, Attachment, AttachmentKey
from rcfs.store import ContentCache, Hidden, StoredContent, WholeContent

_WHOLE_BYTES: Final = 8 << 20
"""Largest content that is held in memory until its CRC is known: nearly all voicemails, faxes and MMS files.
A larger one is written twice, see `rcfs.store.Hidden`."""
_BATCH_BYTES: Final = 1 << 20
"""Contents that wait to be stored together, in bytes: a transaction costs as much as writing 100 kB."""
_NO_ROOM: Final = "the cache takes no more now: it is full of pinned contents, or its disk is full or fails"


@attrs.frozen
class Target:
    """The attachment that a member is."""

    name: str
    """Path of the member."""
    key: AttachmentKey
    """Identity of the attachment."""
    attachment: Attachment
    """Its record."""
    size_bytes: int | None
    """Its size, learned or from the record; None when unknown."""


class Sink(Protocol):
    """Takes the bytes of one member."""

    def write(self, data: memoryview) -> None:
        """Takes the next bytes, which change after the call."""

    def end(self, problem: str) -> None:
        """Ends the member; `problem` tells why its bytes must not be used, and is empty if they may."""

    def abort(self) -> None:
        """Ends the member because the archive has ended before it."""


class ContentFiller:
    """Puts contents into the cache."""

    def __init__(self, storage: Storage, report: FillReport) -> None:
        """Counts in `report`."""
        self._storage = storage
        self._report = report
        self._incoming = storage.cache.incoming()
        self._waiting: dict[AttachmentKey, tuple[Target, bytearray]] = {}
        self._waiting_bytes = 0
        self.last = ""
        """Path of the last content that was filled, or that the cache had."""
        self.texts: list[tuple[AttachmentKey, bytes]] = []
        """Transcripts that were filled, which searches should find; the caller takes them away."""
        self.arrived: list[tuple[AttachmentKey, int]] = []
        """Contents that were filled, with their sizes in bytes; the caller takes them away."""

    @property
    def cache(self) -> ContentCache:
        """The cache."""
        return self._storage.cache

    def sink(self, target: Target) -> Sink:
        """Takes the bytes of a member."""
        return _ContentSink(self, target)

    def add(self, target: Target, data: bytearray) -> None:
        """Stores a content that is whole, now or with the next ones.

        Raises:
            NoRoomError: The cache takes no more now.
        """
        if target.key in self._waiting:
            self.flush()  # Twice in one archive: the second is compared with the first.
        self._waiting[target.key] = target, data
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Stores the contents that wait.

        Raises:
            NoRoomError: The cache takes no more now; those that were stored are counted.
        """
        waiting, self._waiting, self._waiting_bytes = self._waiting, {}, 0
        claimed: list[tuple[Target, WholeContent]] = []
        try:
            for target, data in waiting.values():
                if not self._is_settled(target, data) and self.claim(target):
                    claimed.append((target, WholeContent(target.key, data, target.attachment.content_type)))
            stored = self._incoming.put([content for _target, content in claimed])
            sizes = {content.key: len(content.data) for _target, content in claimed[:stored]}
            self._storage.sizes.record_all(sizes)
        finally:
            for target, _content in claimed:
                self.cache.claims.give_back(target.key)
        for target, content in claimed[:stored]:
            self.count_filled(target, len(content.data))
            if target.attachment.kind == "AudioTranscription" and len(content.data) <= MAX_TEXT_BYTES:
                self.texts.append((target.key, bytes(content.data)))
        if stored < len(claimed):
            raise NoRoomError(_NO_ROOM)

    def claim(self, target: Target) -> bool:
        """Claims a content; if it is being fetched at this moment, it counts as present instead."""
        if self.cache.claims.take(target.key):
            return True
        self._report.present += 1
        return False

    def count_filled(self, target: Target, size_bytes: int) -> None:
        """Counts a content that was filled."""
        self._report.filled += 1
        self._report.size_bytes += size_bytes
        self.last = str(target.key)
        self.arrived.append((target.key, size_bytes))

    def count_comparison(self, target: Target, *, same: bool) -> None:
        """Counts a content that the cache has."""
        self.last = str(target.key)
        if same:
            self._report.present += 1
        else:
            self._report.note("differing", target.name, "the cache has other bytes, and keeps them")

    def is_acceptable(self, target: Target, size_bytes: int, problem: str) -> bool:
        """Whether the bytes of a member may be used; if not, it is counted."""
        if problem:
            self._report.note("damaged", target.name, problem)
        elif not size_bytes:
            self._report.note("refused", target.name, "it is empty")
        elif target.size_bytes not in (None, size_bytes):
            self.refuse_size(target, size_bytes)
        elif not self.cache.admits(size_bytes):
            self._report.note("refused", target.name, "it is larger than the cache")
        else:
            return True
        return False

    def refuse_size(self, target: Target, size_bytes: int) -> None:
        """Counts a member with another size than is known."""
        reason = f"it has {size_bytes:,} bytes, and the attachment has {target.size_bytes:,}"
        self._report.note("differing", target.name, reason)

    def hidden(self, target: Target) -> Hidden:
        """Takes a large content that was claimed."""
        return self._incoming.hidden(target.key, target.attachment.content_type)

    def learn(self, target: Target, size_bytes: int) -> None:
        """Keeps the exact size of a content."""
        self._storage.sizes.record(target.key, size_bytes)

    def _is_settled(self, target: Target, data: bytearray) -> bool:
        """Whether the cache has the whole content; then it is compared and counted."""
        if self.cache.contains(target.key) != "yes":
            return False
        stored = self.cache.load(target.key)
        if stored is None:
            return False
        comparison = Comparison(self.cache, target.key, stored)
        try:
            comparison.write(memoryview(data))
            if not comparison.is_usable:
                return False
            self.count_comparison(target, same=comparison.is_same)
            return True
        finally:
            stored.close()


class Comparison:
    """Compares bytes with a content of the cache."""

    def __init__(self, cache: ContentCache, key: AttachmentKey, stored: StoredContent) -> None:
        self._cache = cache
        self._key = key
        self._chunks = dict(stored.chunks)
        self._unchecked = dict(stored.unchecked)
        self._size_bytes = stored.info.size_bytes if stored.info is not None and stored.complete else None
        self._position = 0
        self._differs = False
        self.is_usable = self._size_bytes is not None
        """Whether the cache has all of the content, undamaged so far."""

    @property
    def is_same(self) -> bool:
        """Whether all bytes were the content's, and there were no more and no fewer."""
        return not self._differs and self._position == self._size_bytes

    def write(self, data: memoryview) -> None:
        """Compares the next bytes."""
        while data and self.is_usable and not self._differs:
            index, within = divmod(self._position, CHUNK_BYTES)
            part = data[: CHUNK_BYTES - within]
            unchecked = self._unchecked.pop(index, None)
            checked = None if unchecked is None else self._cache.check(self._key, index, unchecked)
            if checked is not None:
                self._chunks[index] = checked
            chunk = self._chunks.get(index)
            if chunk is None:
                self._differs = self._position >= (self._size_bytes or 0)
                self.is_usable = self._differs
                return
            try:
                self._differs = chunk.pread(within, len(part)) != part
            except OSError:
                self.is_usable = False
            self._position += len(part)
            data = data[len(part) :]

    def close(self) -> None:
        """Closes the chunks."""
        for chunk in self._chunks.values():
            chunk.close()
        for unchecked in self._unchecked.values():
            unchecked.close()


@attrs.define
class _ContentSink:
    """The bytes of one member: in memory, and if they are many, compared or hidden in the cache."""

    _filler: ContentFiller
    _target: Target
    _data: bytearray = attrs.field(factory=bytearray)
    _size_bytes: int = 0
    _comparison: Comparison | None = None
    _hidden: Hidden | None = None
    _is_elsewhere: bool = False
    """Whether the bytes are not needed, because another process fetches them."""

    def write(self, data: memoryview) -> None:
        self._size_bytes += len(data)
        if self._size_bytes <= _WHOLE_BYTES:
            self._data += data
            return
        if self._comparison is None and self._hidden is None and not self._is_elsewhere:
            self._begin_large()
            self._pass(memoryview(bytes(self._data)))
            self._data.clear()
        self._pass(data)

    def _begin_large(self) -> None:
        cache, key = self._filler.cache, self._target.key
        stored = cache.load(key) if cache.contains(key) == "yes" else None
        if stored is not None and stored.complete:
            self._comparison = Comparison(cache, key, stored)
            return
        if stored is not None:
            stored.close()
        if self._filler.claim(self._target):
            self._hidden = self._filler.hidden(self._target)
        else:
            self._is_elsewhere = True

    def _pass(self, data: memoryview) -> None:
        if self._comparison is not None:
            self._comparison.write(data)
        elif self._hidden is not None:
            self._hidden.write(data)

    def end(self, problem: str) -> None:
        try:
            if not self._is_elsewhere and self._filler.is_acceptable(self._target, self._size_bytes, problem):
                self._use()
        finally:
            self.abort()

    def _use(self) -> None:
        if self._comparison is not None:
            same = self._comparison.is_same or not self._comparison.is_usable
            self._filler.count_comparison(self._target, same=same)
        elif self._hidden is not None:
            if not self._hidden.commit():
                raise NoRoomError(_NO_ROOM)
            self._hidden = None
            self._filler.learn(self._target, self._size_bytes)
            self._filler.cache.claims.give_back(self._target.key)
            self._filler.count_filled(self._target, self._size_bytes)
        else:
            self._filler.add(self._target, self._data)

    def abort(self) -> None:
        if self._comparison is not None:
            self._comparison.close()
            self._comparison = None
        if self._hidden is not None:
            self._hidden.discard()
            self._hidden = None
            self._filler.cache.claims.give_back(self._target.key)
