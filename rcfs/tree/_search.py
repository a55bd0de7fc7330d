"""Searches as directories: ``Search/<query>/`` holds a link to all that the query finds.

The name of the directory is the query. Characters that exFAT and NTFS refuse are listed in their full-width
forms: U+FF02 for a quotation mark, U+FF0A for an asterisk. A lookup takes both forms, so people type the
plain one, and copies work.

The directories hold no data: each listing runs the query again. A link to a message or a recording has the
name of its target. If messages of several mailboxes have the same name, the number of the extension is added.
A call without a recording has a name of its own, which links to the call log of its month.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import ClassVar, Protocol

import attrs

from rcfs.model import FoundRow, SearchRow
from rcfs.tree._call_names import call_id_of
from rcfs.tree._message import message_id_of
from rcfs.tree._names import clean, fit, is_device
from rcfs.tree._nodes import Directory, Entry, Link, Node
from rcfs.tree._times import Times, times_of

_WIDE_DOT = "\uff0e"
_WIDE = {ord(one): chr(ord(one) + 0xFEE0) for one in '"*:<>?\\|'}
"""Source: block Halfwidth and Fullwidth Forms of Unicode, which has ASCII from ``!`` on in its order."""
_NARROW = {ord(wide): chr(one) for one, wide in _WIDE.items()} | {ord(_WIDE_DOT): "."}
_ODD_SPACE = re.compile(r"[^\S ]")


def search_query(name: str) -> str:
    """The query of the directory `name`: equal for all names of one search.

    Raises:
        ValueError: No directory can have that name.
    """
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
        raise ValueError("a control character cannot stand in a name")
    query = _ODD_SPACE.sub(" ", unicodedata.normalize("NFC", name).translate(_NARROW)).strip()
    # As a phrase it finds the same, and the name is not a Windows device.
    query = f'"{query}"' if is_device(query) else query
    shown = f"x{_without_dot(query.translate(_WIDE))}x"
    if clean(shown) != shown:
        raise ValueError("the query holds a character that cannot stand in a name")
    return query


def search_name(query: str) -> str:
    """The name of the directory for `query`, which is a result of `search_query`."""
    return _without_dot(query.translate(_WIDE))


def _without_dot(name: str) -> str:
    """`name` with a full-width dot instead of one at its end, which Windows would drop."""
    return f"{name[:-1]}{_WIDE_DOT}" if name.endswith(".") else name


class SearchCatalogue(Protocol):
    """The searches of an account. `kept` and `kept_as` take microseconds, the other calls up to seconds."""

    @property
    def changed_s(self) -> float:
        """The newest time of a known message, in seconds since 1970-01-01 UTC; 0.0 if no message is known."""
        ...

    def kept(self, after: int, limit: int) -> list[SearchRow]:
        """At most `limit` searches with numbers above `after`, in the order of their numbers."""
        ...

    def kept_as(self, name: str) -> SearchRow | None:
        """The search with the query `name`; None if it is not kept."""
        ...

    def matches(self, query: str, after: int, limit: int) -> list[FoundRow]:
        """At most `limit` matches of `query` with numbers above `after`, in the order of their numbers."""
        ...

    def matches_with_id(self, query: str, message_id: int) -> list[FoundRow]:
        """The messages with that id that match `query`; several mailboxes may have one."""
        ...

    def calls_with_id(self, query: str, call_or_recording: str) -> list[FoundRow]:
        """The matches of `query` that are the recording with that id, or belong to the call with that id."""
        ...


@attrs.frozen
class Owner:
    """The extension that owns a mailbox, as links name it."""

    directory: str
    """Name of the extension's directory."""
    label: str
    """Number of the extension, or else its id."""


OwnerOf = Callable[[int], Owner | None]
"""Gives the owner of a mailbox by the id of the extension; None if the root does not show it."""


@attrs.define(eq=False, kw_only=True)
class SearchesDirectory(Directory):
    """``Search``: a directory for each search. Users make, rename and remove searches in it."""

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
    """A search: links to its present matches."""

    is_quick: ClassVar[bool] = False
    _catalogue: SearchCatalogue
    _owner_of: OwnerOf
    _row: SearchRow

    @property
    def query(self) -> str:
        """The query."""
        return self._row.name

    def times(self) -> Times:
        """The later of its creation and the last change of a mailbox, which may have changed its matches."""
        return times_of(max(self._row.made_s, self._catalogue.changed_s), None, 0.0)

    def find(self, name: str) -> Node | None:
        message_id = message_id_of(name)
        call_id = call_id_of(name)
        if message_id is not None:
            rows = self._catalogue.matches_with_id(self._row.name, message_id)
        else:
            rows = [] if call_id is None else self._catalogue.calls_with_id(self._row.name, call_id)
        for row in rows:
            owner = self._owner_of(row.extension_id)
            # The listing may have shown the longer name, because of a namesake that is gone now.
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
    """The name of the link to a match."""
    return row.link or (namesake(row.name, row.id, owner) if row.ambiguous else row.name)


def namesake(name: str, message_id: int, owner: Owner) -> str:
    """The name of a link that needs the owner's label because another message has the same name."""
    suffix = f" [{message_id}]"
    return fit(name.removesuffix(suffix), f" ({owner.label}){suffix}")


def _link(row: FoundRow, owner: Owner) -> Node:
    times = times_of(row.created_s, row.modified_s, 0.0)
    return Link(times=times, target="/".join(("..", "..", owner.directory, *row.path)))
