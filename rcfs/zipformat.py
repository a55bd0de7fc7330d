"""The records of a zip file. Source: APPNOTE.TXT of PKWARE, version 6.3.10; numbers here are its sections."""

import struct
from collections.abc import Iterator
from typing import Final

MEMBER: Final = b"PK\3\4"
DESCRIPTOR: Final = b"PK\7\x08"
ENTRY: Final = b"PK\1\2"
END: Final = b"PK\5\6"
END_64: Final = b"PK\6\6"
LOCATOR_64: Final = b"PK\6\7"
"""Signatures (4.3.7, 4.3.9, 4.3.12, 4.3.16, 4.3.14, 4.3.15)."""

LOCAL_RECORD: Final = struct.Struct("<4s5H3I2H")
"""The header in front of a member, which its name and extra fields follow (4.3.7): signature, version, flags,
method, time, date, CRC, packed size, size, length of the name, of the extra fields."""
ENTRY_RECORD: Final = struct.Struct("<4s6H3I5H2I")
"""The entry of a member in the directory (4.3.12): signature, two versions, flags, method, time, date, CRC,
packed size, size, lengths of name, extra fields and comment, disk, two attributes, position of the header."""
END_RECORD: Final = struct.Struct("<4s4H2IH")
"""The end of an archive (4.3.16): signature, two disks, two counts, size and position of the directory, and
the length of the comment."""
END_64_RECORD: Final = struct.Struct("<4sQ2H2I4Q")
"""As `END_RECORD` with 64 bits (4.3.14): signature, size of the rest, two versions, two disks, two counts,
size and position of the directory."""
LOCATOR_64_RECORD: Final = struct.Struct("<4sIQI")
"""Where the record with 64 bits is (4.3.15)."""

STORED: Final = 0
DEFLATED: Final = 8
"""Methods of compression (4.4.5); rcfs reads no others."""

IS_ENCRYPTED: Final = 1 << 0
IS_DESCRIBED: Final = 1 << 3
IS_ENCRYPTED_STRONGLY: Final = 1 << 6
IS_UTF8: Final = 1 << 11
IS_MASKED: Final = 1 << 13
"""Bits of the general purpose flag (4.4.4)."""

_IN_ZIP64: Final = 0xFFFFFFFF
"""A number of 32 bits whose true value stands in an extra field (4.4.8)."""
_ZIP64: Final = 1
"""Id of that extra field (4.5.3)."""


def extra_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(id, data) of each extra field (4.5.1), up to the first that is cut."""
    while len(data) >= 4:
        number, length = struct.unpack_from("<HH", data)
        if length > len(data) - 4:
            return
        yield number, data[4 : 4 + length]
        data = data[4 + length :]


def from_zip64(extra: bytes, *numbers: int) -> tuple[int | None, ...]:
    """The true values of `numbers`, which are in the order of the zip64 field.

    None for each that is too large for 32 bits, and missing in the extra fields `extra`.
    """
    if _IN_ZIP64 not in numbers:
        return numbers
    field = dict(extra_fields(extra)).get(_ZIP64, b"")
    wide = (value for (value,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8]))
    return tuple(next(wide, None) if number == _IN_ZIP64 else number for number in numbers)
