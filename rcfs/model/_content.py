"""What asks for the bytes of a content, and measures them."""

import attrs

from rcfs.model._keys import ContentKey

CHUNK_BYTES = 1 << 20
"""Size of a cached chunk in bytes, and their alignment; the last chunk of a content is shorter.

One MiB costs one diskcache write of about 0.7 ms (measured 2026-11), so a 50 MB recording costs 50
writes, and nearly every voicemail, fax and MMS file is a single chunk.
"""
DEFAULT_CACHE_BYTES = 10 << 30
"""Cap of the content cache: some 100,000 voicemails of 100 kB, or 200 recordings of 50 MB."""


@attrs.frozen
class Wanted:
    """A content that somebody wants to read, and what the records tell of it."""

    key: ContentKey
    """Which content."""
    uri: str = ""
    """Where the payload says it is; empty when it does not."""
    content_type: str = ""
    """Media type by the record; empty when unknown."""
    size_known: bool = False
    """Whether the exact size is in the index already."""
    purged: bool = False
    """Whether the platform has purged it, so that only the cache can have it: no request is sent for it."""


@attrs.frozen
class ByteRange:
    """Bytes ``[start, stop)`` of a content; ``0 <= start < stop``, or stop None for "to the end"."""

    start: int = attrs.field()
    """First byte, counted from 0."""
    stop: int | None = attrs.field(default=None)
    """One past the last byte; None when the range is open."""

    @start.validator
    def _check_start(self, _attribute: object, value: int) -> None:
        if value < 0:
            raise ValueError(f"a byte range cannot start at {value}")

    @stop.validator
    def _check_stop(self, _attribute: object, value: int | None) -> None:
        if value is not None and value <= self.start:
            raise ValueError(f"the byte range [{self.start}, {value}) is empty")

    def __str__(self) -> str:
        """The range as the value of a ``Range`` header (RFC 9110, 14.1.2): last byte inclusive."""
        return f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"
