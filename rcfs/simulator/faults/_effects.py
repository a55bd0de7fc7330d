"""The interface of all effects of faults, and the effects on connections and bodies.

An effect overrides one step of answering: it replaces the answer, edits it, or changes how it is sent. On the
wire it does exactly what its name says, or skips the request.
"""

# ruff: noqa: ARG002 - the interface passes to every step all that any effect needs

from collections.abc import Awaitable, Callable

import attrs
import trio

from rcfs.simulator._backend import Call
from rcfs.simulator._delivery import Delivery
from rcfs.simulator._wire import Answer

_A_TIME = attrs.validators.ge(0.0)
"""Neither negative nor NaN, because nobody can wait for that time."""


@attrs.frozen
class Effect:
    """The effect of a fault. This one does nothing; each subclass overrides a single step."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether it can affect this request, which has passed all checks before the endpoint.

        `pick` calls this before the endpoint, with None, and again with the endpoint's answer in `found`; an
        effect must return True in only one of these calls. Effects that change an answer need to see it; the
        others apply whatever the answer would be.
        """
        return found is None

    def replace(self, call: Call) -> Answer | None:
        """An answer in place of the endpoint's; None to ask the endpoint."""
        return None

    async def carry_out(self, call: Call, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The endpoint's answer, for which it calls `ask` once."""
        return await ask()

    def edit(self, answer: Answer) -> Answer:
        """`answer`, changed by the effect."""
        return answer

    def delivery(self, size_bytes: int) -> Delivery:
        """How to send a body of `size_bytes`."""
        return Delivery()


@attrs.frozen
class Refuse(Effect):
    """Refuses connections to an origin; closes idle ones at once, others after their answer.

    It begins at once and applies to no request. For a time, or without end, it closes the listener, so
    clients get ECONNREFUSED, and no count is possible. To refuse the next N connections, or some by chance,
    the simulator must accept them; it resets each one before reading anything.
    """

    for_s: float | None = attrs.field(default=None, validator=attrs.validators.optional(_A_TIME))
    """Seconds that the listener is closed; None if ``count`` decides when the fault ends."""
    origin: str = attrs.field(default="platform", validator=attrs.validators.in_(("platform", "media")))
    """``platform`` or ``media``."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Always False: it applies to connections, not to requests."""
        return False


@attrs.frozen
class Reset(Effect):
    """Carries out the request, then resets the connection instead of answering."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Reset before the first byte."""
        return Delivery(reset_first=True)


@attrs.frozen
class LostRequest(Reset):
    """Resets the connection instead of carrying out the request."""

    def replace(self, call: Call) -> Answer:
        """An answer, which `delivery` does not send."""
        return Answer(503)


@attrs.frozen
class Late(Effect):
    """Carries out the request only some time after its arrival, even if the client has given up by then."""

    delay_s: float = attrs.field(validator=_A_TIME)
    """Seconds from its arrival."""
    reset: bool = False
    """Whether the connection is reset at once; otherwise the answer comes when the request is carried out."""

    async def carry_out(self, call: Call, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The endpoint's answer; with `reset` another, which `delivery` does not send."""
        answers: list[Answer] = []
        done = trio.Event()

        async def ask_later() -> None:
            await trio.sleep(self.delay_s)
            answers.append(await ask())
            done.set()

        call.backend.background.start_soon(ask_later)
        if self.reset:
            return Answer(503)
        await done.wait()
        return answers[0]

    def delivery(self, size_bytes: int) -> Delivery:
        """Reset before the first byte, if so asked."""
        return Delivery(reset_first=self.reset)


@attrs.frozen
class Slow(Effect):
    """Carries out the request, then delays the answer."""

    delay_s: float = attrs.field(validator=_A_TIME)
    """Seconds before the answer begins."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Delay the answer."""
        return Delivery(delay_s=self.delay_s)


@attrs.frozen
class BodyEffect(Effect):
    """An effect on the body of an answer; skips answers without a body."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the answer has a body."""
        return found is not None and found.size_bytes > 0


def _within(at_byte: int | None, size_bytes: int) -> int:
    """A position before the end of a body: `at_byte`, or the middle for None."""
    place = size_bytes // 2 if at_byte is None else at_byte
    return min(place, size_bytes - 1)


def _a_place() -> int | None:
    """The attribute of effects that happen at a position of the body."""
    place: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0)))
    return place


@attrs.frozen
class ResetBody(BodyEffect):
    """Resets the connection in the middle of the body."""

    at_byte: int | None = _a_place()
    """Position of the reset, in bytes, before the last; None for the middle."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Reset at the position."""
        return Delivery(reset_at=_within(self.at_byte, size_bytes))


@attrs.frozen
class Truncate(BodyEffect):
    """Ends the body in an orderly way, but earlier than Content-Length promises."""

    at_byte: int | None = _a_place()
    """Position of the end, in bytes, before the last; None for the middle."""

    def delivery(self, size_bytes: int) -> Delivery:
        """End at the position."""
        return Delivery(truncate_at=_within(self.at_byte, size_bytes))


@attrs.frozen
class Stall(BodyEffect):
    """Pauses in the middle of the body."""

    for_s: float = attrs.field(validator=_A_TIME)
    """Length of the pause, in seconds."""
    at_byte: int | None = _a_place()
    """Position of the pause, in bytes, before the last; None for the middle."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Pause at the position."""
        return Delivery(stall_at=_within(self.at_byte, size_bytes), stall_s=self.for_s)


@attrs.frozen
class Trickle(BodyEffect):
    """Sends the body slowly, in small pieces."""

    piece_bytes: int = attrs.field(default=1024, validator=attrs.validators.ge(1))
    """Bytes of a piece."""
    pause_s: float = attrs.field(default=0.1, validator=_A_TIME)
    """Seconds between two pieces."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Send small pieces."""
        return Delivery(piece_bytes=self.piece_bytes, pause_s=self.pause_s)


@attrs.frozen
class Chunked(BodyEffect):
    """Sends the body with chunked transfer coding, without its length."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Send no Content-Length."""
        return Delivery(chunked=True)


@attrs.frozen
class Gzip(BodyEffect):
    """Compresses the body, whatever the client accepts."""

    def delivery(self, size_bytes: int) -> Delivery:
        """Compress the body."""
        return Delivery(gzip=True)
