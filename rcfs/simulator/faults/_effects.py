"""What a fault does: the interface of all effects, and those that do something to the connection.

An effect overrides one step of answering: what is answered instead, what is changed about the answer, or how
it is sent. Each does on the wire just what its name says, or passes over the request.
"""

# ruff: noqa: ARG002 - every step is offered all that any effect needs for it

import attrs

from rcfs.simulator._backend import Call
from rcfs.simulator._delivery import Delivery
from rcfs.simulator._wire import Answer

_A_TIME = attrs.validators.ge(0.0)
"""Neither negative nor NaN, for which nobody can wait."""


@attrs.frozen
class Effect:
    """What a fault does; this one does nothing, each kind overrides a single step."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether it has something to work on in a request that came as far as its endpoint.

        Asked before the endpoint is, with None, and again with what it `found`; to be affirmed one time
        only. What changes an answer has to see it; the others happen whatever the answer would be.
        """
        return found is None

    def replace(self, call: Call) -> Answer | None:
        """The answer instead of the endpoint's; None to ask the endpoint."""
        return None

    def edit(self, answer: Answer) -> Answer:
        """The answer instead of `answer`."""
        return answer

    def delivery(self, size_bytes: int) -> Delivery:
        """How a body of `size_bytes` is sent."""
        return Delivery()


@attrs.frozen
class Refuse(Effect):
    """Refuses connections to an origin; those that idle are closed, those in use when they are answered.

    It begins at once, and has no request to befall. For a time, or without end, the listener is closed: who
    tries gets ECONNREFUSED, and cannot be counted. The next N connections, or some by chance, have to be
    accepted to be counted: they are reset before anything was read.
    """

    for_s: float | None = attrs.field(default=None, validator=attrs.validators.optional(_A_TIME))
    """How long the listener is closed, in seconds; None leaves the end to ``count``."""
    origin: str = attrs.field(default="platform", validator=attrs.validators.in_(("platform", "media")))
    """``platform`` or ``media``."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Never: there are no requests any more."""
        return False


@attrs.frozen
class Reset(Effect):
    """Resets the connection instead of answering."""

    def delivery(self, size_bytes: int) -> Delivery:
        """A reset before the first byte."""
        return Delivery(reset_first=True)


@attrs.frozen
class Slow(Effect):
    """Begins to answer late."""

    delay_s: float = attrs.field(validator=_A_TIME)
    """Seconds before the answer begins."""

    def delivery(self, size_bytes: int) -> Delivery:
        """A delay."""
        return Delivery(delay_s=self.delay_s)


@attrs.frozen
class BodyEffect(Effect):
    """What is done to a body; passes over answers without one."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether there is a body."""
        return found is not None and found.size_bytes > 0


def _within(at_byte: int | None, size_bytes: int) -> int:
    """A place before the end of a body: `at_byte`, or the middle for None."""
    place = size_bytes // 2 if at_byte is None else at_byte
    return min(place, size_bytes - 1)


def _a_place() -> int | None:
    """The attribute of effects that happen at a place of the body."""
    place: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0)))
    return place


@attrs.frozen
class ResetBody(BodyEffect):
    """Resets the connection in the middle of the body."""

    at_byte: int | None = _a_place()
    """After so many bytes, and before the last; None for half."""

    def delivery(self, size_bytes: int) -> Delivery:
        """A reset at the byte."""
        return Delivery(reset_at=_within(self.at_byte, size_bytes))


@attrs.frozen
class Truncate(BodyEffect):
    """Ends the body in an orderly way, and too early: Content-Length promises more."""

    at_byte: int | None = _a_place()
    """After so many bytes, and before the last; None for half."""

    def delivery(self, size_bytes: int) -> Delivery:
        """An end at the byte."""
        return Delivery(truncate_at=_within(self.at_byte, size_bytes))


@attrs.frozen
class Stall(BodyEffect):
    """Stops in the middle of the body, and then goes on."""

    for_s: float = attrs.field(validator=_A_TIME)
    """How long it stops, in seconds."""
    at_byte: int | None = _a_place()
    """After so many bytes, and before the last; None for half."""

    def delivery(self, size_bytes: int) -> Delivery:
        """A stop at the byte."""
        return Delivery(stall_at=_within(self.at_byte, size_bytes), stall_s=self.for_s)


@attrs.frozen
class Trickle(BodyEffect):
    """Sends the body in small pieces, slowly."""

    piece_bytes: int = attrs.field(default=1024, validator=attrs.validators.ge(1))
    """Size of a piece."""
    pause_s: float = attrs.field(default=0.1, validator=_A_TIME)
    """Seconds between two pieces."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Small pieces."""
        return Delivery(piece_bytes=self.piece_bytes, pause_s=self.pause_s)


@attrs.frozen
class Chunked(BodyEffect):
    """Sends the body chunked, without saying its length."""

    def delivery(self, size_bytes: int) -> Delivery:
        """No Content-Length."""
        return Delivery(chunked=True)


@attrs.frozen
class Gzip(BodyEffect):
    """Compresses the body, whatever the client accepts."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Content-Encoding: gzip."""
        return Delivery(gzip=True)
