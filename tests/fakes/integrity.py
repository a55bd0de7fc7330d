"""Shared by the integrity tests of the store: contents known by their number, and checks.

A content's number determines its bytes, so no test needs to remember them. With ``RCFS_LONG=1`` in the
environment these tests check every moment instead of a sample, which takes an hour and needs ``--timeout=0``.
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
    """The bytes of the content `number`: one to four chunks, different from all other chunks."""
    size = 1000 + (number * 7919) % (3 * CHUNK + 1000)
    return b"".join(b"%06d.%08d;" % (number, position) for position in range(size // 16 + 1))[:size]


def put(cache: ContentCache, number: int) -> bool:
    """Store the whole content `number`; return whether that succeeded."""
    data = truth(number)
    kept = []
    for start in range(0, len(data), CHUNK):
        stop = start + CHUNK
        # With the first chunk, as servers give the size at once, or with the last one.
        info = ContentInfo(len(data)) if (start == 0 if number % 2 else stop >= len(data)) else None
        kept.append(cache.put_chunk(key(number), start // CHUNK, data[start:stop], info) is not None)
    return all(kept)


def check(cache: ContentCache, stored: StoredContent | None, number: int) -> bool:
    """Whether `stored` is the whole content `number`; fails the test if any of its bytes is wrong."""
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
    """The numbers of the whole contents; fails the test if any stored byte is wrong."""
    return {number for number in numbers if check(cache, cache.load(key(number)), number)}


def disk_usage(directory: Path) -> int:
    """Disk space of `directory` and everything below it in whole blocks, in bytes."""
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
    """The sizes in bytes that `index` knows of `keys`."""
    found = {wanted: index.size(wanted) for wanted in keys}
    return {wanted: size for wanted, size in found.items() if size is not None}
