"""When a read is worth a request of its own: the price of a request, in seconds.

A window of 60 s with 40 requests makes a request cost 1.5 s. A read whose bytes the requests under way
will have reached by then waits for them; only for a later one a further request is sent, from there up to
the next bytes that are there or on their way. So files that arrive within a few prices are never split,
without any table of kinds, and however somebody jumps about in a file, it costs at most one request per
price. Pure: no clock and no event loop; every position is in bytes, every time in seconds.
"""

from collections.abc import Sequence
from typing import Final

import attrs

from rcfs.model import CHUNK_BYTES, RangeSet

NEAR_BYTES: Final = 2 * CHUNK_BYTES
"""Who reads this little ahead of a stream follows it, at whatever rate it comes: the kernel keeps up to two
windows of read-ahead in front of a sequential reader, each 128 KiB, or 1 MiB where root raised it."""

_PRIOR_FIRST_BYTE_S: Final = 0.2
_PRIOR_RATE: Final = 8 << 20
"""Round trip, and bytes a second, until answers tell. Guesses, and rather a fast line: who waits in vain for
it decides again after the price of a request, but a request that was sent in vain is gone."""
_PRIOR_BYTES: Final = 64 << 10
"""A stream's rate is taken from the others until it has brought some multiple of this, in bytes."""
_FADE: Final = 0.75
"""What an earlier observation weighs after a further one: the last four make two thirds of the figure."""
_CLOCK_S: Final = 1e-3
"""Times below a millisecond are rounded up to it: they say more of the clock than of the line, and a wait of
next to nothing may not move the clock at all."""


@attrs.frozen
class Underway:
    """A request that brings bytes, or will."""

    position: int
    """The next byte that it brings."""
    stop: int
    """One past the last byte that it brings."""
    rate: float
    """Bytes a second, above 0."""
    begins_in_s: float = 0.0
    """Until it brings its first byte; 0 when it does already."""

    def reaches_in_s(self, position: int) -> float:
        """When it will have reached `position`, which it will pass."""
        return self.begins_in_s + (position - self.position) / self.rate


@attrs.frozen
class Terms:
    """What a further request costs now."""

    price_s: float
    """The share of the window that one request takes: its length through the limit."""
    slot_s: float
    """Until the next request can be admitted; 0 when one can be now."""
    first_byte_s: float
    """From the sending to the first byte."""
    rate: float
    """Bytes a second that a request brings, above 0."""
    since_last_s: float
    """Since the last request that a read caused for this content; infinite when none did."""

    @property
    def worth_s(self) -> float:
        """The longest wait that is cheaper than a request: its price, or longer when it takes longer."""
        return max(self.price_s, self.slot_s + self.first_byte_s)

    @property
    def worth_bytes(self) -> int:
        """What arrives in the time of a request's price."""
        return int(self.worth_s * self.rate)


@attrs.frozen
class Wait:
    """No request now."""

    for_s: float
    """Decide again after so long if the bytes are not there, above 0."""


@attrs.frozen
class Start:
    """A request for ``[start, stop)``."""

    start: int
    """First byte."""
    stop: int
    """One past the last byte; the size of the content when nothing after `start` is there or under way."""


def follows(first: int, position: int, stop: int) -> bool:
    """Whether who waits for the byte `first` follows a stream that brings ``[position, stop)``.

    No request is sent for it then, whatever one costs.
    """
    return position <= first < stop and first - position <= NEAR_BYTES


def decide(
    size: int, held: RangeSet, underway: Sequence[Underway], read: tuple[int, int], terms: Terms
) -> Wait | Start:
    """What to do for a read of ``[start, stop)``, of which something is missing.

    Args:
        size: Of the content, in bytes.
        held: What is there.
        underway: All requests for this content.
        read: What is wanted; only what lies before `size` counts.
        terms: What a further request costs now.
    """
    gap = held.gap(read[0], min(read[1], size))
    if gap is None:
        raise ValueError(f"all of {read} is there")
    first = gap[0]
    if any(follows(first, stream.position, stream.stop) for stream in underway):
        return Wait(terms.worth_s)
    coming = [stream for stream in underway if stream.position <= first < stream.stop]
    if min((stream.reaches_in_s(first) for stream in coming), default=terms.worth_s + 1) <= terms.worth_s:
        return Wait(terms.worth_s)
    if terms.since_last_s < terms.price_s:
        return Wait(max(terms.price_s - terms.since_last_s, _CLOCK_S))
    return extent(size, held, underway, first, terms)


def extent(size: int, held: RangeSet, underway: Sequence[Underway], first: int, terms: Terms) -> Start:
    """What a request should bring that is sent for the byte `first`, which is missing.

    It goes on to the next bytes that are there or under way, for a request that stops earlier only calls
    for another. Where those are few, it goes on through them: to receive them again takes less time than a
    request costs. It begins with the chunk, or where the gap begins when nobody else will bring that part
    and it is small.
    """
    taken = held
    for stream in underway:
        if stream.position > first:
            taken = taken.plus(stream.position, stream.stop)
    stop = first
    while (gap := taken.gap(stop, size)) is not None and (
        stop == first or gap[0] - stop <= terms.worth_bytes
    ):
        stop = gap[1]
    begin = taken.run_before(first)
    others = any(stream.position <= first < stream.stop for stream in underway)
    if others or first - begin > terms.worth_bytes:
        begin = max(begin, first - first % CHUNK_BYTES)
    return Start(begin, stop)


class Meter:
    """How long first bytes take and how fast bodies come, by the latest answers."""

    def __init__(self) -> None:
        self.first_byte_s = _PRIOR_FIRST_BYTE_S
        """From the sending of a request to its headers."""
        self._bytes = float(_PRIOR_RATE)
        self._seconds = 1.0

    @property
    def rate(self) -> float:
        """Bytes a second of a body, above 0."""
        return self._bytes / self._seconds

    def answered(self, waited_s: float) -> None:
        """The headers of an answer came after `waited_s`."""
        self.first_byte_s += (waited_s - self.first_byte_s) * (1 - _FADE)

    def received(self, size_bytes: int, within_s: float) -> None:
        """A body, or what came of it, had `size_bytes` and took `within_s`."""
        if size_bytes >= _PRIOR_BYTES:
            self._bytes = self._bytes * _FADE + size_bytes
            self._seconds = self._seconds * _FADE + max(within_s, _CLOCK_S)

    def rate_of(self, size_bytes: int, within_s: float) -> float:
        """Bytes a second of a body of which `size_bytes` came `within_s`, above 0; it falls in a stall."""
        return (_PRIOR_BYTES + size_bytes) / (_PRIOR_BYTES / self.rate + within_s)
