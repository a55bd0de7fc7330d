"""Where the bytes of contents come from: the platform, or anything else that can send parts of a content."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs

from rcfs.model import ByteRange, Wanted
from rcfs.transport import RequestOptions


@attrs.frozen
class Part:
    """A part of a content that begins to arrive."""

    start: int
    """Position of its first byte in the content."""
    stop: int | None
    """One past its last byte, as promised; None when nothing is promised."""
    total: int | None
    """Size of the whole content in bytes; None when the source does not say."""
    is_whole: bool
    """Whether it is the whole content, so that it ends where the content ends."""
    waited_s: float
    """From the request to the first byte."""
    receive: Callable[[], Awaitable[bytes]]
    """Waits for the next bytes; empty at the end."""


class Confirm(Protocol):
    """Called immediately before bytes are asked for; when it raises, nothing is sent."""

    def __call__(self, *, is_request: bool = True) -> None:
        """Notes that bytes are asked for: of the platform if it `is_request`, else of a free place."""


class Transfer(Protocol):
    """Brings one range of a content, in as many parts as the source splits it into."""

    async def run(
        self,
        missing: Callable[[], ByteRange],
        take: Callable[[Part], Awaitable[None]],
        options: RequestOptions,
        *,
        progress: Callable[[], int],
        confirm: Confirm,
        reserve: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Returns when `take` has taken one part, which may end before the end of the range.

        Args:
            missing: The range to ask for, called before each attempt; raises when nothing is missing.
            take: Takes the part.
            options: How urgent it is.
            progress: Number of bytes that have come; a source that retries sees by it whether that helps.
            confirm: See `Confirm`.
            reserve: See `Requester.run`.

        Raises:
            RcfsError: The source failed for good, or `missing`, `take`, `confirm` or `reserve` raised it.
        """


class Source(Protocol):
    """A place that contents can be fetched from."""

    def price(self, wanted: Wanted) -> tuple[float, float]:
        """The price of a request (its share of the window) and the wait for its slot, both in seconds."""

    def transfer(self, wanted: Wanted) -> Transfer:
        """A transfer of a range of `wanted`; nothing is sent before its `run`."""

    def remark(self, wanted: Wanted, /) -> str:
        """How `wanted` comes, for the history of fetches; empty if there is nothing to say."""

    def ended(self, wanted: Wanted, *, is_complete: bool) -> None:
        """Notes that all of `wanted` has come, or else that no transfer of it runs any more.

        Never waits. It may be called again, which does nothing.
        """
