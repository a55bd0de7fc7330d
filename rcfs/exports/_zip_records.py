"""The records of a zip file that arrives: headers before members, data descriptors, entries of the directory.

See `rcfs.zipformat`, also for the numbers of sections.
"""

import struct
import zlib
from hashlib import blake2b
from typing import Final

import attrs

from rcfs.zipformat import (
    DEFLATED,
    DESCRIPTOR,
    ENTRY,
    ENTRY_RECORD,
    IS_DESCRIBED,
    IS_ENCRYPTED,
    IS_UTF8,
    LOCAL_RECORD,
    MEMBER,
    STORED,
    extra_fields,
    from_zip64,
)

_UNICODE_PATH: Final = 0x7075
"""Id of an extra field (4.6.9)."""
_TALLY_END: Final = 1 << 64


@attrs.frozen
class Member:
    """A member, as the header before it tells."""

    offset: int
    """Position of its header in the archive."""
    name: str
    """Its path, from a stranger; characters that cannot be decoded are U+FFFD."""
    raw_name: bytes
    """Its path as it stands in the header."""
    method: int
    """Method of compression."""
    size_bytes: int | None
    """Size of its content; None when it follows the content."""
    packed_bytes: int | None
    """Bytes that it takes in the archive; None when that follows the content."""
    crc: int
    """CRC-32 of its content; 0 when it follows the content."""
    is_described: bool
    """Whether a data descriptor follows the content."""
    problem: str
    """Why its content cannot be read, as part of a sentence; empty when it can."""

    @property
    def is_directory(self) -> bool:
        """Whether it stands for a directory, and has no content."""
        return self.name.endswith("/")


@attrs.define
class Tally:
    """A sum over members, in any order: two lists with equal sums have the same members."""

    count: int = 0
    """Number of members."""
    total: int = 0
    """Sum of a digest of each member, modulo 2^64."""

    def add(self, offset: int, raw_name: bytes, crc: int, size_bytes: int) -> None:
        """Add a member."""
        digest = blake2b(b"%d %d %d " % (offset, crc, size_bytes) + raw_name, digest_size=8).digest()
        self.count += 1
        self.total = (self.total + int.from_bytes(digest)) % _TALLY_END


def header_bytes(head: bytes) -> int:
    """Length in bytes of the header of a member whose first bytes are `head`."""
    *_fields, name_bytes, extra_bytes = LOCAL_RECORD.unpack(head[: LOCAL_RECORD.size])
    return LOCAL_RECORD.size + int(name_bytes) + int(extra_bytes)


def parse_member(header: bytes, offset: int) -> Member:
    """The member whose whole header is `header`."""
    _sig, _version, flags, method, _time, _date, crc, packed, size, name_end, _extra = (
        LOCAL_RECORD.unpack_from(header)
    )
    raw_name = header[LOCAL_RECORD.size : LOCAL_RECORD.size + name_end]
    extra = header[LOCAL_RECORD.size + name_end :]
    size_bytes, packed_bytes = from_zip64(extra, size, packed)
    is_damaged = size_bytes is None or packed_bytes is None
    is_described = bool(flags & IS_DESCRIBED)
    # With a descriptor the header has zeros, or the true values (4.4.4, bit 3), which some writers know.
    is_known = not is_damaged and not (is_described and packed_bytes == 0)
    return Member(
        offset=offset,
        name=_decoded(raw_name, flags, dict(extra_fields(extra)).get(_UNICODE_PATH, b"")),
        raw_name=raw_name,
        method=method,
        size_bytes=size_bytes if is_known else None,
        packed_bytes=packed_bytes if is_known else None,
        crc=crc,
        is_described=is_described,
        problem=_problem(flags, method, is_damaged=is_damaged),
    )


def entry_bytes(head: bytes) -> int:
    """Length in bytes of the directory's entry whose first bytes are `head`."""
    *_fields, name, extra, comment, _disk, _internal, _external, _offset = ENTRY_RECORD.unpack(
        head[: ENTRY_RECORD.size]
    )
    return ENTRY_RECORD.size + int(name) + int(extra) + int(comment)


def add_entry(tally: Tally, entry: bytes) -> None:
    """Add the member of a whole directory entry to `tally`."""
    fields = ENTRY_RECORD.unpack_from(entry)
    crc, packed, size, name_end, extra_end, offset = *fields[7:12], fields[16]
    raw_name = entry[ENTRY_RECORD.size : ENTRY_RECORD.size + name_end]
    extra = entry[ENTRY_RECORD.size + name_end : ENTRY_RECORD.size + name_end + extra_end]
    true_size, _packed, true_offset = from_zip64(extra, size, packed, offset)
    tally.add(
        offset if true_offset is None else true_offset,
        raw_name,
        crc,
        size if true_size is None else true_size,
    )


def descriptor_bytes(found: bytes, crc: int | None, packed_bytes: int, size_bytes: int) -> int:
    """Length in bytes of the data descriptor at the beginning of `found`; 0 if none there has these values.

    The signature may be missing, and sizes have 32 or 64 bits, which nothing tells for certain (4.3.9). So a
    descriptor counts only if the signature of the next record follows. A `crc` of None fits any.
    """
    for signature in (DESCRIPTOR, b""):
        for form in ("<II", "<QQ"):
            sizes = (
                struct.pack(form, packed_bytes, size_bytes) if _fits(form, packed_bytes, size_bytes) else b""
            )
            begin = len(signature) + 4
            end = begin + len(sizes)
            if (
                sizes
                and found.startswith(signature)
                and found[begin:end] == sizes
                and (crc is None or found[len(signature) : begin] == crc.to_bytes(4, "little"))
                and begins_record(found[end : end + 4])
            ):
                return end
    return 0


def unchecked_descriptor_bytes(found: bytes) -> int:
    """As `descriptor_bytes`, whatever the values of the descriptor are."""
    lengths = (16, 24) if found.startswith(DESCRIPTOR) else (12, 20)
    return next((each for each in lengths if begins_record(found[each : each + 4])), 0)


def begins_record(signature: bytes) -> bool:
    """Whether a record that may follow a member begins with `signature`."""
    return signature in (MEMBER, ENTRY)


def _fits(form: str, *values: int) -> bool:
    return form == "<QQ" or max(values) < 1 << 32


def _decoded(raw_name: bytes, flags: int, unicode_path: bytes) -> str:
    """The name: in UTF-8 if the header has that flag (appendix D), else in the code page of DOS."""
    if flags & IS_UTF8:
        return raw_name.decode("utf-8", "replace")
    version_and_crc = b"\1" + zlib.crc32(raw_name).to_bytes(4, "little")
    if unicode_path.startswith(version_and_crc):
        return unicode_path[len(version_and_crc) :].decode("utf-8", "replace")
    return raw_name.decode("cp437")


def _problem(flags: int, method: int, *, is_damaged: bool) -> str:
    if is_damaged:
        return "its header lacks a size"
    if flags & IS_ENCRYPTED:
        return "it is encrypted"
    return "" if method in (STORED, DEFLATED) else f"rcfs does not know its compression, method {method}"
