"""What the integrity tests of the store share: contents that are known by their number, and what must hold.

The bytes of a content follow from its number, so no test needs to remember what it put. ``RCFS_LONG=1`` in
the environment makes these tests look at every moment instead of at a sample, which takes an hour; they need
``--timeout=0`` then.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import Chunk, ContentCache, ContentInfo, SizeIndex, StoredContent

CHUNK = 16 << 10
"""Bytes of a chunk in `small_chunks`."""
LONG = os.environ.get("RCFS_LONG") == "1"


@contextmanager
def small_chunks() -> Iterator[None]:
    """The cache with chunks of `CHUNK` bytes, so that contents of many chunks are small."""
    with (
        mock.patch("rcfs.store._cache.CHUNK_BYTES", CHUNK),
        mock.patch("rcfs.store._room.CHUNK_BYTES", CHUNK),
        mock.patch("rcfs.store._content.CHUNK_BYTES", CHUNK),
        mock.patch("rcfs.store._content.CHECKED_AT_ONCE", 2),
    ):
        yield


def key(number: int) -> ContentKey:
    """The key of the content `number`."""
    return AttachmentKey("400131", 62, number, 1)


def truth(number: int) -> bytes:
    """The bytes of the content `number`: one to four chunks, like no other content's and no other chunk's."""
    size = 1000 + (number * 7919) % (3 * CHUNK + 1000)
    return b"".join(b"%06d.%08d;" % (number, position) for position in range(size // 16 + 1))[:size]


def put(cache: ContentCache, number: int) -> bool:
    """Whether the whole content `number` could be stored."""
    data = truth(number)
    kept = []
    for start in range(0, len(data), CHUNK):
        stop = start + CHUNK
        # With the first chunk, as a server says it at once, or with the last one.
        info = ContentInfo(len(data)) if (start == 0 if number % 2 else stop >= len(data)) else None
        kept.append(cache.put_chunk(key(number), start // CHUNK, data[start:stop], info) is not None)
    return all(kept)


def check(cache: ContentCache, stored: StoredContent | None, number: int) -> bool:
    """Whether `stored` is the whole content `number`; what there is of it is right, or the test fails."""
    if stored is None:
        return False
    data, complete = truth(number), stored.complete
    chunks: dict[int, Chunk | None] = dict(stored.chunks)
    for index, unchecked in stored.unchecked.items():
        chunks[index] = cache.check(key(number), index, unchecked)
    for index, chunk in chunks.items():
        if chunk is None:
            complete = False
            continue
        expected = data[index * CHUNK : (index + 1) * CHUNK]
        assert chunk.pread(0, CHUNK) == expected, f"chunk {index} of {number} is wrong"
        chunk.close()
    if stored.complete:
        assert stored.info == ContentInfo(len(data))
        assert stored.prefix_bytes == len(data)
    return complete


def whole(cache: ContentCache, numbers: Iterable[int]) -> set[int]:
    """Which of the contents are whole; all that is there of them has been compared with the truth."""
    return {number for number in numbers if check(cache, cache.load(key(number)), number)}


def disk_usage(directory: Path) -> int:
    """What `directory` and all below it take on the disk in whole blocks, in bytes."""
    total = 0
    for path in (directory, *directory.rglob("*")):
        try:
            total += -(-path.lstat().st_size // 4096) * 4096
        except FileNotFoundError:
            continue
    return total


def value_files(directory: Path) -> set[str]:
    """Names of the value files of the cache in `directory`."""
    return {path.name for path in (directory / "chunks").iterdir()}


def known_sizes(index: SizeIndex, keys: Iterable[ContentKey]) -> dict[ContentKey, int]:
    """The sizes in bytes that `index` knows, of those of `keys` that it knows."""
    found = {wanted: index.size(wanted) for wanted in keys}
    return {wanted: size for wanted, size in found.items() if size is not None}
