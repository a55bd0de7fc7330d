"""Pieces of long texts, so that no text has to be in memory."""

from collections.abc import Iterable, Iterator

_PIECE_BYTES = 1 << 16
"""Least size of a piece: a message has some hundred bytes, and each write to a file costs 2 µs."""


def pieces_of(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of `parts` in their order, in pieces of whole parts; no piece is empty.

    Each piece but the last has at least 64 KiB, and only one is in memory.
    """
    piece = bytearray()
    for part in parts:
        piece += part
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
