"""The pages of directories of searches, which are slow, so up to 2,000 entries are read together."""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from rcfs.files._locks import lock_of
from rcfs.files._openers import Listing
from rcfs.files._searching import Searching
from rcfs.files._waits import Waits
from rcfs.tree import Entry, SearchDirectory

PAGE = 32
"""Entries to a page. The first reply to the kernel has 4 KiB, which hold some 20 of them."""
_SLOW_PAGE = 2000
"""Entries to a page of a directory that is not quick: in 100,000 messages each page of a search for a common
prefix takes 0.3 s (measured 2026-11)."""


class SearchPages:
    """The listings of searches; all methods run in the trio thread."""

    def __init__(self, searching: Searching, waits: Waits) -> None:
        self._searching = searching
        self._waits = waits

    async def page(self, listing: Listing, directory: SearchDirectory, after: int) -> Sequence[Entry]:
        """The next entries after the cursor `after`; empty at the end."""
        is_there = listing.ahead_after <= after and (not listing.ahead or after < listing.ahead[-1].cursor)
        if not is_there or listing.ahead_edition != self._searching.edition:
            # The kernel does not say which process continues a listing.
            await self._waits.briefly(None, lock_of(directory), lambda: self.read(listing, directory, after))
        start = bisect_right(listing.ahead, after, key=attrgetter("cursor"))
        page = listing.ahead[start : start + PAGE]
        if not page:
            listing.end = after
        return page

    async def read(self, listing: Listing, directory: SearchDirectory, after: int) -> None:
        """Reads many entries ahead, from the cursor `after` on."""
        searching = self._searching
        # Read it first, so that a change during the query makes its result old.
        edition = searching.edition
        listing.ahead = await searching.ask(
            lambda: searching.page(directory, after, _SLOW_PAGE), (directory.query, after)
        )
        listing.ahead_after, listing.ahead_edition = after, edition
