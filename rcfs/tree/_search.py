"""Searches as directories: ``Search/<query>/`` holds a link to every message that the query finds.

A directory of a search is called like its query. What no name may hold, because exFAT and NTFS refuse it, is
listed in its full-width form: U+FF02 for a quotation mark, U+FF0A for an asterisk. Both forms lead there, so
people type what they mean, and copies work.

They hold nothing: what matches is asked anew for every listing. A link is called like the directory of its
message; where mailboxes have messages of the same name, the extension's number tells them apart.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import ClassVar, Protocol

import attrs

from rcfs.model import FoundRow, SearchRow
from rcfs.tree._message import message_id_of
from rcfs.tree._names import clean, fit, is_device
from rcfs.tree._nodes import Directory, Entry, Link, Node
from rcfs.tree._times import Times, times_of

SEARCH_DIRECTORY = "Search"
"""The directory in the root whose directories are searches; no extension is called so."""


_WIDE_DOT = "\uff0e"
_WIDE = {ord(one): chr(ord(one) + 0xFEE0) for one in '"*:<>?\\|'}
"""Source: block Halfwidth and Fullwidth Forms of Unicode, which has ASCII from ``!`` on in its order."""
_NARROW = {ord(wide): chr(one) for one, wide in _WIDE.items()} | {ord(_WIDE_DOT): "."}
_ODD_SPACE = re.compile(r"[^\S ]")


def search_query(name: str) -> str:
    """The query that a directory called `name` is for: the same for all names that lead to one search.

    Raises:
        ValueError: `name` holds something that no name may show, or is one that no directory can have.
    """
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
        raise ValueError("a control character cannot stand in a name")
    query = _ODD_SPACE.sub(" ", unicodedata.normalize("NFC", name).translate(_NARROW)).strip()
    # As a phrase it finds the same, and its name is no device of Windows.
    query = f'"{query}"' if is_device(query) else query
    shown = f"x{_without_dot(query.translate(_WIDE))}x"
    if clean(shown) != shown:
        raise ValueError("the query holds a character that cannot stand in a name")
    return query


def search_name(query: str) -> str:
    """What the directory of a search is called; `query` is one of `search_query`."""
    return _without_dot(query.translate(_WIDE))


def _without_dot(name: str) -> str:
    """`name` with another dot at its end, which Windows would drop."""
    return f"{name[:-1]}{_WIDE_DOT}" if name.endswith(".") else name


class SearchCatalogue(Protocol):
    """What the tree asks about searches; `kept` and `kept_as` are quick, the others may take long."""

    @property
    def changed_s(self) -> float:
        """The newest time of a message that is known, in seconds since 1970-01-01 UTC; 0.0 for none."""
        ...

    def kept(self, after: int, limit: int) -> list[SearchRow]:
        """At most `limit` searches, by their numbers, those after the number `after`."""
        ...

    def kept_as(self, name: str) -> SearchRow | None:
        """The search that is called `name`."""
        ...

    def matches(self, query: str, after: int, limit: int) -> list[FoundRow]:
        """At most `limit` messages that `query` finds, by their numbers, those after the number `after`."""
        ...

    def matches_with_id(self, query: str, message_id: int) -> list[FoundRow]:
        """The messages with that id that `query` finds."""
        ...


@attrs.frozen
class Owner:
    """Whose mailbox a message is in."""

    directory: str
    """Name of the extension's directory."""
    label: str
    """Tells the extension from others: its number, else its id."""


OwnerOf = Callable[[int], Owner | None]
"""The owner of a mailbox by the id of the extension; None when it is not shown."""


@attrs.define(eq=False, kw_only=True)
class SearchesDirectory(Directory):
    """``Search``: the searches that are kept. Directories can be made in it, and renamed, and removed."""

    _catalogue: SearchCatalogue
    _owner_of: OwnerOf
    _times: Times

    def times(self) -> Times:
        return self._times

    def find(self, name: str) -> Node | None:
        try:
            row = self._catalogue.kept_as(search_query(name))
        except ValueError:
            return None
        return None if row is None else self._node(row)

    def listed_as(self, name: str) -> str:
        return search_name(search_query(name))

    def page(self, after: int, limit: int) -> list[Entry]:
        rows = self._catalogue.kept(after, limit)
        return [Entry(row.number, search_name(row.name), self._node(row)) for row in rows]

    def _node(self, row: SearchRow) -> Node:
        return SearchDirectory(catalogue=self._catalogue, owner_of=self._owner_of, row=row)


@attrs.define(eq=False, kw_only=True)
class SearchDirectory(Directory):
    """One search: links to what it finds now."""

    is_quick: ClassVar[bool] = False
    _catalogue: SearchCatalogue
    _owner_of: OwnerOf
    _row: SearchRow

    @property
    def query(self) -> str:
        """What it searches for, which is its name."""
        return self._row.name

    def times(self) -> Times:
        """When it was made, or may have got another content."""
        return times_of(max(self._row.made_s, self._catalogue.changed_s), None, 0.0)

    def find(self, name: str) -> Node | None:
        message_id = message_id_of(name)
        rows = [] if message_id is None else self._catalogue.matches_with_id(self._row.name, message_id)
        for row in rows:
            owner = self._owner_of(row.extension_id)
            # The longer name is that of one whose namesake has gone since it was listed, too.
            if owner is not None and name in (link_name(row, owner), namesake(row.name, row.id, owner)):
                return _link(row, owner)
        return None

    def page(self, after: int, limit: int) -> list[Entry]:
        while rows := self._catalogue.matches(self._row.name, after, limit):
            found = [(row, owner) for row in rows if (owner := self._owner_of(row.extension_id)) is not None]
            if found:
                return [Entry(row.number, link_name(row, owner), _link(row, owner)) for row, owner in found]
            after = rows[-1].number
        return []


def link_name(row: FoundRow, owner: Owner) -> str:
    """What the link to a message is called."""
    return namesake(row.name, row.id, owner) if row.ambiguous else row.name


def namesake(name: str, message_id: int, owner: Owner) -> str:
    """What the link to a message is called that is not the only one with its name."""
    suffix = f" [{message_id}]"
    return fit(name.removesuffix(suffix), f" ({owner.label}){suffix}")


def _link(row: FoundRow, owner: Owner) -> Node:
    times = times_of(row.created_s, row.modified_s, 0.0)
    return Link(times=times, target="/".join(("..", "..", owner.directory, *row.path)))
