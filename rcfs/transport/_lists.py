"""Lists that come in pages, read to their end."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from rcfs.errors import ServerError
from rcfs.platform import Client, Request, following_page, next_page_url, page_totals, records_of
from rcfs.transport._gate import Demand
from rcfs.transport._requester import Requester

_MOST_PAGES = 10_000
"""Pages of one list, at most: ten million messages; more is a server that goes in circles."""


@attrs.frozen
class _Page:
    records: Sequence[Mapping[str, Any]]
    next_url: str
    of_pages: int | None
    of_records: int | None


class Lists:
    """Reads lists; any number at the same time."""

    def __init__(self, requester: Requester, client: Client) -> None:
        self._requester = requester
        self._client = client

    def open(self, first: Request, demand: Demand) -> "List":
        """The list whose first page `first` asks for; nothing is sent by this."""
        return List(self._requester, self._client, first, demand)


class List:
    """One list, read page by page."""

    def __init__(self, requester: Requester, client: Client, first: Request, demand: Demand) -> None:
        self._requester = requester
        self._client = client
        self._demand = demand
        self._first = first
        self._next: Request | None = first
        self._seen: set[str] = set()
        self.pages = 0
        """How many pages were read."""
        self.of_pages: int | None = None
        """How many there are, as the server says; None when it does not say."""
        self.of_records: int | None = None
        """How many records there are; the same."""

    async def page(self) -> Sequence[Mapping[str, Any]] | None:
        """The records of the next page; None at the end. Records may come twice when the list changes.

        Raises:
            PlatformError: The server failed or could not be reached.
            ServerError: The list names a next page that rcfs will not follow, or never ends.
        """
        if self._next is None:
            return None
        if self.pages == _MOST_PAGES:
            raise ServerError(f"{self._first.operation}: the list has no end")
        page = await self._requester.read(self._next, _page_facts, self._demand)
        self.pages += 1
        self.of_pages, self.of_records = page.of_pages, page.of_records
        self._next = self._following(page.next_url) if page.next_url else None
        return page.records

    def _following(self, url: str) -> Request:
        if url in self._seen or not self._client.hosts.may_see_token(url):
            raise ServerError(f"{self._first.operation}: the next page of the list leads astray")
        self._seen.add(url)
        return following_page(self._first, url)


def _page_facts(page: dict[str, Any]) -> _Page:
    return _Page(tuple(records_of(page)), next_page_url(page), *page_totals(page))
