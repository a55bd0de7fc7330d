"""Quirks of exports: the layouts that the documentation allows, and archives that are wrong or hostile.

A quirk that concerns a single file takes the content at its own place in the report (`_PLACES`), so several
quirks together change different files. All archives of a report without enough contents are as usual.
"""

import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Final

import attrs

from rcfs.simulator._archives import Archive, Packing, SizedFile, cut_archives

BOMB_BYTES: Final = 1 << 28
"""Size of the zeros that unpack from the 270 kB of a bomb: no attachment is as large."""
_ZEROS: Final = bytes(1 << 20)
_EVERY: Final = 3
"""`Quirk.MISSING_MEMBERS` leaves out every third content."""
_PAGE: Final = b"<!doctype html><title>503</title><p>The archive is being prepared, please try again later.\n"
_DEFLATED: Final = 8
_IS_ENCRYPTED: Final = 0x01
"""Compression method and flag (APPNOTE.TXT of PKWARE, 4.4.5 and 4.4.4)."""


class Quirk(Enum):
    """One quirk; the value is its name in options and JSON, its `help` a line for people."""

    help: str

    PROSE_PATHS = "prose_paths", "name contents as the documentation's prose does, not as its picture"
    BARE_RECORDS = "bare_records", "list records in an array, without an object around it"
    DEFLATED = "deflated", "compress contents"
    STREAMED = "streamed", "compress contents, with sizes and CRC behind each"
    BAD_RECORDS = "bad_records", "add records of strange types, and a file of records that is no JSON"
    MISSING_MEMBERS = "missing_members", "leave out every third content"
    UNKNOWN_MEMBERS = "unknown_members", "add files that belong to no message"
    DUPLICATES = "duplicates", "pack a content twice, the second time with other bytes"
    LEADS_OUT = "leads_out", "add files whose paths lead out of the directory"
    BOMB = "bomb", "add a file that unpacks to 256 MiB"
    HIDDEN_BOMB = "hidden_bomb", "replace a content by 256 MiB, under its usual size"
    WRONG_CRC = "wrong_crc", "give a content a wrong CRC"
    DIFFERENT_BYTES = "different_bytes", "change a byte of a content, with the right CRC"
    OTHER_ENCODING = "other_encoding", "name a content in Latin-1"
    ENCRYPTED = "encrypted", "say that a content is encrypted"
    TRUNCATED = "truncated", "cut the first archive of contents in half"
    NOT_ZIP = "not_zip", "serve an HTML page as the first archive of contents"
    WRONG_SIZE = "wrong_size", "list the first archive of contents with a wrong size"
    NO_ARCHIVES = "no_archives", "list no archive"

    def __new__(cls, name: str, text: str) -> "Quirk":
        member = object.__new__(cls)
        member._value_ = name
        member.help = text
        return member


_PLACES: Mapping[Quirk, int] = MappingProxyType(
    {
        Quirk.WRONG_CRC: 0,
        Quirk.DUPLICATES: 1,
        Quirk.DIFFERENT_BYTES: 2,
        Quirk.OTHER_ENCODING: 3,
        Quirk.ENCRYPTED: 4,
        Quirk.HIDDEN_BOMB: 5,
    }
)
"""The place of the content that a quirk changes, from 0."""


def quirks_of(names: Collection[str]) -> frozenset[Quirk]:
    """The quirks with these names.

    Raises:
        ValueError: A name is unknown.
    """
    known = {quirk.value: quirk for quirk in Quirk}
    for name in names:
        if name not in known:
            raise ValueError(f"{name} is no quirk of exports; known are {', '.join(known)}")
    return frozenset(known[name] for name in names)


def archives_with_quirks(
    files: Iterator[SizedFile], most_bytes: int, quirks: Collection[Quirk]
) -> Iterator[Archive]:
    """The archives of `files`, each of at most `most_bytes`, see `cut_archives`; with `quirks`."""
    changed = _with_quirks(files, quirks)
    for number, archive in enumerate(cut_archives(changed, most_bytes, _packing_of(quirks))):
        if number == 0:
            _spoil(archive, quirks)
        yield archive


def _packing_of(quirks: Collection[Quirk]) -> Packing:
    if Quirk.STREAMED in quirks:
        return Packing.STREAMED
    return Packing.DEFLATED if Quirk.DEFLATED in quirks else Packing.STORED


