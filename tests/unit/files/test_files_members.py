"""Members of zip archives by position: stored and deflated, in any order, damaged, and hostile."""

import io
import random
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, cast

import attrs
import pytest
import trio

from rcfs.errors import DamagedError, UnsupportedError
from rcfs.files._members import BLOCK_BYTES, MemberStream
from rcfs.tree import Member, ZipDirectory, zip_extent

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]
WORDS = b" ".join(b"word%d" % (number * number % 997) for number in range(1000))


def some_text(size_bytes: int) -> bytes:
    """A text that deflate makes some times smaller."""
    dice = random.Random(size_bytes)
    text = bytearray()
    while len(text) < size_bytes:
        start = dice.randrange(len(WORDS))
        text += WORDS[start : start + 200] + dice.randbytes(20)
    return bytes(text[:size_bytes])


def archive_of(data: bytes, method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as target:
        target.writestr("before", b"x" * 100)
        target.writestr("member", data)
        target.writestr("behind", b"x" * 100)
    return file.getvalue()


class Reads:
    """An archive in memory, and the reads of it."""

    def __init__(self, archive: bytes) -> None:
        self.archive = archive
        self.count = 0
        self.most = 0
        self.size_bytes = 0
        self.scope: trio.CancelScope | None = None
        """Cancelled by one of the reads."""
        self.before_cancel = 0
        extent = zip_extent(archive, len(archive))
        self.directory = ZipDirectory.parse(archive[extent.start : extent.stop], extent)

    async def __call__(self, start: int, size: int) -> bytes:
        self.before_cancel -= 1
        if self.scope is not None and not self.before_cancel:
            self.scope.cancel()
        await trio.lowlevel.checkpoint()
        self.count += 1
        self.most = max(self.most, size)
        self.size_bytes += size
        return self.archive[start : start + size]

    def stream(self, change: Callable[[Member], Member] = lambda member: member) -> MemberStream:
        member = self.directory.find(b"", "member")
        assert isinstance(member, Member)
        return MemberStream(change(member), self, trio.CapacityLimiter(2))


def changed(**fields: int) -> Callable[[Member], Member]:
    return lambda member: attrs.evolve(member, **cast("dict[str, Any]", fields))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size_bytes", [0, 1, 5000, BLOCK_BYTES, 3 * BLOCK_BYTES + 17])
async def test_any_part_can_be_read_in_any_order(method: int, size_bytes: int) -> None:
    data = some_text(size_bytes)
    stream = Reads(archive_of(data, method)).stream()
    dice = random.Random(size_bytes)
    for _read in range(40):
        off = dice.randrange(size_bytes + 2)
        size = dice.choice([1, 4096, 128 << 10, 3 << 20])
        assert await stream.read(off, size) == data[off : off + size]
    assert await stream.read(0, size_bytes + 1) == data
    assert await stream.read(size_bytes, 9) == await stream.read(size_bytes + 9, 9) == b""


@pytest.mark.parametrize("method", METHODS)
async def test_many_readers_share_a_stream(method: int) -> None:
    data = some_text(2 * BLOCK_BYTES + 5)
    stream = Reads(archive_of(data, method)).stream()
    found: dict[int, bytes] = {}

    async def read(off: int) -> None:
        found[off] = await stream.read(off, 128 << 10)

    async with trio.open_nursery() as nursery:
        for off in range(0, len(data), 128 << 10):
            nursery.start_soon(read, off)
    assert b"".join(found[off] for off in sorted(found)) == data


async def test_a_reader_from_the_beginning_unpacks_once() -> None:
    data = some_text(6 * BLOCK_BYTES)
    reads = Reads(archive_of(data, zipfile.ZIP_DEFLATED))
    stream = reads.stream()
    for off in range(0, len(data), 128 << 10):
        # The kernel's read-ahead may come first.
        assert await stream.read(off + (128 << 10), 128 << 10) == data[off + (128 << 10) :][: 128 << 10]
        assert await stream.read(off, 128 << 10) == data[off : off + (128 << 10)]
    assert reads.size_bytes < 3 * stream.member.packed_bytes, "a part is read again after each block"
    before = reads.count
    assert await stream.read(5 * BLOCK_BYTES, 10) == data[5 * BLOCK_BYTES :][:10]
    assert reads.count == before, "the last blocks are kept"
    assert await stream.read(BLOCK_BYTES + 5, 10) == data[BLOCK_BYTES + 5 :][:10]
    assert (reads.count - before) * (64 << 10) < BLOCK_BYTES, "it continues from a state that was kept"


@pytest.mark.parametrize("method", METHODS)
async def test_a_wrong_crc_is_noticed_at_the_end(method: int) -> None:
    data = some_text(2 * BLOCK_BYTES)
    reads = Reads(archive_of(data, method))
    right = reads.stream().member
    stream = reads.stream(changed(crc=right.crc ^ 1))
    assert await stream.read(0, BLOCK_BYTES) == data[:BLOCK_BYTES]
    for _again in range(2):
        with pytest.raises(DamagedError, match="CRC"):
            await stream.read(BLOCK_BYTES, BLOCK_BYTES)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (zipfile.ZIP_DEFLATED, {"size_bytes": 2 * BLOCK_BYTES}),  # fewer bytes than it says
        (zipfile.ZIP_DEFLATED, {"size_bytes": 1000}),  # more bytes than it says
        (zipfile.ZIP_DEFLATED, {"packed_bytes": 30}),
        (zipfile.ZIP_DEFLATED, {"packed_bytes": 0}),
        (zipfile.ZIP_DEFLATED, {"position": 1}),
        (zipfile.ZIP_STORED, {"method": zipfile.ZIP_DEFLATED}),
        (zipfile.ZIP_STORED, {"position": 3}),
    ],
)
async def test_lies_are_noticed(method: int, fields: dict[str, int]) -> None:
    stream = Reads(archive_of(some_text(5000), method)).stream(changed(**fields))
    for _again in range(2):
        with pytest.raises(DamagedError):
            await stream.read(0, stream.member.size_bytes)


