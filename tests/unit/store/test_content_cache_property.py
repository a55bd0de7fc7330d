"""The cache never returns a byte that was not put, in any state of its files."""

from pathlib import Path
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import ContentCache, ContentInfo
from tests.fakes.scratch import scratch_directory

CHUNK = 100_000
LIMIT = 2 << 20
"""Room for about fifteen chunks beside the database, of up to 24 that the model may hold."""

contents = st.integers(0, 3)
indices = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("put"), contents, st.integers(1, 6 * CHUNK)),
    st.tuples(st.just("chunk"), contents, indices),
    st.tuples(st.just("info"), contents, st.integers(0, 6 * CHUNK)),
    st.tuples(st.just("flip"), st.integers(0, 50), st.integers(0, CHUNK + 511)),
    st.tuples(st.just("cut"), st.integers(0, 50), st.integers(0, CHUNK + 511)),
    st.tuples(st.just("swap"), st.integers(0, 50), st.integers(0, 50)),
    st.tuples(st.just("lose"), st.integers(0, 50), st.just(0)),
    st.tuples(st.just("drop"), contents, st.just(0)),
    st.tuples(st.just("load"), contents, st.just(0)),
    st.tuples(st.just("reopen"), st.booleans(), st.just(0)),
)


class Pair:
    """The cache, and what it was given; as with attachments, the bytes of a key never change."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.model: set[tuple[int, int]] = set()
        self.harmed = False
        self.cache = self.open()

    def open(self) -> ContentCache:
        return ContentCache.open(self.directory, size_limit_bytes=LIMIT, free_floor_bytes=0, warn=self.warn)

    def warn(self, line: str) -> None:
        assert self.harmed, line

    def put_chunk(self, number: int, index: int, length: int) -> None:
        self.model.add((number, index))
        chunk = self.cache.put_chunk(key(number), index, chunk_bytes(number, index, length))
        assert chunk is not None
        assert chunk.pread(0, CHUNK) == chunk_bytes(number, index, length)

    def do(self, action: str, a: int, b: int) -> None:
        if action == "put":
            # A shorter content in the place of a longer one leaves chunks behind, which are told and dropped.
            self.harmed |= any(number == a for number, _index in self.model)
            for start in range(0, b, CHUNK):
                self.put_chunk(a, start // CHUNK, min(CHUNK, b - start))
            assert self.cache.put_info(key(a), ContentInfo(b))
        elif action == "chunk":
            self.harmed = True  # It may contradict a size that is known, and is then told and dropped.
            self.put_chunk(a, b, CHUNK)
        elif action == "info":
            self.harmed = True
            assert self.cache.put_info(key(a), ContentInfo(b))
        elif action == "drop":
            self.cache.drop(key(a))
            assert self.cache.load(key(a)) is None
        elif action == "load":
            self.check(a)
        elif action == "reopen":
            self.cache.close()
            if a:
                (self.directory / "cache.db").unlink()
            self.cache = self.open()
        else:
            self.harm(action, a, b)

    def harm(self, action: str, a: int, b: int) -> None:
        self.harmed = True
        files = sorted((self.directory / "chunks").iterdir())
        if not files:
            return
        path, other = files[a % len(files)], files[b % len(files)]
        if action == "lose":
            path.unlink()
        elif action == "cut":
            path.write_bytes(path.read_bytes()[:b])
        elif action == "flip" and path.stat().st_size:
            data = bytearray(path.read_bytes())
            data[b % len(data)] ^= 1
            path.write_bytes(data)
        elif action == "swap" and path != other:
            mine, theirs = path.read_bytes(), other.read_bytes()
            path.write_bytes(theirs)
            other.write_bytes(mine)

    def check(self, number: int) -> None:
        said = self.cache.contains(key(number))
        stored = self.cache.load(key(number))
        assert stored is not None or said == "no" or self.harmed
        if stored is None:
            return
        for index, chunk in stored.chunks.items():
            assert (number, index) in self.model
            assert chunk.pread(0, CHUNK) == chunk_bytes(number, index, chunk.length_bytes)
        if stored.complete:
            assert stored.info is not None
            assert sum(chunk.length_bytes for chunk in stored.chunks.values()) == stored.info.size_bytes
        if not self.harmed:
            assert stored.complete == (said == "yes")
        stored.close()


def chunk_bytes(number: int, index: int, length: int) -> bytes:
    """The first `length` bytes of a chunk that is unlike any other."""
    return (bytes([number, index, 170, 85]) * (length // 4 + 1))[:length]


def key(number: int) -> ContentKey:
    return AttachmentKey("1", 2, number, 1)


@given(st.lists(steps, max_size=20))
def test_no_wrong_byte_is_ever_loaded(script: list[tuple[str, int, int]]) -> None:
    with (
        scratch_directory() as directory,
        mock.patch("rcfs.store._cache.CHUNK_BYTES", CHUNK),
        mock.patch("rcfs.store._room.CHUNK_BYTES", CHUNK),
        mock.patch("rcfs.store._content.CHUNK_BYTES", CHUNK),
        mock.patch("rcfs.store._content.CHECKED_AT_ONCE", 10),  # more than any content has
    ):
        pair = Pair(directory)
        for action, a, b in script:
            pair.do(action, a, b)
            assert pair.cache.stats().size_bytes <= LIMIT
        for number in range(4):
            pair.check(number)
        pair.cache.close()
