"""When a read is worth a request: compares a wait with the price of a request, both in seconds.

A window of 60 s with 40 requests makes a request cost 1.5 s. A read waits if the requests in flight reach
its bytes sooner than that. Otherwise a further request is sent, from the missing byte up to the next bytes
that are present or in flight. So a file that arrives within a few prices is never split, without any table
of file types, and random reads cost at most one request per price. Pure: no clock and no event loop; every
position is in bytes, every time in seconds.
"""

from collections.abc import Sequence
from typing import Final

import attrs

from rcfs.model import CHUNK_BYTES, RangeSet

NEAR_BYTES: Final = 2 * CHUNK_BYTES
"""A read this little ahead of a download waits for it, however slow it is: the kernel keeps up to two windows
of read-ahead in front of a sequential reader, each 128 KiB, or 1 MiB where root raised it."""

_PRIOR_FIRST_BYTE_S: Final = 0.2
_PRIOR_RATE: Final = 8 << 20
"""Round trip, and bytes a second, before the first answer. These guess a fast line: if that is wrong, the
read decides again after the price of a request, but a request that was sent in vain cannot be taken back."""
_PRIOR_BYTES: Final = 64 << 10
"""Weight of the average rate in the rate of one body, in bytes: a body that has brought much more than this
has its own rate."""
_FADE: Final = 0.75
"""Weight of earlier observations when one is added: the latest four then make two thirds of the estimate."""
_CLOCK_S: Final = 1e-3
"""Shorter times count as a millisecond: they measure the clock rather than the line, and a wait that is too
short may not move the clock at all."""


@attrs.frozen
class InFlight:
    """The bytes that one request brings, or will bring once it is sent."""

    position: int
    """The next byte that it brings."""
    stop: int
    """One past the last byte that it brings."""
    rate: float
    """Bytes a second, above 0."""
    begins_in_s: float = 0.0
    """Time until its first byte; 0 when bytes are arriving."""

    def reaches_in_s(self, position: int) -> float:
        """Time until it has reached `position`, which is in its range."""
        return self.begins_in_s + (position - self.position) / self.rate


@attrs.frozen
class RequestCost:
    """The cost of a further request now."""

    price_s: float
    """The share of the window that one request takes: its length divided by the limit."""
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
        """The longest wait that is cheaper than a request: its price, or its duration if that is longer."""
        return max(self.price_s, self.slot_s + self.first_byte_s)

    @property
    def worth_bytes(self) -> int:
        """Number of bytes that arrive within `worth_s`."""
        return int(self.worth_s * self.rate)


@attrs.frozen
class Wait:
    """The decision to send no request now."""

    for_s: float
    """Decide again after this time if the bytes are still missing; above 0."""


def follows(first: int, position: int, stop: int) -> bool:
    """Whether the byte `first` is so little ahead of a download of ``[position, stop)`` that a read waits.

    No request is sent for it then, whatever one costs.
    """
    return position <= first < stop and first - position <= NEAR_BYTES


def decide(
    size: int, held: RangeSet, in_flight: Sequence[InFlight], read: tuple[int, int], cost: RequestCost
) -> Wait | tuple[int, int]:
    """Whether a read of ``[start, stop)`` waits, or the range ``[start, stop)`` to request for it.

    Args:
        size: Size of the content.
        held: The bytes that are present.
        in_flight: All requests for this content.
        read: The read; only its part before `size` counts, and some of that must be missing.
        cost: The cost of a further request.
    """
    gap = held.gap(read[0], min(read[1], size))
    if gap is None:
        raise ValueError(f"all of {read} is there")
    first = gap[0]
    if any(follows(first, each.position, each.stop) for each in in_flight):
        return Wait(cost.worth_s)
    coming = [each for each in in_flight if each.position <= first < each.stop]
    if any(each.reaches_in_s(first) <= cost.worth_s for each in coming):
        return Wait(cost.worth_s)
    if cost.since_last_s < cost.price_s:
        return Wait(max(cost.price_s - cost.since_last_s, _CLOCK_S))
    return range_for(size, held, in_flight, first, cost)


def range_for(
    size: int, held: RangeSet, in_flight: Sequence[InFlight], first: int, cost: RequestCost
) -> tuple[int, int]:
    """The range ``[start, stop)`` to request for the missing byte `first`.

    It extends to the next bytes that are present or in flight, because a shorter one would need another
    request soon. It extends through a short run of such bytes: receiving them twice takes less time than a
    request costs. It begins at the start of the chunk, or at the start of the gap if that is near and no
    other request brings those bytes.
    """
    taken = held
    for each in in_flight:
        if each.position > first:
            taken = taken.plus(each.position, each.stop)
    stop = first
    while (gap := taken.gap(stop, size)) is not None and (stop == first or gap[0] - stop <= cost.worth_bytes):
        stop = gap[1]
    begin = taken.run_before(first)
    others = any(each.position <= first < each.stop for each in in_flight)
    if others or first - begin > cost.worth_bytes:
        begin = max(begin, first - first % CHUNK_BYTES)
    return begin, stop


class Meter:
    """Estimates the time to the first byte (seconds) and the rate of a body (bytes a second) from answers."""

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
        """Notes that the headers of an answer came after `waited_s`."""
        self.first_byte_s += (waited_s - self.first_byte_s) * (1 - _FADE)

    def received(self, size_bytes: int, within_s: float) -> None:
        """Notes that a body, perhaps broken off, brought `size_bytes` in `within_s`."""
        if size_bytes >= _PRIOR_BYTES:
            self._bytes = self._bytes * _FADE + size_bytes
            self._seconds = self._seconds * _FADE + max(within_s, _CLOCK_S)

    def rate_of(self, size_bytes: int, within_s: float) -> float:
        """Bytes a second of a body that has brought `size_bytes` in `within_s`, above 0; falls in a stall."""
        return (_PRIOR_BYTES + size_bytes) / (_PRIOR_BYTES / self.rate + within_s)
