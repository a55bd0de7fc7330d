"""The directory of searches: making, renaming and removing them, asking them, and keeping them current."""

import errno
from collections.abc import Callable, Collection, Hashable
from typing import Any, TypeVar

import pyfuse3
import trio

from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._invalidation import Invalidation, forget_attributes, forget_name
from rcfs.fuse._names import decoded, encoded
from rcfs.mailbox import Searches
from rcfs.store import Touched, match_expression
from rcfs.tree import (
    SEARCH_DIRECTORY,
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
    """What handlers ask of the directory of searches; all methods run in the trio thread."""

    def __init__(
        self, root: Root, inodes: InodeTable, searches: Searches, invalidation: Invalidation
    ) -> None:
        self._root = root
        self._inodes = inodes
        self._invalidation = invalidation
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

        What changes between the answer and its being told would never be told to the kernel. The question is
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

    async def make(self, parent: Node, name: bytes) -> Node:
        """The directory of a new search.

        Raises:
            pyfuse3.FUSEError: EROFS when `parent` is not the directory of searches, EEXIST when there is one,
                and what `_query_of` raises.
        """
        directory = self._directory(parent)
        query = _query_of(name)
        if _is_taken(directory, query) or not await self._searches.keep(query):
            raise pyfuse3.FUSEError(errno.EEXIST)
        return self._found(directory, query)

    async def remove(self, parent: Node, inode: int, name: bytes) -> None:
        """Removes a search, of which `inode` is the directory of searches.

        Raises:
            pyfuse3.FUSEError: EROFS as in `make`, ENOENT when there is none of that name.
        """
        self._directory(parent)
        query = _known_query(name)
        if not await self._searches.drop(query):
            raise pyfuse3.FUSEError(errno.ENOENT)
        self._hidden.pop(query, None)
        self._retire(inode, name, query)

    async def rename(
        self, parents: tuple[Node, Node], inode: int, name: bytes, new_name: bytes, *, exchange: bool
    ) -> None:
        """Makes a search one for something else; both of `parents` must be the directory of searches.

        Raises:
            pyfuse3.FUSEError: As in `make` and `remove`; EINVAL when two are to `exchange` their names.
        """
        directory, _other = map(self._directory, parents)
        if exchange:
            raise pyfuse3.FUSEError(errno.EINVAL)
        before, query = _known_query(name), _query_of(new_name)
        if _is_taken(directory, query, besides=before):
            raise pyfuse3.FUSEError(errno.EEXIST)
        if before != query and not await self._searches.rename(before, query):
            exists = self._searches.kept_as(query) is not None
            raise pyfuse3.FUSEError(errno.EEXIST if exists else errno.ENOENT)
        self._hidden.pop(before, None)
        moved = self._inodes.number(inode, name)
        self._inodes.replace(moved, self._found(directory, query))
        # To the kernel it has the inode of its old name, which another search may get: it is to ask again.
        self._inodes.retire(moved)
        self._retire(inode, name, before)
        for other in _names_of(query):
            forget_name(inode, other)

    def _retire(self, inode: int, name: bytes, query: str) -> None:
        """The search for `query` is not there any more, which the kernel knows of `name` alone."""
        self._inodes.retire(self._inodes.number(inode, name))
        for other in map(encoded, _names_of(query)):
            if other != name:
                self._inodes.retire(self._inodes.number(inode, other))
                forget_name(inode, decoded(other))

    def hide(self, parent: Node, name: bytes) -> None:
        """Takes a link out of a search, for as long as the mount and the search last; the message stays.

        So `rm -r` of a search removes all that it sees, and then the search.

        Raises:
            pyfuse3.FUSEError: EROFS when `parent` is no search.
        """
        if not isinstance(parent, SearchDirectory):
            raise pyfuse3.FUSEError(errno.EROFS)
        # The kernel has just looked it up.
        self._hidden.setdefault(parent.query, set()).add(decoded(name))

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

    def mailbox_changed(self, extension_id: int, touched: Touched) -> None:
        """These paths of an extension mean something else than before; not to be called by a handler."""
        self.edition += 1
        self._searches.note_change()
        shown = self._shown()
        if not shown:
            return
        names = {path[-1] for path in touched if path}
        owner = self._root.owner_of(extension_id)
        for name in tuple(names):
            message_id = message_id_of(name)
            if owner is not None and message_id is not None:
                names.add(namesake(name, message_id, owner))
        for inode, _query in shown:
            forget_attributes(inode)
            for name in names:
                if self._inodes.number(inode, encoded(name)) in self._inodes:
                    forget_name(inode, name)
        if () in touched:
            # Any of the links may be to what is not there any more: nobody says which.
            self._invalidation.forget_within(self._top())

    def extensions_changed(self) -> None:
        """The names of extensions are others, and so are the targets of links; not for a handler either."""
        self.edition += 1
        for _inode, query in self._shown():
            # With the name goes all that the kernel has of what is below.
            forget_name(self._top(), query)

    def _top(self) -> int:
        """The inode of the directory of searches."""
        return self._inodes.number(pyfuse3.ROOT_INODE, encoded(SEARCH_DIRECTORY))

    def _shown(self) -> list[tuple[int, str]]:
        """(inode, name) of the searches that the kernel holds, each with what is known of it now."""
        parent = self._top()
        directory = self._inodes.node(parent)
        if not isinstance(directory, SearchesDirectory):
            return []
        numbered = (
            (self._inodes.number(parent, encoded(name)), name, node)
            for listed, node in directory.entries().items()
            for name in _names_of(_query_or_name(listed))
        )
        return [(inode, name) for inode, name, node in numbered if self._inodes.replace(inode, node)]

    @staticmethod
    def _directory(parent: Node) -> SearchesDirectory:
        if not isinstance(parent, SearchesDirectory):
            raise pyfuse3.FUSEError(errno.EROFS)
        return parent

    @staticmethod
    def _found(directory: SearchesDirectory, query: str) -> Node:
        node = directory.find(query)
        if node is None:
            raise pyfuse3.FUSEError(errno.ENOENT)  # Somebody has removed it already.
        return node


def _query_of(name: bytes) -> str:
    """The query that a directory of that name is for.

    Raises:
        pyfuse3.FUSEError: EROFS for a name with a leading dot, which desktops make for their own purposes;
            EINVAL for one that cannot be read as a query, ENAMETOOLONG for one that is too long.
    """
    if name.startswith(b"."):
        raise pyfuse3.FUSEError(errno.EROFS)
    if len(name) > _MOST_NAME_BYTES:
        raise pyfuse3.FUSEError(errno.ENAMETOOLONG)
    try:
        query = search_query(name.decode())
        match_expression(query)
    except ValueError as exc:
        raise pyfuse3.FUSEError(errno.EINVAL) from exc
    if len(search_name(query).encode()) > _MOST_NAME_BYTES:
        raise pyfuse3.FUSEError(errno.ENAMETOOLONG)
    return query


def _known_query(name: bytes) -> str:
    """The query that a directory of that name would be for, if there is one.

    Raises:
        pyfuse3.FUSEError: ENOENT when there is none of that name.
    """
    try:
        return search_query(decoded(name))
    except ValueError as exc:
        raise pyfuse3.FUSEError(errno.ENOENT) from exc


def _names_of(query: str) -> tuple[str, ...]:
    """The names that people use for a search: the listed one, and the query itself."""
    return tuple(dict.fromkeys((search_name(query), query)))


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
