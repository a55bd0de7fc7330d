"""Loads the mailboxes, call logs and greetings that a pull needs, and syncs those that are known."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import attrs

from rcfs.engine import Engine
from rcfs.errors import AuthError, ForbiddenError, RcfsError
from rcfs.files import show_mailbox, tree_of
from rcfs.mailbox import State
from rcfs.model import CALLS, CALLS_VIEW, GREETINGS, Filter, Priority, kind_of, owner_of
from rcfs.pull._needs import Needs, Parts, needs_of
from rcfs.pull._survey import Failure
from rcfs.pull._walk import leads_anywhere
from rcfs.transport import run_together
from rcfs.tree import GREETINGS_VIEW, PROMPTS_VIEW, ExtensionDirectory, Root

T = TypeVar("T")

_ANOTHERS = "CMN-419"
"""``errorCode`` for an extension that the login may not read. Other refusals are about the app or the login
itself, and so about every mailbox."""
LOADERS = 8
"""Mailboxes, and lists of greetings, loaded at the same time: they keep the light group busy at a latency of
10 s."""


@attrs.frozen
class LoadedTree:
    """The tree, and what it does not show as it is now."""

    root: Root
    """The tree; a collection that could not be synced shows its last known state."""
    failures: tuple[Failure, ...]
    """Collections that could not be loaded or synced."""
    closed: tuple[Failure, ...]
    """Mailboxes of others that this login may not read, and never could, which are failures if all are; and
    call logs and greetings that it may not read."""


async def load_tree(engine: Engine, paths: Sequence[Parts], wanted: Filter) -> LoadedTree:
    """The tree with the collections that `paths` lead into and of which `wanted` can take something.

    Raises:
        AuthError: The credentials are refused.
        StoreError: The index of mailboxes fails.
    """
    root = tree_of(engine)
    needs = needs_of(root, paths, wanted, engine.account.calls.catalogue)
    loader = _Loader(engine, root)
    jobs: list[Callable[[], Awaitable[None]]] = [
        in_parallel(LOADERS, loader.load_mailboxes, needs.mailboxes.items()),
        in_parallel(LOADERS, loader.load_lists, needs.lists),
        partial(loader.load_months, needs, wanted),
    ]
    await run_together(jobs)
    shows_any = any(extension.is_filled for extension in needs.mailboxes.values())
    (loader.closed if shows_any else loader.failures).extend(loader.closed_mailboxes)
    if leads_anywhere(paths):
        for extension in engine.account.extensions:
            show_mailbox(root.extension(extension.id), engine.account.mailboxes)
    return LoadedTree(root, tuple(loader.failures), tuple(loader.closed))


class _Loader:
    """Loads collections in the class of bulk work, and notes those that it could not load."""

    def __init__(self, engine: Engine, root: Root) -> None:
        self._engine = engine
        self._account = engine.account
        self._root = root
        self.failures: list[Failure] = []
        self.closed: list[Failure] = []
        self.closed_mailboxes: list[Failure] = []

    async def load_mailboxes(self, extensions: Iterator[tuple[str, ExtensionDirectory]]) -> None:
        mailboxes = self._account.mailboxes
        for name, extension in extensions:
            extension_id = extension.extension.id
            error = await self._tried(partial(mailboxes.refresh, extension_id, Priority.BULK))
            if error is not None:
                is_closed = isinstance(error, ForbiddenError) and error.code == _ANOTHERS
                never_read = is_closed and mailboxes.catalogue(extension_id) is None
                (self.closed_mailboxes if never_read else self.failures).append(Failure(name, error))
            show_mailbox(extension, mailboxes)

    async def load_lists(self, lists: Iterator[str]) -> None:
        """Loads greetings and prompts that were never loaded; they are loaded again once a day."""
        for collection_id in lists:
            if self._account.collections.state(collection_id) in (State.LOADED, State.ABSENT):
                self._account.greetings.visit(collection_id, Priority.BULK)
                continue
            error = await self._tried(partial(self._account.open_collection, collection_id, Priority.BULK))
            view = GREETINGS_VIEW if kind_of(collection_id) == GREETINGS else PROMPTS_VIEW
            self._note(owner_of(collection_id), view, error)

    async def load_months(self, needs: Needs, wanted: Filter) -> None:
        """Loads the months of calls that were never loaded, the newest first, and syncs the others."""
        calls = self._account.calls
        known: set[int] = set()
        loaded: set[int] = set()
        refused: set[int] = set()
        for owner, month in needs.months:
            log = calls.access.scope(owner)
            if calls.catalogue.is_loaded(owner, month):
                known.add(log)
            elif log not in refused:
                error = await self._tried(partial(calls.open, owner, month, Priority.BULK))
                (loaded if error is None else refused).add(calls.access.scope(owner))
                self._note(owner, CALLS_VIEW, error)
        if wanted.until_s is None:
            for log in known - loaded - refused:
                await self._sync(log)

    async def _sync(self, log: int) -> None:
        """Syncs a call log; a sync brings the changes of all loaded months."""
        collections = self._account.collections
        for collection_id in collections.loaded(CALLS):
            if owner_of(collection_id) == log:
                error = await self._tried(partial(collections.refresh, collection_id, Priority.BULK))
                self._note(log, CALLS_VIEW, error)

    def _note(self, owner: int, view: str, error: Exception | None) -> None:
        """Notes that something in a view of `owner` could not be loaded, once for each view."""
        path = f"{self._root.name_of(owner) or owner}/{view}"
        noted = self.closed if isinstance(error, ForbiddenError) else self.failures
        if error is not None and all(each.path != path for each in noted):
            noted.append(Failure(path, error))

    async def _tried(self, load: Callable[[], Awaitable[object]]) -> Exception | None:
        """The error of `load`, if it fails.

        Raises:
            AuthError: The credentials are refused.
        """
        try:
            await load()
        except AuthError:
            raise
        except RcfsError as exc:
            return exc
        except Exception as exc:  # noqa: BLE001 - one collection must not end the pull of the others
            self._engine.recorder.crash("pull", exc)
            return exc
        return None


def in_parallel(
    count: int, work: Callable[[Iterator[T]], Awaitable[None]], items: Iterable[T]
) -> Callable[[], Awaitable[None]]:
    """A job of `count` tasks of `work`, which share `items`."""
    shared = iter(items)
    return lambda: run_together([partial(work, shared)] * count)
