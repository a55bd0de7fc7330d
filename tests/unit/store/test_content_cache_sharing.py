"""Several caches, threads and processes on one directory."""

import json
import subprocess
import sys
from pathlib import Path

from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import ContentCache, ContentInfo

WRITER = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from pathlib import Path
from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import ContentCache, ContentInfo
directory, first, count, limit = Path(sys.argv[2]), *map(int, sys.argv[3:])
cache = ContentCache.open(directory, size_limit_bytes=limit, free_floor_bytes=0, warn=print)
for number in range(first, first + count):
    data = number.to_bytes(4, "big") * 5000
    cache.put_chunk(AttachmentKey("1", 2, number, 1), 0, data)
    cache.put_info(AttachmentKey("1", 2, number, 1), ContentInfo(len(data)))
    print("stored", number, flush=True)
"""


def start_writer(directory: Path, first: int, count: int, limit: int) -> "subprocess.Popen[str]":
    arguments = [json.dumps(sys.path), str(directory), str(first), str(count), str(limit)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True)


def open_cache(directory: Path, limit: int = 64 << 20) -> ContentCache:
    warnings: list[str] = []
    cache = ContentCache.open(directory, size_limit_bytes=limit, free_floor_bytes=0, warn=warnings.append)
    assert warnings == []
    return cache


def expected(number: int) -> bytes:
    return number.to_bytes(4, "big") * 5000


def key(number: int) -> ContentKey:
    return AttachmentKey("1", 2, number, 1)


def count_right(cache: ContentCache, numbers: range) -> int:
    """How many of the contents are whole; that every byte that is given is right, is asserted."""
    whole = 0
    for number in numbers:
        stored = cache.load(key(number))
        if stored is not None:
            for chunk in stored.chunks.values():
                assert chunk.pread(0, 20_000) == expected(number)
            whole += stored.complete
            stored.close()
    return whole


def test_two_caches_on_one_directory_see_each_other(tmp_path: Path) -> None:
    first, second = open_cache(tmp_path), open_cache(tmp_path)
    first.put_chunk(key(1), 0, expected(1))
    first.put_info(key(1), ContentInfo(20_000))
    assert count_right(second, range(1, 2)) == 1
    second.drop(key(1))
    assert first.load(key(1)) is None
    first.put_chunk(key(1), 0, expected(1))
    assert second.contains(key(1)) == "partial"
    assert second.clear() > 0
    assert first.contains(key(1)) == "no"


def test_two_processes_write_at_once_within_one_cap(tmp_path: Path) -> None:
    limit = 2 << 20
    mine = open_cache(tmp_path, limit)
    writer = start_writer(tmp_path, 1000, 60, limit)
    assert writer.stdout is not None
    lines = [writer.stdout.readline()]
    for number in range(60):
        assert mine.put_chunk(key(number), 0, expected(number)) is not None
        assert mine.put_info(key(number), ContentInfo(20_000))
        assert mine.stats().size_bytes <= limit
    lines += writer.stdout.readlines()
    writer.stdout.close()
    assert writer.wait(60) == 0
    assert lines == [f"stored {number}\n" for number in range(1000, 1060)]
    assert mine.stats().size_bytes <= limit
    # A content takes 28 KiB in 32 KiB of blocks, so that about 40 of the 120 fit.
    assert 20 < count_right(mine, range(60)) + count_right(mine, range(1000, 1060)) < 64


def test_a_killed_writer_leaves_no_wrong_byte_and_no_leftover(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, 0, 1_000_000, 64 << 20)
    assert writer.stdout is not None
    stored = 0
    while stored < 20:
        assert writer.stdout.readline().startswith("stored")
        stored += 1
    writer.kill()
    stored += len(writer.stdout.readlines())
    writer.stdout.close()
    writer.wait(60)
    cache = open_cache(tmp_path)
    assert count_right(cache, range(stored + 2)) >= stored - 1
    names = {path.name for path in (tmp_path / "chunks").iterdir()}
    rows = {
        entry.filename
        for number in range(stored + 2)
        for entry in cache._table.present.entries(str(key(number)))
    }
    assert names == rows
