"""The server's answers to lists, page by page, and to syncs."""

from collections.abc import Sequence

import attrs

from rcfs.errors import ServerError
from rcfs.model import Record, natural, object_field, objects, text_field, uri_field

SYNC_TOKEN_LETTERS = 8192
"""Longest sync token; the server refuses a cut one, and rcfs then starts over."""


def records_of(page: Record) -> Sequence[Record]:
    """The ``records`` of a list answer, without entries that are no objects.

    Raises:
        ServerError: The page has no such array.
    """
    if not isinstance(page.get("records"), list):
        raise ServerError("the server's list has no records")
    return objects(page["records"])


def next_page_url(page: Record) -> str:
    """URI of ``navigation.nextPage``; empty on the last page."""
    return uri_field(object_field(object_field(page, "navigation"), "nextPage"))


def page_totals(page: Record) -> tuple[int | None, int | None]:
    """Numbers of (pages, records) in the whole list of which `page` is one; None for each that is absent."""
    paging = object_field(page, "paging")
    return natural(paging.get("totalPages")), natural(paging.get("totalElements"))


@attrs.frozen
class SyncAnswer:
    """The result of a sync of a mailbox."""

    records: Sequence[Record]
    """Records of messages, some of them tombstones; a message may appear twice."""
    token: str
    """Token for the next sync; empty if the answer has none."""


def sync_answer(document: Record) -> SyncAnswer:
    """The answer to a sync.

    Raises:
        ServerError: It has no records.
    """
    token = text_field(object_field(document, "syncInfo"), "syncToken", SYNC_TOKEN_LETTERS)
    return SyncAnswer(records_of(document), token)
