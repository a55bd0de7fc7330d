"""Loads the mailboxes that a pull needs, and syncs those that are known."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import attrs

from rcfs.engine import Engine
from rcfs.errors import AuthError, ForbiddenError, RcfsError
from rcfs.files import show_mailbox, tree_of
from rcfs.model import Priority
from rcfs.pull._survey import Failure
from rcfs.pull._walk import Parts, extensions_of, leads_anywhere
from rcfs.transport import run_together
from rcfs.tree import ExtensionDirectory, Root

T = TypeVar("T")

_ANOTHERS = "CMN-419"
"""``errorCode`` for an extension that the login may not read. Other refusals are about the app or the login
itself, and so about every mailbox."""
_LOADERS = 8
"""Mailboxes loaded at the same time: they keep the light group busy at a latency of 10 s."""


@attrs.frozen
class LoadedTree:
    """The tree, and the mailboxes that it does not show as they are now."""

    root: Root
    """The tree; a mailbox that could not be synced shows its last known state."""
    failures: tuple[Failure, ...]
    """Mailboxes that could not be loaded or synced."""
    closed: tuple[Failure, ...]
    """Mailboxes of others that this login may not read, and never could; they are failures if all are."""


async def load_tree(engine: Engine, paths: Sequence[Parts]) -> LoadedTree:
    """The tree with the mailboxes that `paths` lead into.

    Raises:
        AuthError: The credentials are refused.
        StoreError: The index of mailboxes fails.
    """
    root = tree_of(engine)
    names = {id(node): name for name, node in root.entries().items()}
    mailboxes = engine.account.mailboxes
    failures: list[Failure] = []
    closed: list[Failure] = []

    async def load(extensions: Iterator[ExtensionDirectory]) -> None:
        for extension in extensions:
            extension_id = extension.extension.id
            try:
                await mailboxes.refresh(extension_id, Priority.BULK)
            except AuthError:
                raise
            except RcfsError as exc:
                is_closed = isinstance(exc, ForbiddenError) and exc.code == _ANOTHERS
                never_read = is_closed and mailboxes.catalogue(extension_id) is None
                (closed if never_read else failures).append(Failure(names[id(extension)], exc))
            except Exception as exc:  # noqa: BLE001 - one mailbox must not end the pull of the others
                engine.recorder.crash("pull", exc)
                failures.append(Failure(names[id(extension)], exc))
            show_mailbox(extension, mailboxes)

    wanted = extensions_of(root, paths).values()
    await run_together([in_parallel(_LOADERS, load, wanted)])
    if not any(extension.is_filled for extension in wanted):
        failures, closed = failures + closed, []
    if leads_anywhere(paths):
        for extension in engine.account.extensions:
            show_mailbox(root.extension(extension.id), mailboxes)
    return LoadedTree(root, tuple(failures), tuple(closed))


def in_parallel(
    count: int, work: Callable[[Iterator[T]], Awaitable[None]], items: Iterable[T]
) -> Callable[[], Awaitable[None]]:
    """A job of `count` tasks of `work`, which share `items`."""
    shared = iter(items)
    return lambda: run_together([partial(work, shared)] * count)
