"""The present messages of one extension: the plan, and on top of it the changes.

Like its plan, a mailbox consists of blocks, numbered from the oldest; blocks of later messages follow the
planned ones. Each block counts its changes, so that a `Tally` knows which blocks it must count again.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterator

import attrs

from rcfs.model import Availability
from rcfs.simulator.account._plan import BLOCK, MailboxPlan, Planned, SimMessage

TALLIES = 4
"""Tallies that a mailbox keeps, because a client repeats requests with the same few filters."""

_DELETED = Availability.DELETED

_UNCOUNTED = -1
"""Marks a block in a tally that must be counted."""

Reader = Callable[[MailboxPlan, int], tuple[Planned, ...]]
"""Reads the messages of a plan's block, oldest first; any thread may call it."""


@attrs.frozen
class Criterion:
    """A condition on messages in their present state, whatever their age."""

    key: Hashable
    """Identifies the criterion."""
    availability: frozenset[str] = attrs.field(eq=False)
    """It admits messages with one of these availabilities ..."""
    admits: Callable[[SimMessage], bool] | None = attrs.field(eq=False)
    """... that also satisfy this predicate; None for all."""


class Mailbox:
    """The messages of one extension.

    Any thread may read. Only one thread may change, add and remove messages.

    Args:
        plan: The messages at the start.
        read: Reads a block of a plan.
    """

    def __init__(self, plan: MailboxPlan, read: Reader) -> None:
        self.plan = plan
        self.changes: Counter[int] = Counter()
        """Number of changes, additions and removals per block; most blocks have no entry."""
        self._read = read
        self._kept: dict[int, dict[int, SimMessage | None]] = {}
        self._arrived: dict[int, int] = {}
        self._tallies: dict[Hashable, Tally] = {}

    @property
    def blocks(self) -> int:
        """Number of blocks, at least 1."""
        return self.plan.blocks - (-len(self._arrived) // BLOCK)

    def messages(self, block: int) -> list[SimMessage]:
        """The messages of `block`, newest first."""
        kept = self._kept.get(block, {})
        if block >= self.plan.blocks:
            now = iter(list(kept.values())[::-1])
        elif kept:
            now = (
                kept[one.id] if one.id in kept else SimMessage(*one, self._keep)
                for one in self._planned(block)
            )
        else:
            return [SimMessage(*one, self._keep) for one in self._planned(block)]
        return [message for message in now if message is not None]

    def newest_first(self) -> Iterator[SimMessage]:
        """All messages, without those that arrive during the iteration."""
        for block in range(self.blocks - 1, -1, -1):
            yield from self.messages(block)

    def find(self, message_id: int) -> SimMessage | None:
        """The message with this id; None if it does not exist."""
        block = self._block_of(message_id)
        kept = self._kept.get(block, {})
        if message_id in kept or not 0 <= block < self.plan.blocks:
            return kept.get(message_id)
        planned = (one for one in self._planned(block) if one.id == message_id)
        return next((SimMessage(*one, self._keep) for one in planned), None)

    def latest(self, message: SimMessage) -> SimMessage | None:
        """The present state of `message`; None if it has been removed."""
        return self._kept.get(self._block_of(message.id), {}).get(message.id, message)

    def changed(self) -> Iterator[SimMessage]:
        """The messages that changed or arrived after the start, in any order."""
        for kept in self._kept.values():
            yield from (message for message in kept.values() if message is not None)

    def still_in_trash(self) -> Iterator[tuple[SimMessage, float]]:
        """The messages that were in the trash at the start and still are, with the time of their deletion."""
        for block in filter(self.plan.in_trash, range(self.plan.blocks)):
            thrown = {
                one.id: one.last_modified for one in self._planned(block) if one.availability == _DELETED
            }
            for message in self.messages(block):
                if message.id in thrown and message.availability == _DELETED:
                    yield message, thrown[message.id]

    def add(self, message: SimMessage) -> None:
        """Add `message`, which must be in no mailbox, as the newest."""
        block = self.plan.blocks + len(self._arrived) // BLOCK
        self._kept.setdefault(block, {})[message.id] = message
        self._arrived[message.id] = block
        self.changes[block] += 1
        message.on_change = self._keep

    def remove(self, message: SimMessage) -> None:
        """Remove `message`.

        Raises:
            KeyError: The mailbox does not contain it.
        """
        if self.find(message.id) is None:
            raise KeyError(message.id)
        self._keep(message)
        self._kept[self._block_of(message.id)][message.id] = None
        message.on_change = None

    def tally(self, criterion: Criterion) -> "Tally":
        """The number of messages in each block that satisfy `criterion`; cached for repeated use."""
        tally = self._tallies.pop(criterion.key, None) or Tally(self, criterion)
        self._tallies[criterion.key] = tally
        if len(self._tallies) > TALLIES:
            del self._tallies[next(iter(self._tallies))]
        return tally

    def snapshot(self) -> "Mailbox":
        """A copy of the present state, which later changes do not affect."""
        copy = Mailbox(self.plan, self._read)
        copy.changes, copy._arrived = Counter(self.changes), dict(self._arrived)
        for block, kept in self._kept.items():
            copy._kept[block] = {
                i: message and attrs.evolve(message, on_change=None) for i, message in kept.items()
            }
        return copy

    def _planned(self, block: int) -> Iterator[Planned]:
        """The planned messages of `block`, newest first."""
        return reversed(self._read(self.plan, block))

    def _block_of(self, message_id: int) -> int:
        """The block that would hold this message; -1 if none would."""
        return self._arrived.get(message_id, self.plan.block_of(message_id))

    def _keep(self, message: SimMessage) -> None:
        """Store `message` from now on, because it is about to change.

        Raises:
            RuntimeError: Another object already stands for this message, so the change would be lost.
        """
        block = self._block_of(message.id)
        if self._kept.setdefault(block, {}).setdefault(message.id, message) is not message:
            raise RuntimeError(f"message {message.id} was changed or removed since it was looked up")
        self.changes[block] += 1


class Tally:
    """The number of messages in each block of `mailbox` that satisfy a criterion.

    It notices changes by itself; `steps` brings it up to date. Use it from one thread only.
    """

    def __init__(self, mailbox: Mailbox, criterion: Criterion) -> None:
        self._mailbox = mailbox
        self._criterion = criterion
        self._seen: dict[int, int] = {}
        self.counts = array("h")
        """Counts by block; valid from the end of `steps` to the next change."""
        if criterion.admits is None:
            self.counts.extend(map(self._planned, range(mailbox.plan.blocks)))

    def steps(self) -> Iterator[None]:
        """Count the changed blocks; after each block the caller may run other tasks."""
        while due := self._due():
            for block in due:
                self._seen[block] = self._mailbox.changes[block]
                self.counts[block] = sum(map(self._admits, self._mailbox.messages(block)))
                yield

    def _due(self) -> list[int]:
        """The blocks that must be counted."""
        self.counts.extend([_UNCOUNTED] * (self._mailbox.blocks - len(self.counts)))
        for block, times in self._mailbox.changes.items():
            if self._seen.get(block, 0) != times:
                self.counts[block] = _UNCOUNTED
        if _UNCOUNTED not in self.counts:
            return []
        return [block for block, count in enumerate(self.counts) if count == _UNCOUNTED]

    def _planned(self, block: int) -> int:
        """The count of an unchanged block, if the criterion depends only on availability."""
        plan = self._mailbox.plan
        deleted = plan.in_trash(block)
        counts: dict[str, int] = {
            Availability.ALIVE: plan.size(block) - deleted,
            Availability.DELETED: deleted,
        }
        return sum(counts.get(state, 0) for state in self._criterion.availability)

    def _admits(self, message: SimMessage) -> bool:
        criterion = self._criterion
        return message.availability in criterion.availability and (
            criterion.admits is None or criterion.admits(message)
        )
