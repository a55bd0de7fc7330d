"""Size and use of the content cache and of its pins, at one moment."""

from pathlib import Path

import attrs


@attrs.frozen
class CacheStats:
    """The cache at one moment."""

    directory: Path
    """Its directory."""
    size_bytes: int
    """Bytes on the disk, the database included."""
    limit_bytes: int
    """The cap of `size_bytes`."""
    contents: int
    """Contents that are there whole or in part, whichever process stored them."""
    hits: int
    """Loads through this object that found the whole content."""
    misses: int
    """Loads through this object that did not."""


@attrs.frozen
class PinStats:
    """The pinned contents at one moment."""

    contents: int
    """Number of pinned contents."""
    cached: int
    """Number of those that are there whole or in part."""
    size_bytes: int
    """Bytes that those take on the disk."""
