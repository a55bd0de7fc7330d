"""The directory of a zip archive, also of hostile ones."""

import io
import random
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Iterable

import pytest

from rcfs.tree import BadZipError, Member, ZipDirectory, zip_extent
from rcfs.tree._zip_directory import MOST_DIRECTORY_BYTES, TAIL_BYTES


def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """An archive with these members, which may have equal names."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as target:
        warnings.simplefilter("ignore")  # zipfile warns of equal names.
        for name, data in members:
            target.writestr(zipfile.ZipInfo(name), data, method)
        target.comment = comment
    return file.getvalue()


def parsed(archive: bytes) -> ZipDirectory:
    extent = zip_extent(archive[-TAIL_BYTES:], len(archive))
    return ZipDirectory.parse(archive[extent.start : extent.stop], extent)


def walked(directory: ZipDirectory, place: bytes = b"", *, limit: int = 2) -> dict[str, Member | bytes]:
    """All entries below `place` by path, found in pages and again by their names."""
    found: dict[str, Member | bytes] = {}
    after = 0
    while page := directory.page(place, after, limit):
        assert len(page) <= limit
        for cursor, name, entry in page:
            assert cursor > after
            after = cursor
            assert name not in found
            assert directory.find(place, name) == entry
            found[name] = entry
            if isinstance(entry, bytes):
                assert directory.has(entry)
                found |= {
                    f"{name}/{below}": each for below, each in walked(directory, entry, limit=limit).items()
                }
    return found


def paths(*names: str) -> list[str]:
    """The paths that an archive with members of these names shows, without directories."""
    archive = packed(*((name, b"x") for name in names))
    return [path for path, entry in walked(parsed(archive)).items() if isinstance(entry, Member)]


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_directories_are_listed_in_pages_and_found(limit: int) -> None:
    names = ["a/b/c.txt", "a/b/d.txt", "a/e.txt", "f.txt", "a-b/g.txt", "a.txt"]
    found = walked(parsed(packed(*((name, name.encode()) for name in names))), limit=limit)
    assert sorted(path for path, entry in found.items() if isinstance(entry, Member)) == sorted(names)
    assert sorted(path for path, entry in found.items() if isinstance(entry, bytes)) == ["a", "a-b", "a/b"]
    member = found["a/b/c.txt"]
    assert isinstance(member, Member)
    assert (member.path, member.size_bytes, member.packed_bytes) == ("a/b/c.txt", 9, 9)
    assert member.modified_s == 315532800.0, "1980-01-01, the first moment of zip"


def test_nothing_else_is_found() -> None:
    directory = parsed(packed(("a/b/c", b"")))
    for place, name in [
        (b"", "b"),
        (b"a\1", "c"),
        (b"", "a\1b"),
        (b"", "a/b"),
        (b"", ""),
        (b"a\1b\1", "c\0"),
    ]:
        assert directory.find(place, name) is None
    assert directory.find(b"", "a\udcff") is None
    assert not directory.has(b"b\1")
    assert directory.page(b"b\1", 0, 9) == []
    assert parsed(packed()).page(b"", 0, 9) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "_/_/etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\windows\\system.ini", "C__windows_system.ini"),
        ("./a//b", "a/b"),
        ("a/../b", "a/_/b"),
        ("con/aux.txt", "_con/_aux.txt"),
        ("-rf", "rf"),
        ("line\nend\x1b[2J", "line end [2J"),
        ("evil\u202etxt.exe", "eviltxt.exe"),
        ("trailing. /dot.", "trailing/dot"),
        ("x" * 300 + ".json", "x" * 255),
        ("/".join("d" * 20), "_".join("d" * 20)),
        ("ä/ö", "ä/ö"),
    ],
)
def test_names_are_harmless(name: str, shown: str) -> None:
    assert paths(name) == [shown]


def test_names_without_a_place_are_left_out() -> None:
    directory = parsed(packed(("/", b"x"), (".", b"x"), ("a", b"x")))
    assert list(walked(directory)) == ["a"]
    assert directory.left_out == 0, "there is nothing to show"


def test_every_depth_and_length_is_bounded() -> None:
    random_names = random.Random(3)
    for _try in range(20):
        name = "/".join(
            "n" * random_names.randrange(1, 300) for _part in range(random_names.randrange(1, 200))
        )
        (path,) = paths(name)
        assert path.count("/") < 16
        assert len(path) <= 2300
        assert all(len(part) <= 255 for part in path.split("/"))


def test_bad_encodings_are_survived() -> None:
    plain = packed(("name", b"x"))
    for flag, raw, shown in [
        (0x800, b"n\xffme", "n\ufffdme"),
        (0, b"n\xffme", "n\xa0me".replace("\xa0", " ")),
        (0, b"n\x81me", "nüme"),
        (0, "nüm".encode(), "nüm"),
    ]:
        data = bytearray(plain.replace(b"name", raw))
        at = data.rindex(b"PK\1\2")
        data[at + 8 : at + 10] = struct.pack("<H", flag)
        assert list(walked(parsed(bytes(data)))) == [shown]


def test_equal_names_get_numbers() -> None:
    assert sorted(paths("a.txt", "a.txt", "a.txt", "a (2).txt")) == [
        "a (2).txt",
        "a (3).txt",
        "a (4).txt",
        "a.txt",
    ]
    assert sorted(paths("a", "a", "a/b", "a/b/c")) == ["a (2)", "a (3)", "a/b (2)", "a/b/c"]
    assert sorted(paths("x" * 300 + "a", "x" * 300 + "b")) == ["x" * 251 + " (2)", "x" * 255]
    assert sorted(walked(parsed(packed(("d/", b""), ("d/", b""), ("d", b"x"), ("d/e/", b""))))) == [
        "d",
        "d (2)",
        "d/e",
    ]


def test_each_equal_name_leads_to_its_own_member() -> None:
    found = walked(parsed(packed(("a", b"1"), ("a", b"22"), ("a", b"333"))))
    assert sorted(entry.size_bytes for entry in found.values() if isinstance(entry, Member)) == [1, 2, 3]


@pytest.mark.parametrize("comment", [b"", b"x" * 0xFFFF, b"PK\5\6" + bytes(60)])
def test_the_directory_is_found_behind_anything(comment: bytes) -> None:
    archive = b"#!/bin/sh\n" + packed(("a", b"12345"), comment=comment)
    (member,) = walked(parsed(archive)).values()
    assert isinstance(member, Member)
    assert archive[member.position :].startswith(b"PK\3\4")


@pytest.mark.parametrize(
    "archive",
    [b"", b"PK\5\6", b"x" * 100_000, packed(("a", b"x"))[:-1], packed(("a", b"x")) + b"more", b"PK\3\4" * 9],
)
def test_what_is_no_archive_says_so(archive: bytes) -> None:
    with pytest.raises(BadZipError):
        parsed(archive)


def test_a_directory_that_lies_outside_is_refused() -> None:
    archive = bytearray(packed(("a", b"x")))
    for offset, value in [(12, 0xFFFFFFF0), (16, 0xFFFFFFF0), (12, MOST_DIRECTORY_BYTES + 1)]:
        data = archive.copy()
        data[len(data) - 22 + offset : len(data) - 22 + offset + 4] = struct.pack("<I", value)
        with pytest.raises(BadZipError):
            parsed(bytes(data))


def patched(archive: bytes, fields: Iterable[tuple[int, str, int]], number: int = 0) -> bytes:
    """`archive` with other fields (offset, format, value) in the directory entry `number`."""
    data = bytearray(archive)
    at = -1
    for _entry in range(number + 1):
        at = data.index(b"PK\1\2", at + 1)
    for offset, layout, value in fields:
        data[at + offset : at + offset + struct.calcsize(layout)] = struct.pack(layout, value)
    return bytes(data)


@pytest.mark.parametrize(
    "fields",
    [
        [(42, "<I", 5_000)],  # position past the end
        [(20, "<I", 5_000)],  # packed size past the end
        [(24, "<I", 3)],  # a stored member of another size
        [(10, "<H", 8), (24, "<I", 2_000_000)],  # more than deflate can pack
        [(20, "<I", 0xFFFFFFFF)],  # zip64 without its extra field
        [(42, "<I", 0)],  # the bytes of the other one
    ],
)
def test_implausible_members_are_left_out_and_the_others_stay(fields: list[tuple[int, str, int]]) -> None:
    directory = parsed(patched(packed(("a", b"x" * 10), ("b", b"y" * 10)), fields, number=1))
    assert list(walked(directory)) == ["a"]
    assert directory.left_out == 1


def test_members_that_share_bytes_are_a_bomb() -> None:
    archive = packed(*((f"bomb-{number}", b"0" * 1000) for number in range(50)))
    for number in range(50):
        archive = patched(archive, [(42, "<I", 0)], number)
    directory = parsed(archive)
    assert len(walked(directory)) == 1
    assert directory.left_out == 49


def test_entries_after_a_broken_one_are_missing() -> None:
    archive = patched(packed(("a", b"x"), ("b", b"x"), ("c", b"x")), [(0, "<I", 0)], number=1)
    assert list(walked(parsed(archive))) == ["a"]


def test_zip64_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w") as target,
        target.open(zipfile.ZipInfo("big"), "w", force_zip64=True) as member,
    ):
        member.write(b"12345")
    found = walked(parsed(file.getvalue()))
    assert [entry.size_bytes for entry in found.values() if isinstance(entry, Member)] == [5]
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    many = packed(("a", b"x"), ("b", b"x"), ("c", b"x"))
    assert many[-42:-38] == b"PK\6\7"
    assert list(walked(parsed(b"in front of it" + many))) == ["a", "b", "c"]


def test_readability_and_times() -> None:
    archive = packed(("a", b"x" * 99), method=zipfile.ZIP_DEFLATED)
    for fields, is_readable in [([], True), ([(8, "<H", 1)], False), ([(10, "<H", 12)], False)]:
        (member,) = walked(parsed(patched(archive, fields))).values()
        assert isinstance(member, Member)
        assert member.is_readable is is_readable
    (member,) = walked(parsed(patched(archive, [(12, "<I", 0)]))).values()
    assert isinstance(member, Member)
    assert member.modified_s is None, "month 0"


def test_random_damage_is_survived() -> None:
    whole = packed(*((f"d{number % 7}/{number}.bin", b"x" * number) for number in range(40)))
    dice = random.Random(14)
    for _try in range(200):
        data = bytearray(whole)
        for _byte in range(dice.choice([1, 3, 30])):
            data[dice.randrange(len(data) // 2, len(data))] = dice.randrange(256)
        try:
            directory = parsed(bytes(data))
        except BadZipError:
            continue
        found = walked(directory, limit=100)
        total = sum(
            entry.size_bytes for entry in found.values() if isinstance(entry, Member) and entry.is_readable
        )
        assert total <= 1032 * len(data)


def test_a_large_directory_takes_little_memory() -> None:
    number = 5000
    above = "account/230919004/extension/230919"
    names = [f"{above}{at % 50:03}/message-store/{at}/content/{at}.jpg" for at in range(number)]
    archive = packed(*((name, b"") for name in names))
    tracemalloc.start()
    try:
        directory = parsed(archive)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(directory) == number
    assert kept < number * 200
    assert peak < number * 450
    place = f"{above}007/message-store/".replace("/", "\1").encode()
    assert len(directory.page(place, 0, 1000)) == number // 50
