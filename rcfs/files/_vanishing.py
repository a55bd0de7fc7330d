"""Entries that programs remove one by one before they remove the directory: gone here, and nothing is sent.

A file manager or `rm -r` removes all files of a message or an export, and then its directory. Only that last
step deletes the message, or forgets the export. Until then the files are hidden, and without that step they
are there again after `COMES_BACK_S`.
"""

from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

import attrs

from rcfs.tree import Directory, Entry

P = TypeVar("P", bound=Hashable)

COMES_BACK_S = 60.0
"""Time after which hidden entries are there again, in seconds after the latest of them was removed."""
WALKS_S = 60.0
"""How long after a listing, or a removal, a process counts as one that removes whole directories, in
seconds. File managers list a whole tree before they remove the first entry."""
_MOST_WALKERS = 1000
"""Most processes to remember."""


@attrs.frozen
class Place:
    """A directory: of a message, or a folder of messages."""

    owner_id: int
    """The extension whose mailbox it is in."""
    view: str = ""
    """The view of a folder."""
    name: str = ""
    """The name of a folder."""
    message_id: int = 0
    """The message; 0 for a folder."""

    def __str__(self) -> str:
        return f"message {self.message_id}" if self.message_id else "a conversation"


NOWHERE = Place(0)
"""The place of all other directories, where nothing is hidden."""


@attrs.define
class _Hidden:
    names: set[str] = attrs.field(factory=set)
    since_s: float = 0.0


class Vanishing(Generic[P]):
    """The hidden entries of directories at places `P`; all times are seconds of the same clock."""

    def __init__(self) -> None:
        self._hidden: dict[P, _Hidden] = {}
        self.edition = 0
        """A number that rises whenever other entries are hidden."""

    def hide(self, place: P, name: str, now_s: float) -> None:
        """Hides the entry `name` of the directory at `place`; without a name, only remembers the place."""
        hidden = self._hidden.setdefault(place, _Hidden())
        hidden.names |= {name} if name else set()
        self.edition += 1
        hidden.since_s = now_s

    def __contains__(self, place: P) -> bool:
        return place in self._hidden

    def names(self, place: P) -> Collection[str]:
        """The hidden entries of the directory at `place`."""
        hidden = self._hidden.get(place)
        return () if hidden is None else hidden.names

    def places(self) -> list[P]:
        """The directories in which something is hidden."""
        return list(self._hidden)

    def drop(self, place: P) -> None:
        """Hides nothing at `place` any more."""
        self._hidden.pop(place, None)
        self.edition += 1

    def overdue(self, now_s: float) -> list[tuple[P, int]]:
        """Drops what was hidden for too long; the places, each with the number of its hidden entries."""
        found = [
            (place, len(hidden.names))
            for place, hidden in self._hidden.items()
            if hidden.since_s <= now_s - COMES_BACK_S
        ]
        for place, _count in found:
            del self._hidden[place]
        self.edition += 1
        return found

    @property
    def next_s(self) -> float | None:
        """When something is overdue next; None if nothing is hidden."""
        times = [hidden.since_s for hidden in self._hidden.values()]
        return min(times) + COMES_BACK_S if times else None


def page_without(hidden: Collection[str], directory: Directory, after: int, limit: int) -> list[Entry]:
    """At most `limit` entries of a directory that are not `hidden`; see `Directory.page`."""
    page = directory.page(after, limit)
    while page and hidden:
        shown = [entry for entry in page if entry.name not in hidden]
        if shown:
            return shown
        page = directory.page(page[-1].cursor, limit)
    return page


class Walkers:
    """The processes that have just listed a directory whose files vanish only together."""

    def __init__(self) -> None:
        self._seen_s: dict[int, float] = {}

    def seen(self, process: int, now_s: float) -> None:
        """Notes that a process has listed such a directory."""
        self._seen_s.pop(process, None)
        self._seen_s[process] = now_s
        if len(self._seen_s) > _MOST_WALKERS:
            del self._seen_s[next(iter(self._seen_s))]

    def removes(self, process: int, now_s: float) -> bool:
        """Whether a process that removes a file may be about to remove its directory; notes that it does.

        `rm FILE` lists nothing. A file manager that deletes a file alone cannot be told apart.
        """
        if self._seen_s.get(process, now_s - WALKS_S - 1) < now_s - WALKS_S:
            return False
        self.seen(process, now_s)
        return True
