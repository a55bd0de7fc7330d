"""Lists that come in pages, read to their end."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rcfs.errors import ServerError
from rcfs.platform import Request, following_page, next_page_url, page_totals, records_of
from rcfs.transport._gate import RequestOptions
from rcfs.transport._requester import Requester

_MOST_PAGES = 10_000
"""Pages of one list, at most: ten million messages. A longer list is a server that repeats itself."""
_MOST_EMPTY = 3
"""Pages without a record in a row that end a list with a fault: each costs a request. One may come at the end
of a list that becomes shorter meanwhile."""


class PagedList:
    """One list of the platform, read page by page."""

    def __init__(self, requester: Requester, first: Request, options: RequestOptions) -> None:
        """Prepares a list whose first page answers `first`; nothing is sent."""
        self._requester = requester
        self._options = options
        self._first = first
        self._next: Request | None = first
        self._seen: set[str] = set()
        self._known_pages: set[tuple[int, int]] = set()
        """Hashes of the first and last record of the pages that were read."""
        self._empty_pages = 0
        """Number of pages without a record that came last."""
        self.pages = 0
        """Number of pages that were read."""
        self.of_pages: int | None = None
        """Number of pages of the whole list, as the server says; None when it does not say."""
        self.of_records: int | None = None
        """Number of records of the whole list, as the server says; None when it does not say."""

    @property
    def has_more(self) -> bool:
        """Whether the server named another page."""
        return self._next is not None

    async def page(self) -> Sequence[Mapping[str, Any]] | None:
        """The records of the next page; None at the end. A record may come twice if the list changes.

        Raises:
            PlatformError: The server failed or could not be reached.
            ServerError: The list names a next page that rcfs will not request, or never ends.
        """
        if self._next is None:
            return None
        if self.pages == _MOST_PAGES:
            raise ServerError(f"{self._first.operation}: the list does not end after {_MOST_PAGES:,} pages")
        records, next_url, totals = await self._requester.read(self._next, _page_of, self._options)
        self._check_is_new(records)
        self.pages += 1
        self.of_pages, self.of_records = totals
        self._next = self._following(next_url) if next_url else None
        return records

    def _check_is_new(self, records: Sequence[Mapping[str, Any]]) -> None:
        self._empty_pages = 0 if records else self._empty_pages + 1
        if self._empty_pages == _MOST_EMPTY:
            raise ServerError(
                f"{self._first.operation}: the server sends empty pages of the list without end"
            )
        if not records:
            return
        # A list that changes meanwhile repeats a few records, never a page.
        first, last = (hash(json.dumps(records[place], sort_keys=True)) for place in (0, -1))
        if (first, last) in self._known_pages:
            raise ServerError(f"{self._first.operation}: the server repeats a page of the list without end")
        self._known_pages.add((first, last))

    def _following(self, url: str) -> Request:
        if url in self._seen or not self._requester.hosts.may_see_token(url):
            raise ServerError(
                f"{self._first.operation}: the next page was read already, or its host must not see the token"
            )
        self._seen.add(url)
        return following_page(self._first, url)


def _page_of(
    document: dict[str, Any],
) -> tuple[Sequence[Mapping[str, Any]], str, tuple[int | None, int | None]]:
    """(records, URL of the next page, totals) of a page."""
    return records_of(document), next_page_url(document), page_totals(document)
