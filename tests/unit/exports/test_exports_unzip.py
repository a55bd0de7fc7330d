"""The zip reader: whatever Python's zipfile writes, cut anywhere, and archives of strangers."""

import struct
import zipfile
import zlib
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rcfs.exports import DamagedArchiveError, Ended, Member, ZipReader
from tests.fakes.rig import noise
from tests.fakes.zips import packed

MOST_BYTES = 64 << 20
Read = list[tuple[str, bytes, str]]
"""(name, content, problem) of each member that has ended."""


def take(reader: ZipReader, pieces: Sequence[bytes], limit: int | None = None) -> Read:
    """The members in the pieces of an archive."""
    found: Read = []
    name, content = "", bytearray()
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, Member):
                name, content = event.name, bytearray()
                if limit is not None:
                    reader.limit(limit)
            elif isinstance(event, Ended):
                found.append((name, bytes(content), event.problem))
            else:
                content += event
    return found


def read(data: bytes) -> tuple[ZipReader, Read]:
    """A reader that was fed with an archive at once, and its members."""
    reader = ZipReader(most_bytes=MOST_BYTES)
    return reader, take(reader, [data])


contents = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            bytes(70_000),
            noise(40_000),
            b"PK\x07\x08" * 7,
            packed([("inner.txt", b"a zip in a zip" * 9)], piped=True),
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    found=st.lists(contents, max_size=5),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    piped=st.booleans(),
    wide=st.booleans(),
    seed=st.randoms(use_true_random=False),
)
def test_any_archive_cut_anywhere_gives_its_members(
    found: list[bytes],
    method: int,
    piped: bool,
    wide: bool,
    seed: Random,
) -> None:
    files = [(f"folder/ü{number}.bin", data) for number, data in enumerate(found)]
    data = packed(files, method, piped=piped, wide=wide)
    cuts = sorted(seed.randrange(len(data) + 1) for _ in range(seed.randrange(9)))
    reader = ZipReader(most_bytes=MOST_BYTES)
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert take(reader, pieces) == [(name, content, "") for name, content in files]
    assert (reader.is_done, reader.agrees) == (True, True)


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_reading_continues_behind_any_member(method: int, piped: bool) -> None:
    files = [(f"{number}", noise(500, number)) for number in range(6)]
    data = packed(files, method, piped=piped)
    ends, tallies = [0], [(0, 0)]
    first = ZipReader(most_bytes=MOST_BYTES)
    for event in first.feed(data):
        if isinstance(event, Ended):
            ends.append(event.end)
            tallies.append((first.tally.count, first.tally.total))
    for number, end in enumerate(ends):
        tally = type(first.tally)(*tallies[number])
        reader = ZipReader(end, tally, most_bytes=MOST_BYTES)
        assert take(reader, [data[end:]]) == [(name, content, "") for name, content in files[number:]]
        assert (reader.is_done, reader.agrees, reader.finished) == (True, True, ends[-1])


def test_bytes_one_at_a_time() -> None:
    for piped in (False, True):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            data = packed([("a", b"hello" * 20), ("b", b"")], method, piped=piped, wide=True)
            reader = ZipReader(most_bytes=MOST_BYTES)
            pieces = [data[at : at + 1] for at in range(len(data))]
            assert take(reader, pieces) == [("a", b"hello" * 20, ""), ("b", b"", "")]
            assert reader.agrees


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_byte_damages_one_member(method: int) -> None:
    files = [(f"{number}", noise(500, number)) for number in range(3)]
    data = bytearray(packed(files, method))
    at = bytes(data).find(noise(500, 1)[100:110])
    data[at if at >= 0 else len(data) // 2 - 100] ^= 1
    reader, found = read(bytes(data))
    assert [name for name, _content, problem in found if problem] == ["1"]
    assert reader.is_done
    assert found[2] == ("2", noise(500, 2), "")


@pytest.mark.parametrize("size", [0, 10, 29, 40, 300, 700])
def test_a_cut_archive_is_not_done(size: int) -> None:
    reader, _found = read(packed([("a", noise(500)), ("b", noise(500))])[:size])
    assert not reader.is_done


@pytest.mark.parametrize("data", [b"<html></html>", b"\0" * 500, noise(500), b"PK\3\5" + bytes(40)])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedArchiveError, match="byte 0"):
        read(data)


