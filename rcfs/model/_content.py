"""Contents: a wanted one, ranges of its bytes, and the sizes of chunks and of the cache."""

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
    """A content that a caller wants to read, with its metadata."""

    key: ContentKey
    """The identity of the content."""
    uri: str = ""
    """URI from the record; empty if it has none."""
    content_type: str = ""
    """Media type from the record; empty if it has none."""
    size_known: bool = False
    """Whether the index has the exact size."""
    purged: bool = False
    """Whether the platform has purged it: only the cache can have it then, so no request is sent for it."""
    owner: int = 0
    """Extension that a recording belongs to, 0 for the company; all other kinds have theirs in the key."""


@attrs.frozen
class ByteRange:
    """Bytes ``[start, stop)`` of a content, ``0 <= start < stop``; a `stop` of None means to the end."""

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
