"""Opens the content cache that some settings describe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rcfs.config import Settings

if TYPE_CHECKING:
    from rcfs.store import ContentCache


@contextmanager
def open_cache(settings: Settings, warn: Callable[[str], None]) -> "Iterator[ContentCache]":
    """The content cache of `settings`, closed at the end; `warn` gets its warnings, a line each.

    Raises:
        StoreError: Its directory cannot be used.
    """
    from rcfs.store import ContentCache  # noqa: PLC0415 - quick commands do not load the store

    cache = ContentCache.open(settings.cache_dir, size_limit_bytes=settings.cache_size_bytes, warn=warn)
    try:
        yield cache
    finally:
        cache.close()
