"""Runs the commands that change messages: finds the messages, keeps the changes, and waits."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import attrs
import click
import trio

from rcfs.cli._engine_run import run_engine
from rcfs.cli._treepaths import TreePath, not_in_tree
from rcfs.cli._waiting import tell_waits
from rcfs.config import Settings
from rcfs.engine import Engine
from rcfs.errors import ConfigError, ForbiddenError, PartialError, RcfsError, UnreachableError
from rcfs.model import READ, UNREAD, Availability, Filter, Message, owner_of
from rcfs.outbox import Outbox, deletions
from rcfs.pull import Pull, Walk
from rcfs.tree import MailboxDirectory, MessageDirectory

_INTERRUPTED = "interrupted; the changes are kept, and `rcfs flush` or a mount with --read-write sends them"
_KEPT = "`rcfs flush` or a mount with --read-write sends them later"
_WANTED: Mapping[str, tuple[str, ...]] = {
    "read": (READ,),
    "unread": (UNREAD,),
    "trash": (Availability.DELETED, Availability.PURGED),
    "restore": (Availability.ALIVE,),
    "purge": (Availability.PURGED,),
}
"""By action: the states that its messages have afterwards."""

T = TypeVar("T")


@attrs.frozen
class Outcome:
    """The outcome of a command."""

    done: int
    """Messages that are changed."""
    already: int
    """Messages that were like that before."""
    left: int
    """Messages that are not changed yet."""
    refused: int
    """Messages that RingCentral has refused to change."""
    lines: Sequence[str]
    """Reasons for that, each in a line."""

    @property
    def error(self) -> RcfsError | None:
        """Why not everything is done; None if it is."""
        if self.left:
            return UnreachableError(f"no connection to the server: {self.left} changes are kept, and {_KEPT}")
        if not self.refused:
            return None
        text = f"{self.refused} messages are as before, since RingCentral refused to change them"
        return PartialError(text) if self.done else ForbiddenError(text)


@attrs.frozen
class _Found:
    """The messages at and below some places."""

    to_change: Mapping[int, Sequence[int]]
    """By extension: the ids of those that are to be changed."""
    already: int
    """Messages that are like that already."""

    @property
    def count(self) -> int:
        """Messages that are to be changed."""
        return sum(map(len, self.to_change.values()))


def change(
    settings: Settings,
    action: str,
    places: Sequence[TreePath],
    may: Callable[[int], bool] = lambda _count: True,
) -> Outcome:
    """Changes the messages at and below `places`, and waits until that is done.

    `action` is ``read``, ``unread``, ``trash``, ``restore`` or ``purge``. `may` asks a person, in a worker
    thread, whether to change that many messages.

    Raises:
        ConfigError: A place does not exist, holds no message, or holds one that cannot be changed so.
        ForbiddenError: The login may not change messages.
        PartialError: Deletions are held.
        PlatformError: A mailbox could not be loaded.
        Abort: The person does not agree.
    """

    async def work(engine: Engine, nursery: trio.Nursery) -> Outcome:
        looking = trio.CancelScope()
        nursery.start_soon(tell_waits, engine, looking)
        found = await _messages(engine, action, places)
        looking.cancel()  # Now rcfs waits for the person.
        if found.count and not await trio.to_thread.run_sync(may, found.count, abandon_on_cancel=True):
            raise click.Abort
        nursery.start_soon(tell_waits, engine)
        for owner_id, ids in found.to_change.items():
            try:
                await _METHODS[action](engine.outbox)(owner_id, ids)
            except ValueError as exc:
                raise ConfigError(str(exc)) from exc
        left = await _sent(engine)
        refused = 0 if left else await trio.to_thread.run_sync(_unchanged, engine, action, found.to_change)
        return Outcome(max(0, found.count - left - refused), found.already, left, refused, _reasons(engine))

    return _run(settings, work)


def send(settings: Settings, *, confirm: bool) -> Outcome:
    """Sends all changes that wait, and waits until that is done; with `confirm` also those that are held.

    Raises:
        PartialError: Deletions are held.
    """

    async def work(engine: Engine, nursery: trio.Nursery) -> Outcome:
        nursery.start_soon(tell_waits, engine)
        if confirm:
            await engine.outbox.confirm()
        count = engine.outbox.left
        left = await _sent(engine)
        refused = engine.outbox.refused
        return Outcome(max(0, count - left - refused), 0, left, refused, _reasons(engine))

    return _run(settings, work)


def forget(settings: Settings) -> int:
    """Forgets the deletions that are held; returns their number, and sends nothing."""

    async def work(engine: Engine, _nursery: trio.Nursery) -> int:
        return await engine.outbox.drop()

    return _run(attrs.evolve(settings, offline=True), work)


_METHODS: Mapping[str, Callable[[Outbox], Callable[[int, Sequence[int]], Awaitable[None]]]] = {
    "read": lambda outbox: partial(outbox.mark, read=True),
    "unread": lambda outbox: partial(outbox.mark, read=False),
    "trash": lambda outbox: outbox.trash,
    "restore": lambda outbox: outbox.restore,
    "purge": lambda outbox: outbox.purge,
}


def _run(settings: Settings, work: Callable[[Engine, trio.Nursery], Awaitable[T]]) -> T:
    async def send_and_work(engine: Engine, nursery: trio.Nursery) -> T:
        nursery.start_soon(engine.outbox.run)
        return await work(engine, nursery)

    return run_engine(
        settings,
        settings.files.change_log,
        send_and_work,
        on_interrupt=lambda: _INTERRUPTED,
        keeps_current=False,
    )


async def _messages(engine: Engine, action: str, places: Sequence[TreePath]) -> _Found:
    """The messages at and below `places`.

    Raises:
        ConfigError, PlatformError: As `change`.
    """
    root, failures = await Pull(engine).tree([place.parts for place in places])
    if failures:
        raise failures[0].error
    found: dict[tuple[int, int], Message] = {}
    for place in places:
        walk, may_hold = Walk(root, [place.parts], Filter()), False
        for item in walk:
            # The directories above a file come with it, and a file alone cannot be changed.
            if not isinstance(item.node, MailboxDirectory) or len(item.parts) < len(place.parts):
                continue
            may_hold = True
            message = item.node.message() if isinstance(item.node, MessageDirectory) else None
            if message is not None and message.availability != Availability.PURGED:
                found[owner_of(item.node.collection_id), message.id] = message
        if walk.unknown:
            raise not_in_tree(place.parts)
        if not may_hold:
            raise ConfigError(f"'{place.text}' holds no message; name messages, or directories of messages")
    to_change: dict[int, list[int]] = {}
    already = 0
    for (owner_id, message_id), message in found.items():
        is_trashed = message.availability == Availability.DELETED
        if action == "purge" and not is_trashed:
            raise ConfigError(f"message {message_id} is not in the trash; name messages in a directory Trash")
        if _state(message, action) in _WANTED[action]:
            already += 1
        else:
            to_change.setdefault(owner_id, []).append(message_id)
    if action == "restore":
        if already and not to_change:
            raise ConfigError("none of these messages is in the trash; name messages in a directory Trash")
        already = 0  # They may be a whole mailbox.
    return _Found(to_change, already)


def _state(message: Message, action: str) -> str:
    """The state of a message that `action` changes."""
    return message.read_status if action in ("read", "unread") else message.availability


async def _sent(engine: Engine) -> int:
    """Waits until nothing can be sent any more; the number of messages whose changes are left.

    Raises:
        PartialError: Deletions are held.
    """
    left = await engine.outbox.flush(math.inf)
    status = engine.outbox.status()
    if status.held:
        raise PartialError(f"{deletions(status.held)} held: {status.problem}")
    return left


def _unchanged(engine: Engine, action: str, found: Mapping[int, Sequence[int]]) -> int:
    """The number of messages that are not as `action` makes them; for a worker thread."""
    count = 0
    for owner_id, ids in found.items():
        shown, _told = engine.account.mailboxes.known(owner_id, ids)
        for message in shown.values():
            count += _state(message, action) not in _WANTED[action]
    return count


def _reasons(engine: Engine) -> list[str]:
    return [fault.detail for fault in engine.recorder.faults if fault.event in ("change", "store")]
