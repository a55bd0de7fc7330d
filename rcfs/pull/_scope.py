"""The bounds of the reports for a pull: whether they would hold mostly what it wants, and of which types."""

from collections.abc import Iterable, Mapping, Sequence

import trio

from rcfs.engine import Engine
from rcfs.mailbox import State
from rcfs.model import EXPORT_TYPES, MAILBOX, Filter, collection_of, is_month
from rcfs.pull._days import Days
from rcfs.pull._needs import Parts, owner_of_directory, owners_of
from rcfs.pull._periods import Scope
from rcfs.tree import TYPE_VIEWS, Root

_VIEWS = frozenset(TYPE_VIEWS.values())


async def scope_of(
    engine: Engine, root: Root, paths: Sequence[Parts], wanted: Filter, days: Days, unchanged: Iterable[str]
) -> Scope | None:
    """The bounds for reports; None if the pull takes only some messages of a mailbox, type and month.

    Args:
        engine: The engine.
        root: The tree of the pull.
        paths: The paths to pull.
        wanted: The choice among what is there.
        days: The attachments that the pull looked at.
        unchanged: Names of the extensions that it passed over, because nothing is missing there.
    """
    if _is_choosy(wanted) or not all(_is_broad(path) for path in paths):
        return None
    passed = frozenset(unchanged)
    walked = {
        owner_of_directory(directory)
        for name, directory in owners_of(root, paths).items()
        if name not in passed
    }
    counts = await trio.to_thread.run_sync(engine.index.reader.counts, engine.account.id)
    return bounds_of(engine, wanted, days, _factor(engine, counts, walked), _types(paths, wanted, days))


def bounds_of(
    engine: Engine, wanted: Filter, days: Days, factor: float = 1.0, types: Iterable[str] = ()
) -> Scope:
    """The bounds that a filter sets, without a look at the account."""
    now_s = engine.wall_clock()
    known = days.types <= set(EXPORT_TYPES)
    return Scope(
        from_s=wanted.since_s or 0.0,
        to_s=now_s if wanted.until_s is None else min(now_s, wanted.until_s),
        types=tuple(types) if known else (),
        factor=factor,
    )


def _is_choosy(wanted: Filter) -> bool:
    """Whether a filter takes single messages, and not all of a type and time."""
    return bool(
        wanted.direction
        or wanted.unread
        or wanted.party
        or wanted.conversation_id
        or wanted.trash
        or wanted.min_duration_s is not None
    )


def takes_all_messages(wanted: Filter) -> bool:
    """Whether a filter takes the messages of all types and times."""
    is_bounded = wanted.since_s is not None or wanted.until_s is not None
    return wanted.takes_messages and _takes_all_types(wanted) and not (is_bounded or _is_choosy(wanted))


def _takes_all_types(wanted: Filter) -> bool:
    return not wanted.message_types or wanted.message_types >= set(EXPORT_TYPES)


def _is_broad(path: Parts) -> bool:
    """Whether a path selects whole mailboxes, or all messages of a type, or of a type and month."""
    return len(path) <= 1 or (
        path[1] in _VIEWS and (len(path) == 2 or (len(path) == 3 and is_month(path[2])))
    )


def _types(paths: Sequence[Parts], wanted: Filter, days: Days) -> Iterable[str]:
    """The types of messages to ask for; empty for all."""
    takes_all = _takes_all_types(wanted) and all(len(path) <= 1 for path in paths)
    return () if takes_all else sorted(days.types)


def _factor(engine: Engine, counts: Mapping[int, int], walked: set[int]) -> float:
    """Messages of all mailboxes that a report holds for each one of those that were looked at."""
    mean = sum(counts.values()) / len(counts) if counts else 0.0
    collections = engine.account.collections
    total = seen = 0.0
    for extension in engine.account.extensions:
        state = collections.state(collection_of(MAILBOX, extension.id))
        if extension.id in counts or state in (State.UNKNOWN, State.LOADING):
            count = counts.get(extension.id, mean)
            total += count
            seen += count if extension.id in walked else 0
    return max(1.0, total / seen) if seen else 1.0
