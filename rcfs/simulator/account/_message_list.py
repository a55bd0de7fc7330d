"""Lists of messages, read block by block with checkpoints for other tasks.

A page costs the same wherever it is: the mailbox knows the number of matching messages in each block
(`Tally`), so only the blocks of the page are read. A filter on more than availability must read all messages
once, some 8 µs each (25 µs for a phone number); the counts are cached.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import attrs
import trio

from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._mailbox import Mailbox
from rcfs.simulator.account._message_filter import MessageFilter
from rcfs.simulator.account._plan import SimMessage


@attrs.frozen(eq=False)
class Selection:
    """The messages that matched at its creation, newest first; later changes to them may show."""

    _blocks: Sequence[int]
    """Blocks that may contain some, the newest first."""
    _ends: Sequence[int]
    """Number of messages up to the end of each block."""
    _read: Callable[[int], Sequence[SimMessage]]
    """Reads the matching messages of a block, newest first."""

    @property
    def count(self) -> int:
        """Number of messages."""
        return self._ends[-1] if self._ends else 0

    async def part(self, places: range) -> list[SimMessage]:
        """The messages at `places`, counted from the newest."""
        found: list[SimMessage] = []
        first = bisect_right(self._ends, places.start)
        skipped = places.start - (self._ends[first - 1] if first else 0)
        for messages in self.pieces(first):
            found += messages
            if len(found) >= skipped + len(places):
                break
            await trio.lowlevel.checkpoint()
        return found[skipped : skipped + len(places)]

    def pieces(self, first: int = 0) -> Iterator[Sequence[SimMessage]]:
        """All messages in pieces, from piece number `first`; each piece is read only when needed."""
        for place in range(first, len(self._blocks)):
            if self._ends[place] > (self._ends[place - 1] if place else 0):
                yield self._read(self._blocks[place])


async def select(account: SimAccount, extension_id: int, wanted: MessageFilter) -> Selection:
    """The messages of a mailbox that `wanted` admits."""
    if wanted.of_others:
        return _listed([])
    mailbox = account.mailbox(extension_id)
    tally = mailbox.tally(wanted.criterion(account))
    for _ in tally.steps():
        await trio.lowlevel.checkpoint()
    selection = _within_dates(mailbox, tally.counts, account, wanted)
    return await _distinct(selection, account) if wanted.distinct else selection


def _within_dates(
    mailbox: Mailbox, counts: Sequence[int], account: SimAccount, wanted: MessageFilter
) -> Selection:
    """The messages counted in `counts` that lie within the dates of `wanted`."""

    def read(block: int) -> Sequence[SimMessage]:
        return [message for message in mailbox.messages(block) if wanted.admits(message, account)]

    edges, planned = mailbox.plan.edges, mailbox.plan.blocks
    first = max(0, bisect_left(edges, wanted.date_from) - 1)
    stop = max(first, min(bisect_right(edges, wanted.date_to), planned))
    sizes = dict(zip(range(first, stop), counts[first:stop], strict=True))
    # The dates cut only the outermost blocks; blocks of later messages have no edges.
    outermost = {first, stop - 1}.intersection(sizes)
    cut = [block for block in outermost if not wanted.includes(edges[block], edges[block + 1])]
    for block in (*cut, *range(planned, mailbox.blocks)):
        sizes[block] = len(read(block))
    blocks = [*range(mailbox.blocks - 1, planned - 1, -1), *range(stop - 1, first - 1, -1)]
    return Selection(blocks, list(accumulate(sizes[block] for block in blocks)), read)


async def _distinct(selection: Selection, account: SimAccount) -> Selection:
    """Only the newest message of each conversation in `selection`, and none without a conversation."""
    newest: dict[str, SimMessage] = {}
    for messages in selection.pieces():
        for message in messages:
            newest.setdefault(account.conversation_of(message), message)
        await trio.lowlevel.checkpoint()
    newest.pop("", None)
    return _listed(list(newest.values()))


def _listed(messages: Sequence[SimMessage]) -> Selection:
    """Just these `messages`."""
    return Selection([0], [len(messages)], lambda _block: messages)
