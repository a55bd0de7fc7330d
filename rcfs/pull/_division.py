"""How the pulls of several machines divide an account: by *parts*, each one mailbox in one month. Pure."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import attrs

from rcfs.pull._facts import NO_MONTH, month_of_time
from rcfs.pull._walk import Item
from rcfs.tree import CallLogFile, RecordingFile

MOST_SHARDS: Final = 1000
"""Most pulls that divide an account without a server."""


@attrs.frozen
class Shard:
    """One of several pulls that divide an account without asking each other."""

    number: int
    """Its number, from 1 to `of`."""
    of: int
    """Number of pulls."""

    def takes(self, part: str) -> bool:
        """Whether this pull takes a part, as exactly one of all pulls with the same `of` does."""
        digest = blake2b(part.encode(), digest_size=8).digest()
        return int.from_bytes(digest) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_shard(text: str) -> Shard:
    """The shard that ``N/M`` names.

    Raises:
        ValueError: It names none.
    """
    number, slash, of = text.partition("/")
    if slash and all(each.isascii() and each.isdecimal() and len(each) <= 4 for each in (number, of)):
        shard = Shard(int(number), int(of))
        if 1 <= shard.number <= shard.of <= MOST_SHARDS:
            return shard
    raise ValueError(f"write N/M, such as 2/3 for the second of three pulls; M is {MOST_SHARDS} at most")


def part_of(item: Item, owner_of: Callable[[str], int | None]) -> str:
    """The part that a file or link belongs to, as ``OWNER/MONTH``; what has no month is one part more.

    Args:
        item: The file or link.
        owner_of: Gives the owner of a directory in the root; None for none.
    """
    name, node, month = item.parts[0], item.node, NO_MONTH
    if isinstance(node, RecordingFile):
        month = month_of_time(node.row.started_s)
    elif isinstance(node, CallLogFile):
        month = node.month
    elif item.message is not None:
        month = month_of_time(item.message.created_s)
    owner = owner_of(name)
    return f"{name if owner is None else owner}/{month}"