@pytest.mark.parametrize("fields", [{"flags": 1}, {"flags": 0x40}, {"flags": 0x2000}, {"method": 14}])
def test_what_cannot_be_unpacked_says_so(fields: dict[str, int]) -> None:
    with pytest.raises(UnsupportedError):
        Reads(archive_of(b"x", zipfile.ZIP_STORED)).stream(changed(**fields))


async def test_a_bomb_takes_little_memory() -> None:
    size_bytes = 24 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _mib in range(size_bytes >> 20)) + packer.flush()
    archive = bytearray(archive_of(packed, zipfile.ZIP_STORED))
    reads = Reads(bytes(archive))
    stream = reads.stream(changed(method=8, size_bytes=size_bytes))
    tracemalloc.start()
    try:
        assert await stream.read(size_bytes - BLOCK_BYTES - 9, 9) == bytes(9)
        assert await stream.read(9, 9) == bytes(9)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 9 << 20, "four blocks, and what one is made of"
    assert reads.most <= 64 << 10
    assert stream.cool()
    assert await stream.read(9, 9) == bytes(9)


async def test_a_cancelled_read_leaves_no_gap() -> None:
    data = some_text(3 * BLOCK_BYTES)
    reads = Reads(archive_of(data, zipfile.ZIP_DEFLATED))
    stream = reads.stream()
    for number in range(1, 8):
        with trio.CancelScope() as scope:
            reads.before_cancel, reads.scope = number, scope
            await stream.read(0, 3 * BLOCK_BYTES)
        assert scope.cancelled_caught or number > 3
    reads.scope = None
    assert await stream.read(0, 3 * BLOCK_BYTES) == data


def test_the_local_header_counts() -> None:
    archive = bytearray(archive_of(b"12345", zipfile.ZIP_STORED))
    at = archive.index(b"PK\3\4", 10)
    archive[at + 28 : at + 30] = struct.pack("<H", 2)  # an extra field that the directory does not have

    async def read() -> bytes:
        return await Reads(bytes(archive)).stream().read(0, 9)

    with pytest.raises(DamagedError):
        trio.run(read)
