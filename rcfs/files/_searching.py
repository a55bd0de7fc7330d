"""The directory of searches: making, renaming and removing them, asking them, and keeping them current."""

from collections.abc import Callable, Collection, Hashable
from typing import Any, TypeVar

import trio

from rcfs.errors import ExistsError, InvalidNameError, NameTooLongError, NotFoundError, ReadOnlyError
from rcfs.files._attributes import encoded
from rcfs.files._changes import Changes
from rcfs.mailbox import Searches
from rcfs.store import ChangedPaths, match_expression
from rcfs.tree import (
    Directory,
    Entry,
    Node,
    Root,
    SearchDirectory,
    SearchesDirectory,
    folded,
    message_id_of,
    namesake,
    search_name,
    search_query,
)

T = TypeVar("T")

_MOST_NAME_BYTES = 255
"""Longest name in bytes: NAME_MAX of Linux, <linux/limits.h>."""
_MOST_ANSWERS = 3
"""A question is asked at most so often because a mailbox has changed meanwhile: a load changes one all the
time."""
_MOST_FOUND_LATE = 8
"""Answers kept for callers that gave up waiting for them: a page has 2,000 entries, about 1 MB."""


class Searching:
    """The searches of one tree; all methods run in the trio thread."""

    def __init__(self, root: Root, searches: Searches, changes: Changes) -> None:
        """Makes and asks `searches`, and tells `changes` when they may find something else."""
        self._root = root
        self._changes = changes
        self._searches = searches
        # One at a time, as the index answers them: who waits must not take the threads of others.
        self._threads = trio.CapacityLimiter(1)
        self._found_late: dict[Hashable, tuple[int, list[Any]]] = {}
        """Answers that nobody has taken yet, each with the edition that it is of."""
        self._hidden: dict[str, set[str]] = {}
        """By query: links that were removed from the search, while the mount lasts."""
        self.edition = 0
        """Goes up with every change of a mailbox: an answer of another edition is old."""

    async def ask(self, question: Callable[[], T], key: Hashable) -> T:
        """The answer to a question that may take long, as of now.

        What changes between the answer and its being told would be told to nobody. The question is
        answered to its end also when nobody waits any more; whoever asks with the same `key` next has that
        answer at once, unless a mailbox has changed meanwhile.
        """
        answer = await self._asked(question, key)
        for _again in range(_MOST_ANSWERS - 1):
            if answer[0] == self.edition:
                break
            answer = await self._asked(question, key)
        return answer[1]

    async def _asked(self, question: Callable[[], T], key: Hashable) -> tuple[int, T]:
        edition = self.edition

        def at_hand() -> list[T]:
            """The answer, if it was found for somebody who gave up waiting."""
            found_edition, found = self._found_late.get(key, (edition - 1, []))
            return found if found_edition == edition else []

        def find() -> T:
            if found := at_hand():
                return found[0]
            answer = question()
            self._found_late[key] = edition, [answer]
            return answer

        if found := at_hand():
            answer = found[0]
        else:
            if len(self._found_late) > _MOST_FOUND_LATE:
                self._found_late.clear()
            answer = await trio.to_thread.run_sync(find, limiter=self._threads, abandon_on_cancel=True)
        self._found_late.pop(key, None)
        return edition, answer

    async def make(self, parent: Node, name: str) -> Node:
        """The directory of a new search.

        Raises:
            ReadOnlyError: `parent` is not the directory of searches.
            ExistsError: There is such a search.
            InvalidNameError: As `_query_of`.
        """
        directory = self._directory(parent)
        query = _query_of(name)
        if _is_taken(directory, query) or not await self._searches.keep(query):
            raise ExistsError("there is such a search")
        return _found(directory, query)

    async def remove(self, parent: Node, name: str) -> tuple[str, ...]:
        """Removes a search; all the names that it had.

        Raises:
            ReadOnlyError: As in `make`.
            NotFoundError: There is none of that name.
        """
        self._directory(parent)
        query = _known_query(name)
        if not await self._searches.drop(query):
            raise NotFoundError("there is no such search")
        self._hidden.pop(query, None)
        return names_of_search(query)

    async def rename(self, parents: tuple[Node, Node], name: str, new_name: str, *, exchange: bool) -> Node:
        """Makes a search one for something else; both of `parents` must be the directory of searches.

        Raises:
            InvalidNameError: As in `make`, or two are to `exchange` their names.
            RcfsError: As in `make` and `remove`.
        """
        directory, _other = map(self._directory, parents)
        if exchange:
            raise InvalidNameError("two searches cannot exchange their names")
        before, query = _known_query(name), _query_of(new_name)
        if _is_taken(directory, query, besides=before):
            raise ExistsError("there is such a search")
        if before != query and not await self._searches.rename(before, query):
            if self._searches.kept_as(query) is not None:
                raise ExistsError("there is such a search")
            raise NotFoundError("there is no such search")
        self._hidden.pop(before, None)
        return _found(directory, query)

    def hide(self, parent: Node, name: str) -> None:
        """Takes a link out of a search, for as long as this tree and the search last; the message stays.

        So `rm -r` of a search removes all that it sees, and then the search.

        Raises:
            ReadOnlyError: `parent` is no search.
        """
        if not isinstance(parent, SearchDirectory):
            raise ReadOnlyError("nothing but links in searches can be removed")
        self._hidden.setdefault(parent.query, set()).add(name)

    def find(self, directory: Directory, name: str) -> Node | None:
        """What a directory shows under a name; may take long, and is called in a thread."""
        return None if name in self._hidden_in(directory) else directory.find(name)

    def page(self, directory: Directory, after: int, limit: int) -> list[Entry]:
        """At most `limit` entries that a directory shows, after the cursor `after`; in a thread, too."""
        hidden = self._hidden_in(directory)
        while page := directory.page(after, limit):
            shown = [entry for entry in page if entry.name not in hidden]
            if shown:
                return shown
            after = page[-1].cursor
        return []

    def _hidden_in(self, directory: Directory) -> Collection[str]:
        return self._hidden.get(directory.query, ()) if isinstance(directory, SearchDirectory) else ()

    def mailbox_changed(self, extension_id: int, touched: ChangedPaths) -> None:
        """These paths of an extension mean something else than before."""
        self.edition += 1
        self._searches.note_change()
        names = {path[-1] for path in touched if path}
        owner = self._root.owner_of(extension_id)
        for name in tuple(names):
            message_id = message_id_of(name)
            if owner is not None and message_id is not None:
                names.add(namesake(name, message_id, owner))
        # Any of the links may be to what is not there any more, where nobody says which.
        self._changes.found_changed(names, everything=() in touched)

    def owners_changed(self) -> None:
        """The names of extensions are others, and so are the targets of links."""
        self.edition += 1
        self._changes.owners_changed()

    @staticmethod
    def _directory(parent: Node) -> SearchesDirectory:
        if not isinstance(parent, SearchesDirectory):
            raise ReadOnlyError("nothing but searches can be made")
        return parent


