"""The searches of a tree: making, renaming and removing them, running them, and keeping them current."""

from collections.abc import Callable, Collection, Hashable
from typing import Any, TypeVar

import trio

from rcfs.errors import ExistsError, InvalidNameError, NotFoundError, ReadOnlyError
from rcfs.files._changes import Changes
from rcfs.files._new_names import require_length, require_new_name
from rcfs.files._vanishing import page_without
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

_MOST_ANSWERS = 3
"""Most runs of one question whose answer a change of a mailbox has made old: a load changes a mailbox all the
time."""
_MOST_FOUND_LATE = 8
"""Most answers kept after their callers gave up waiting: a page has 2,000 entries, about 1 MB."""


class Searching:
    """The searches of one tree; all methods run in the trio thread."""

    def __init__(self, root: Root, searches: Searches, changes: Changes) -> None:
        """Makes and runs `searches`, and tells `changes` when their matches may have changed."""
        self._root = root
        self._changes = changes
        self._searches = searches
        # One thread, because the index answers one question at a time; more would take the threads of others.
        self._threads = trio.CapacityLimiter(1)
        self._found_late: dict[Hashable, tuple[int, list[Any]]] = {}
        """Answers that no caller has taken yet, each with its edition."""
        self._hidden: dict[str, set[str]] = {}
        """By query, the names of links that users have removed from the search."""
        self.edition = 0
        """Increases with every change of a mailbox; an answer of an earlier edition is old."""

    async def ask(self, question: Callable[[], T], key: Hashable) -> T:
        """The current answer to a question that may take long.

        If a mailbox changes before the answer arrives, the question runs again, because the kernel would
        never hear of that change. A question also runs to its end after its caller has given up. The next
        caller with the same `key` gets that answer at once, unless a mailbox has changed.
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
            """The answer of a question whose caller gave up waiting, in a list; empty without one."""
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
            ExistsError: The search exists.
            InvalidNameError: As `_query_of`.
        """
        directory = self._directory(parent)
        query = _query_of(name)
        if _is_taken(directory, query) or not await self._searches.keep(query):
            raise ExistsError("a search of this name exists")
        return _found(directory, query)

    async def remove(self, parent: Node, name: str) -> tuple[str, ...]:
        """Removes a search, and returns all names that it had.

        Raises:
            ReadOnlyError: As in `make`.
            NotFoundError: No search has that name.
        """
        self._directory(parent)
        query = _known_query(name)
        if not await self._searches.drop(query):
            raise NotFoundError("no search has this name")
        self._hidden.pop(query, None)
        return names_of_search(query)

    async def rename(self, parents: tuple[Node, Node], name: str, new_name: str, *, exchange: bool) -> Node:
        """Changes the query of a search; both of `parents` must be the directory of searches.

        Raises:
            InvalidNameError: As in `make`, or `exchange` is set.
            RcfsError: As in `make` and `remove`.
        """
        directory, _other = map(self._directory, parents)
        if exchange:
            raise InvalidNameError("two searches cannot exchange their names")
        before, query = _known_query(name), _query_of(new_name)
        if _is_taken(directory, query, besides=before):
            raise ExistsError("a search of this name exists")
        if before != query and not await self._searches.rename(before, query):
            if self._searches.kept_as(query) is not None:
                raise ExistsError("a search of this name exists")
            raise NotFoundError("no search has this name")
        self._hidden.pop(before, None)
        return _found(directory, query)

    def hide(self, parent: Node, name: str) -> None:
        """Hides a link of a search until the search is removed or the mount ends; the message stays.

        So `rm -r` of a search removes all links that it sees, and then the search.

        Raises:
            ReadOnlyError: `parent` is not a search.
        """
        if not isinstance(parent, SearchDirectory):
            raise ReadOnlyError("only links in searches can be removed")
        self._hidden.setdefault(parent.query, set()).add(name)

    def find(self, directory: Directory, name: str) -> Node | None:
        """The node that a directory shows under a name; may take long, so call it in a worker thread."""
        return None if name in self._hidden_in(directory) else directory.find(name)

    def page(self, directory: Directory, after: int, limit: int) -> list[Entry]:
        """At most `limit` visible entries after the cursor `after`; call it in a worker thread as well."""
        return page_without(self._hidden_in(directory), directory, after, limit)

    def _hidden_in(self, directory: Directory) -> Collection[str]:
        return self._hidden.get(directory.query, ()) if isinstance(directory, SearchDirectory) else ()

    def mailbox_changed(self, extension_id: int, touched: ChangedPaths) -> None:
        """Marks answers as old, and tells listeners, after these paths of an extension changed."""
        self.edition += 1
        self._searches.note_change()
        names = {path[-1] for path in touched if path}
        owner = self._root.owner_of(extension_id)
        for name in tuple(names):
            message_id = message_id_of(name)
            if owner is not None and message_id is not None:
                names.add(namesake(name, message_id, owner))
        # If all of a mailbox changed, any link may lead to a message that is gone.
        self._changes.found_changed(names, everything=() in touched)

    def owners_changed(self) -> None:
        """Marks answers as old, and tells listeners, after directories of extensions got new names."""
        self.edition += 1
        self._changes.owners_changed()

    @staticmethod
    def _directory(parent: Node) -> SearchesDirectory:
        if not isinstance(parent, SearchesDirectory):
            raise ReadOnlyError("only searches and exports can be created")
        return parent


def names_of_search(name: str) -> tuple[str, ...]:
    """All names of a search, given one of them: the listed name, and the query itself."""
    query = _query_or_name(name)
    return tuple(dict.fromkeys((search_name(query), query)))


def _found(directory: SearchesDirectory, query: str) -> Node:
    node = directory.find(query)
    if node is None:
        raise NotFoundError("the search was removed already")
    return node


def _query_of(name: str) -> str:
    """The query for a new directory of that name.

    Raises:
        ReadOnlyError: The name begins with a dot, as those that desktops make for their own purposes.
        InvalidNameError: The name is not a valid query.
        NameTooLongError: The name is too long.
    """
    require_new_name(name, "a search")
    try:
        name.encode()
        query = search_query(name)
        match_expression(query)
    except ValueError as exc:
        raise InvalidNameError(str(exc)) from exc
    require_length(search_name(query))
    return query


def _known_query(name: str) -> str:
    """The query of the directory of that name, if it exists.

    Raises:
        NotFoundError: No search can have that name.
    """
    try:
        return search_query(name)
    except ValueError as exc:
        raise NotFoundError("no search has this name") from exc


def _query_or_name(listed: str) -> str:
    """The query of a listed search; its name if an older version made it, which allowed more characters."""
    try:
        return search_query(listed)
    except ValueError:
        return listed


def _is_taken(directory: SearchesDirectory, query: str, besides: str = "") -> bool:
    """Whether another search has an equal name without regard to case: some disks could not hold both."""
    equal = folded(search_name(query))
    return any(folded(name) == equal for name in directory.entries() if _query_or_name(name) != besides)
