"""What of a mailbox a client is shown: found block by block, while others are served.

A page costs what is on it, wherever it is: the mailbox knows how many messages of each block are meant
(`Tally`), so only the blocks of the page are read. What asks for more than the availability of messages has
to look at all of them once, some 8 µs each (25 µs for a phone number); the counts are remembered.
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
    """The messages that were meant when it was made, newest first; what changes later may show."""

    _blocks: Sequence[int]
    """Blocks that messages may be in, the newest first."""
    _ends: Sequence[int]
    """How many messages there are up to the end of each."""
    _read: Callable[[int], Sequence[SimMessage]]
    """What of a block is meant, newest first."""

    @property
    def count(self) -> int:
        """How many messages there are."""
        return self._ends[-1] if self._ends else 0

    async def part(self, places: range) -> list[SimMessage]:
        """The messages at `places`, which are counted from the newest on."""
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
        """All messages in pieces, from the piece with number `first` on; each is read when it is its turn."""
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
    """Those of the messages that are counted in `counts` that the dates of `wanted` admit."""

    def read(block: int) -> Sequence[SimMessage]:
        return [message for message in mailbox.messages(block) if wanted.admits(message, account)]

    edges, planned = mailbox.plan.edges, mailbox.plan.blocks
    first = max(0, bisect_left(edges, wanted.date_from) - 1)
    stop = max(first, min(bisect_right(edges, wanted.date_to), planned))
    sizes = dict(zip(range(first, stop), counts[first:stop], strict=True))
    # The dates cut only the outermost blocks; what has arrived since has no edges.
    outermost = {first, stop - 1}.intersection(sizes)
    cut = [block for block in outermost if not wanted.includes(edges[block], edges[block + 1])]
    for block in (*cut, *range(planned, mailbox.blocks)):
        sizes[block] = len(read(block))
    blocks = [*range(mailbox.blocks - 1, planned - 1, -1), *range(stop - 1, first - 1, -1)]
    return Selection(blocks, list(accumulate(sizes[block] for block in blocks)), read)


async def _distinct(selection: Selection, account: SimAccount) -> Selection:
    """Of each conversation in `selection` only the newest message, and none that belongs to none."""
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
