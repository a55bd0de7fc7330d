"""Lists and syncs as the server answers them, page by page."""

from collections.abc import Sequence

import attrs

from rcfs.errors import ServerError
from rcfs.model import Record, natural, objects, text_field, uri_field

_TOKEN_LETTERS = 8192
"""Longest sync token; a cut one is refused, and the mailbox then loaded anew."""


def records_of(page: Record) -> Sequence[Record]:
    """The ``records`` of a list answer, without entries that are no objects.

    Raises:
        ServerError: There is no array of that name.
    """
    if not isinstance(page.get("records"), list):
        raise ServerError("the server's list has no records")
    return objects(page["records"])


def next_page_url(page: Record) -> str:
    """URI of ``navigation.nextPage``; empty on the last page."""
    navigation = page.get("navigation")
    following = navigation.get("nextPage") if isinstance(navigation, dict) else None
    return uri_field(following) if isinstance(following, dict) else ""


def page_totals(page: Record) -> tuple[int | None, int | None]:
    """(pages, records) that the whole list has, of which `page` is one; None for what it does not say."""
    paging = page.get("paging")
    if not isinstance(paging, dict):
        return None, None
    return natural(paging.get("totalPages")), natural(paging.get("totalElements"))


@attrs.frozen
class SyncAnswer:
    """What a sync of a mailbox tells."""

    records: Sequence[Record]
    """Records of messages, some of them tombstones; a message may come twice."""
    token: str
    """Continues from here; empty when the answer has none."""


def sync_answer(document: Record) -> SyncAnswer:
    """The answer to a sync.

    Raises:
        ServerError: There are no records.
    """
    info = document.get("syncInfo")
    return SyncAnswer(
        records_of(document), text_field(info, "syncToken", _TOKEN_LETTERS) if isinstance(info, dict) else ""
    )
