"""Query parameters as the platform reads them, and the pages of a list."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import attrs

from rcfs.simulator._wire import bad_parameter

DEFAULT_PER_PAGE = 100
"""Records per page by default (parameter perPage of listMessages)."""

MAX_PER_PAGE = 1000
"""Most records per page; a larger perPage is lowered silently (schema MessagingPagingInfo)."""


class Query:
    """The query of one request.

    A raw ``+`` is a plus sign, because the official Python SDK sends phone numbers and time zones with one.
    Only names contain spaces; `words` reads those.
    """

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._pairs = parse_qsl(raw.replace("+", "%2B"), keep_blank_values=True)

    def text(self, name: str, default: str = "") -> str:
        """The first value of `name`, or `default`."""
        return next((value for key, value in self._pairs if key == name), default)

    def texts(self, name: str) -> list[str]:
        """All values of `name`, in their order."""
        return [value for key, value in self._pairs if key == name]

    @classmethod
    def of(cls, values: Mapping[str, Sequence[str]]) -> "Query":
        """A query with these values."""
        return cls(urlencode(values, doseq=True))

    def words(self, name: str, default: str = "") -> str:
        """The first value of `name`, or `default`, with ``+`` read as a space."""
        return next((value for key, value in parse_qsl(self._raw) if key == name), default)

    def fields(self) -> dict[str, str]:
        """All parameters as in a form: ``+`` is a space, and the first of equal names counts."""
        return form_fields(self._raw.encode())

    def choices(self, name: str, allowed: Collection[str]) -> frozenset[str]:
        """All values of `name`; empty when it is absent.

        Raises:
            ApiError: 400, a value is not among `allowed`.
        """
        values = frozenset(value for key, value in self._pairs if key == name)
        for value in sorted(values.difference(allowed)):
            raise bad_parameter(name, value)
        return values

    def positive(self, name: str, default: int) -> int:
        """The value of `name` as an integer of at least 1, or `default`.

        Raises:
            ApiError: 400, the value is not a positive integer.
        """
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdecimal() and int(value) >= 1):
            raise bad_parameter(name, value)
        return int(value)

    def moment(self, name: str, default: float) -> float:
        """The value of `name` in seconds since 1970-01-01 UTC, or `default`.

        Raises:
            ApiError: 400, the value is not an ISO 8601 date and time with a time zone.
        """
        value = self.text(name)
        if not value:
            return default
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise bad_parameter(name, value) from None
        if moment.tzinfo is None:
            raise bad_parameter(name, value)
        return moment.timestamp()

    def refuse(self, names: Collection[str]) -> None:
        """Refuse filters that are documented but not simulated, instead of ignoring them.

        Raises:
            ApiError: 400, one of `names` is in the query.
        """
        for key, value in self._pairs:
            if key in names:
                raise bad_parameter(key, value)

    def with_values(self, values: Mapping[str, str]) -> str:
        """The query as text, with `values` replacing the values of these names."""
        kept = [(key, value) for key, value in self._pairs if key not in values]
        return urlencode([*kept, *values.items()])


@attrs.frozen
class Page:
    """One page of a list."""

    items: Sequence[Any]
    """The items on it."""
    paging: Mapping[str, int]
    """The ``paging`` object; without page numbers when the page is empty (schema MessagingPagingInfo)."""
    navigation: Mapping[str, Mapping[str, str]]
    """The ``navigation`` object: absolute URIs that keep the query."""
    uri: str
    """Absolute URI of the page itself."""


def iso_time(seconds: float) -> str:
    """`seconds` since 1970-01-01 UTC in the API's notation, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def form_fields(body: bytes) -> dict[str, str]:
    """The fields of a form body; the first of equal names counts."""
    return dict(reversed(parse_qsl(body.decode(errors="replace"))))


def clamp_per_page(query: Query) -> int:
    """The page size for `query`, lowered to the maximum.

    Raises:
        ApiError: 400, perPage is not a positive integer.
    """
    return min(query.positive("perPage", DEFAULT_PER_PAGE), MAX_PER_PAGE)


def make_page(items: Sequence[Any], query: Query, base_uri: str, kept: Mapping[str, str]) -> Page:
    """The page of `items` that `query` asks for.

    Args:
        items: The whole list.
        query: The query of the request.
        base_uri: Absolute URI of the list, without query.
        kept: Further parameters for the URIs: defaults that must stay the same from page to page.

    Raises:
        ApiError: 400, page or perPage is not a positive integer.
    """
    page, per_page = query.positive("page", 1), clamp_per_page(query)
    pages = math.ceil(len(items) / per_page)
    start = (page - 1) * per_page
    shown = items[start : start + per_page]
    paging = {"perPage": per_page, "totalPages": pages, "totalElements": len(items)}
    if shown:
        paging |= {"page": page, "pageStart": start, "pageEnd": start + len(shown) - 1}

    def uri(number: int) -> str:
        return f"{base_uri}?{query.with_values({**kept, 'page': str(number), 'perPage': str(per_page)})}"

    navigation = {"firstPage": {"uri": uri(1)}, "lastPage": {"uri": uri(max(pages, 1))}}
    if page > 1:
        navigation["previousPage"] = {"uri": uri(page - 1)}
    if page < pages:
        navigation["nextPage"] = {"uri": uri(page + 1)}
    return Page(shown, paging, navigation, uri(page))
