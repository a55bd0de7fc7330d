"""Content codings: decodes gzip or deflate in steps, so that a small body cannot take all memory.

zlib can make a thousand bytes of one, and a second coding around the first a million. So at most one coding
is decoded, and never more of it than the caller asks for.
"""

import zlib
from collections.abc import Sequence

PIECE_BYTES = 256 << 10
"""Most bytes of one step: decoding them takes about a millisecond of the event loop."""

_GZIP = zlib.MAX_WBITS | 16
"""zlib's number for the format of RFC 1952."""
_RAW = -zlib.MAX_WBITS
"""zlib's number for RFC 1951 without a header, which some servers send as ``deflate``."""


def codings_of(header: str) -> Sequence[str]:
    """The codings in a ``Content-Encoding`` header, in lower case, without ``identity``."""
    names = (name.strip().lower() for name in header.split(","))
    return [name for name in names if name not in ("", "identity")]


class Inflater:
    """Decodes one coding: `feed` it a piece of the body, then `take` until the result is empty."""

    def __init__(self, coding: str) -> None:
        """A decoder for `coding`, ``gzip`` or ``deflate``."""
        self._decoder = zlib.decompressobj(_GZIP if coding == "gzip" else zlib.MAX_WBITS)
        self._may_be_raw = coding == "deflate"
        self._rest = b""

    @property
    def is_partial(self) -> bool:
        """Whether the coded data has begun and not ended, so that a body that ends now was cut off."""
        return not self._decoder.eof and not self._may_be_raw

    def feed(self, data: bytes) -> None:
        """Adds a piece of the body; the caller must have taken all of the previous one."""
        self._rest = data

    def take(self) -> bytes:
        """At most PIECE_BYTES of the decoded body; empty when the caller must feed the next piece.

        Raises:
            zlib.error: The body is not in this coding.
        """
        if not self._rest or self._decoder.eof:
            return b""
        try:
            piece = self._decoder.decompress(self._rest, PIECE_BYTES)
        except zlib.error:
            if not self._may_be_raw:
                raise
            self._decoder = zlib.decompressobj(_RAW)
            piece = self._decoder.decompress(self._rest, PIECE_BYTES)
        self._may_be_raw = False
        self._rest = self._decoder.unconsumed_tail
        return piece
