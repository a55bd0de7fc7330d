"""A content of one chunk has its info in the file of that chunk."""

from pathlib import Path

import pytest

from rcfs.model import AttachmentKey
from rcfs.store import ContentCache, ContentInfo

KEY = AttachmentKey("400131", 62, 1001, 1)
INFO = ContentInfo(3, "audio/mpeg")


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, warnings: list[str]) -> ContentCache:
    return opened(tmp_path, warnings)


def opened(directory: Path, warnings: list[str]) -> ContentCache:
    return ContentCache.open(directory, free_floor_bytes=0, warn=warnings.append)


def files(directory: Path) -> list[Path]:
    return list((directory / "chunks").iterdir())


def put(cache: ContentCache, data: bytes, info: ContentInfo | None) -> None:
    chunk = cache.put_chunk(KEY, 0, data, info)
    assert chunk is not None
    assert chunk.pread(0, 99) == data


def found(cache: ContentCache) -> tuple[ContentInfo | None, bytes]:
    stored = cache.load(KEY)
    assert stored is not None
    return stored.info, stored.chunks[0].pread(0, 99)


def test_it_takes_one_file(cache: ContentCache, tmp_path: Path) -> None:
    put(cache, b"abc", INFO)
    assert len(files(tmp_path)) == 1
    assert found(cache) == (INFO, b"abc")
    assert cache.contains(KEY) == "yes"
    assert cache.verify(KEY) == (3, 0)


def test_it_survives_the_loss_of_the_database(cache: ContentCache, tmp_path: Path) -> None:
    put(cache, b"abc", INFO)
    cache.close()
    for path in tmp_path.glob("cache.db*"):
        path.unlink()
    assert found(opened(tmp_path, [])) == (INFO, b"abc")


def test_a_later_info_replaces_it(cache: ContentCache) -> None:
    put(cache, b"abc", INFO)
    assert cache.put_info(KEY, ContentInfo(3, "audio/x-wav"))
    assert found(cache) == (ContentInfo(3, "audio/x-wav"), b"abc")
    put(cache, b"xyz", INFO)
    assert found(cache) == (INFO, b"xyz")


def test_a_chunk_without_info_leaves_it(cache: ContentCache) -> None:
    put(cache, b"abc", INFO)
    put(cache, b"xyz", None)
    assert found(cache) == (INFO, b"xyz")


def test_it_is_dropped_with_a_damaged_chunk(cache: ContentCache, tmp_path: Path, warnings: list[str]) -> None:
    put(cache, b"abc", INFO)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"size_bytes": 3', b'"size_bytes": 2'))
    assert cache.load(KEY) is None
    assert (cache.contains(KEY), files(tmp_path)) == ("no", [])
    assert len(warnings) == 1


@pytest.mark.parametrize("info", [ContentInfo(3, "x" * 500), ContentInfo(4)])
def test_an_info_that_is_long_or_not_of_this_chunk_alone_has_its_own_file(
    cache: ContentCache, tmp_path: Path, info: ContentInfo
) -> None:
    assert cache.put_chunk(KEY, 0, b"abc", info) is not None
    assert len(files(tmp_path)) == 2