def test_what_follows_the_directory_is_ignored() -> None:
    reader, found = read(packed([("a", b"1")]) + noise(5000))
    assert (reader.is_done, reader.agrees, len(found)) == (True, True, 1)


def test_a_bomb_is_stopped_at_the_size_of_its_header() -> None:
    data = bytearray(packed([("bomb", bytes(50 << 20)), ("next", b"1")], zipfile.ZIP_DEFLATED))
    struct.pack_into("<I", data, 22, 1000)  # the size in the header of the first member
    reader = ZipReader(most_bytes=MOST_BYTES)
    most = size = 0
    found: Read = []
    for event in reader.feed(bytes(data)):
        if isinstance(event, memoryview):
            size += len(event)
            most = max(most, size)
        elif isinstance(event, Ended):
            found.append(("", b"", event.problem))
    assert most <= 1000 + (256 << 10)
    assert [bool(problem) for _name, _content, problem in found] == [True, False]
    assert not reader.agrees


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_bomb_whose_size_follows_it_ends_the_archive(method: int) -> None:
    data = packed([("bomb", bytes(2 << 20)), ("next", b"1")], method, piped=True)
    reader = ZipReader(most_bytes=MOST_BYTES)
    with pytest.raises(DamagedArchiveError, match="more than 1,000,000 bytes"):
        take(reader, [data], limit=1_000_000)


def test_members_that_cannot_be_read_are_passed_over() -> None:
    data = bytearray(packed([("secret", b"x" * 90), ("odd", b"y" * 90), ("last", b"z")]))
    struct.pack_into("<H", data, 6, 1)  # encrypted
    struct.pack_into("<H", data, bytes(data).index(b"PK\3\4", 4) + 8, 14)  # LZMA
    reader, found = read(bytes(data))
    assert [(name, content, bool(problem)) for name, content, problem in found] == [
        ("secret", b"", True),
        ("odd", b"", True),
        ("last", b"z", False),
    ]
    assert reader.is_done


def test_a_directory_that_lists_others_is_noticed() -> None:
    one, other = packed([("a", b"1" * 50)]), packed([("b", b"2" * 50)])
    at = one.index(b"PK\1\2")
    reader, found = read(one[:at] + other[at:])
    assert (reader.is_done, reader.agrees, found) == (True, False, [("a", b"1" * 50, "")])


def test_skipped_members_have_no_bytes_and_keep_the_place() -> None:
    for piped in (False, True):
        data = packed([("a", noise(5000)), ("b", b"2")], zipfile.ZIP_DEFLATED, piped=piped)
        reader = ZipReader(most_bytes=MOST_BYTES)
        found = bytearray()
        for event in reader.feed(data):
            if isinstance(event, Member) and event.name == "a":
                reader.skip()
            elif isinstance(event, memoryview):
                found += event
        assert (bytes(found), reader.agrees) == (b"2", True)


def test_names_in_utf_8_and_in_the_code_page_of_dos() -> None:
    data = packed([("grüße", b"1")])
    raw = "grüße".encode()
    assert read(data)[1][0][0] == "grüße"
    plain = bytearray(data)
    struct.pack_into("<H", plain, 6, 0)
    assert read(bytes(plain))[1][0][0] == raw.decode("cp437")


def test_a_wrong_descriptor_damages_the_member() -> None:
    data = bytearray(packed([("a", noise(500)), ("b", b"2")], zipfile.ZIP_DEFLATED, piped=True))
    at = bytes(data).index(b"PK\7\x08")
    assert struct.unpack_from("<I", data, at + 4)[0] == zlib.crc32(noise(500))
    data[at + 4] ^= 1
    reader, found = read(bytes(data))
    assert [bool(problem) for _name, _content, problem in found] == [True, False]
    assert reader.is_done
