"""Ids of collections."""

import pytest

from rcfs.model import CALLS, COMPANY, MAILBOX, PROMPTS, collection_of, kind_of, owner_of, part_of


@pytest.mark.parametrize(
    ("collection", "parts"),
    [
        ("mailbox/101", (MAILBOX, 101, "")),
        ("calls/company/2026-11", (CALLS, COMPANY, "2026-11")),
        ("calls/101/2026-11", (CALLS, 101, "2026-11")),
        ("prompts/company", (PROMPTS, COMPANY, "")),
    ],
)
def test_an_id_has_the_kind_the_owner_and_the_part(collection: str, parts: tuple[str, int, str]) -> None:
    assert collection_of(*parts) == collection
    assert (kind_of(collection), owner_of(collection), part_of(collection)) == parts