def names_of_search(name: str) -> tuple[str, ...]:
    """All names that lead to the search of one of them: the listed one, and the query itself."""
    query = _query_or_name(name)
    return tuple(dict.fromkeys((search_name(query), query)))


def _found(directory: SearchesDirectory, query: str) -> Node:
    node = directory.find(query)
    if node is None:
        raise NotFoundError("somebody has removed the search already")
    return node


def _query_of(name: str) -> str:
    """The query that a directory of that name is for.

    Raises:
        ReadOnlyError: It begins with a dot, as what desktops make for their own purposes.
        InvalidNameError: It cannot be read as a query.
        NameTooLongError: It is too long.
    """
    if name.startswith("."):
        raise ReadOnlyError("no search has a name with a leading dot")
    if len(encoded(name)) > _MOST_NAME_BYTES:
        raise NameTooLongError(f"a name has at most {_MOST_NAME_BYTES} bytes")
    try:
        name.encode()
        query = search_query(name)
        match_expression(query)
    except ValueError as exc:
        raise InvalidNameError(str(exc)) from exc
    if len(search_name(query).encode()) > _MOST_NAME_BYTES:
        raise NameTooLongError(f"a name has at most {_MOST_NAME_BYTES} bytes")
    return query


def _known_query(name: str) -> str:
    """The query that a directory of that name would be for, if there is one.

    Raises:
        NotFoundError: There is none of that name.
    """
    try:
        return search_query(name)
    except ValueError as exc:
        raise NotFoundError("there is no such search") from exc


def _query_or_name(listed: str) -> str:
    """The query of a search that is listed; its name, for one that was made when names could hold more."""
    try:
        return search_query(listed)
    except ValueError:
        return listed


def _is_taken(directory: SearchesDirectory, query: str, besides: str = "") -> bool:
    """Whether another search has the name, whatever the case: copies to disks without case would lose one."""
    equal = folded(search_name(query))
    return any(folded(name) == equal for name in directory.entries() if _query_or_name(name) != besides)