def _with_quirks(files: Iterator[SizedFile], quirks: Collection[Quirk]) -> Iterator[SizedFile]:
    """`files` as an archive with `quirks` has them."""
    for place, file in enumerate(files):
        if place == 0:
            yield from _beside(file, quirks)
        if Quirk.MISSING_MEMBERS in quirks and place % _EVERY == _EVERY - 1:
            continue
        yield from _changed(file, {quirk for quirk in quirks if _PLACES.get(quirk) == place})


def _spoil(archive: Archive, quirks: Collection[Quirk]) -> None:
    """Apply the quirks that concern a whole archive to the first archive of contents."""
    if Quirk.TRUNCATED in quirks:
        archive.truncate(archive.size_bytes // 2)
    if Quirk.NOT_ZIP in quirks:
        archive.replace(_PAGE)
    if Quirk.WRONG_SIZE in quirks:
        archive.listed_bytes += 1000


def _beside(file: SizedFile, quirks: Collection[Quirk]) -> Iterator[SizedFile]:
    """The files that `quirks` add before the first file."""
    folder = file.name.rpartition("/")[0]
    if Quirk.UNKNOWN_MEMBERS in quirks:
        for name in (
            "read me.txt",
            "account/1/extension/1/message-store/1/content/1.txt",
            f"{folder}/999999999999.bin",
            f"{folder}/not-a-number.bin",
        ):
            yield SizedFile.of(name, file.time_s, b"belongs to no message")
    if Quirk.LEADS_OUT in quirks:
        for name in (
            "../../../rcfs-was-here",
            "/tmp/rcfs-was-here",  # noqa: S108 - never written
            "..\\..\\rcfs-was-here",
            f"{folder}/../../../../../../../../rcfs-was-here",
        ):
            yield SizedFile.of(name, file.time_s, b"leads out")
    if Quirk.BOMB in quirks:
        yield _bomb(f"{folder}/999999999998.bin", file.time_s, None)


def _changed(file: SizedFile, quirks: Collection[Quirk]) -> Iterator[SizedFile]:
    """The files that an archive has in place of `file`."""
    if Quirk.HIDDEN_BOMB in quirks:
        file = _bomb(file.name, file.time_s, file.size_bytes)
    if Quirk.DIFFERENT_BYTES in quirks:
        file = attrs.evolve(file, pieces=_flipped(iter(file.pieces)))
    if Quirk.OTHER_ENCODING in quirks:
        file = attrs.evolve(file, name=f"{file.name[:-1]}ü", encoding="latin-1")
    if Quirk.WRONG_CRC in quirks:
        file = attrs.evolve(file, forge=_break_crc)
    if Quirk.ENCRYPTED in quirks:
        file = attrs.evolve(file, forge=_say_encrypted)
    yield file
    if Quirk.DUPLICATES in quirks:
        # `zipfile` warns of a name that it has already, so the entry gets it afterwards.
        other = SizedFile.of(f"{file.name[:-1]}~", file.time_s, b"?" * file.size_bytes)
        yield attrs.evolve(other, forge=_Renaming(file.name))


def _bomb(name: str, time_s: float, told_bytes: int | None) -> SizedFile:
    """`BOMB_BYTES` of zeros; the headers tell `told_bytes` instead, unless that is None."""
    # After a full flush a stream continues without what came before, so each block is the same.
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = squeezer.compress(_ZEROS) + squeezer.flush(zlib.Z_FULL_FLUSH)
    end = squeezer.flush(zlib.Z_FINISH)
    count = BOMB_BYTES // len(_ZEROS)

    def forge(entry: zipfile.ZipInfo) -> None:
        entry.compress_type, entry.CRC = _DEFLATED, _crc_of_bomb()
        entry.file_size = BOMB_BYTES if told_bytes is None else told_bytes

    return SizedFile(
        name,
        time_s,
        (block if number < count else end for number in range(count + 1)),
        len(block) * count + len(end),
        as_is=True,
        forge=forge,
    )


@cache
def _crc_of_bomb() -> int:
    crc = 0
    for _ in range(BOMB_BYTES // len(_ZEROS)):
        crc = zlib.crc32(_ZEROS, crc)
    return crc


def _flipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """`pieces` with another first byte."""
    first = next(pieces, b"")
    yield bytes([first[0] ^ 0xFF]) + first[1:] if first else b""
    yield from pieces


def _break_crc(entry: zipfile.ZipInfo) -> None:
    entry.CRC ^= 1


def _say_encrypted(entry: zipfile.ZipInfo) -> None:
    entry.flag_bits |= _IS_ENCRYPTED


@attrs.frozen
class _Renaming:
    """Gives an entry another name of the same length."""

    name: str

    def __call__(self, entry: zipfile.ZipInfo) -> None:
        entry.filename = self.name
