"""Where the bytes of contents come from: the platform, or whatever else can be asked for a part of one."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs

from rcfs.model import ByteRange, Wanted
from rcfs.transport import Demand


@attrs.frozen
class Part:
    """A stretch of a content that begins to arrive."""

    start: int
    """Position of its first byte in the content."""
    stop: int | None
    """One past its last byte, as promised; None when nothing is promised."""
    total: int | None
    """Size of the whole content in bytes; None when the source does not say."""
    is_whole: bool
    """Whether it is the whole content, so that its end is the content's."""
    waited_s: float
    """From the request to the first byte."""
    receive: Callable[[], Awaitable[bytes]]
    """Waits for the next bytes; empty at the end."""


class Transfer(Protocol):
    """What brings one stretch of one content, in as many parts as the source makes of it."""

    async def run(
        self,
        missing: Callable[[], ByteRange],
        take: Callable[[Part], Awaitable[None]],
        demand: Demand,
        *,
        progress: Callable[[], int],
        confirm: Callable[[], None],
    ) -> None:
        """Returns when `take` has taken one part, which may end before all that is missing has come.

        Args:
            missing: What is to be brought, asked before each attempt; raises when that is nothing.
            take: Takes the part.
            demand: How urgent it is.
            progress: How many bytes have come; a source that repeats tells by it whether that helps.
            confirm: Called in the moment before each request; when it raises, nothing is sent.

        Raises:
            RcfsError: The source failed for good, or what `missing`, `take` or `confirm` raised.
        """


class Source(Protocol):
    """What has contents."""

    def price(self, wanted: Wanted) -> tuple[float, float]:
        """What a request for `wanted` costs now, in seconds: its share of the budget, and until it can go."""

    def transfer(self, wanted: Wanted) -> Transfer:
        """A transfer of a stretch of `wanted`; nothing is under way before its `run`."""
