"""Ids of collections, the lists that rcfs loads whole and keeps current: kind, owner, and which of several.

The kind comes first, then the extension or the company that owns the collection, then a month where an owner
has several: ``mailbox/101``, ``calls/company/2026-11``, ``greetings/101``, ``prompts/company``.
"""

from typing import Final

from rcfs.model._calls import COMPANY

MAILBOX: Final = "mailbox"
CALLS: Final = "calls"
GREETINGS: Final = "greetings"
PROMPTS: Final = "prompts"
"""The kinds."""

_COMPANY_NAME: Final = "company"


def collection_of(kind: str, owner: int = COMPANY, part: str = "") -> str:
    """The id of a collection of the extension `owner`, or of the company.

    Args:
        kind: `MAILBOX`, `CALLS`, `GREETINGS` or `PROMPTS`.
        owner: Internal id of an extension, or `COMPANY`.
        part: Which of several, such as a month; empty where an owner has one.
    """
    name = _COMPANY_NAME if owner == COMPANY else str(owner)
    return "/".join(filter(None, (kind, name, part)))


def kind_of(collection: str) -> str:
    """The kind of a collection."""
    return collection.split("/", maxsplit=1)[0]


def owner_of(collection: str) -> int:
    """Internal id of the extension that a collection belongs to; `COMPANY` for one of the company."""
    owner = collection.split("/")[1]
    return COMPANY if owner == _COMPANY_NAME else int(owner)


def part_of(collection: str) -> str:
    """Which of several collections of an owner; empty where it has one."""
    return "".join(collection.split("/")[2:])
