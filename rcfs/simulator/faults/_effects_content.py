"""Effects on contents: which bytes are sent, and which Content-Range describes them."""

# ruff: noqa: ARG002 - the interface passes to every step all that any effect needs

import attrs

from rcfs.simulator._backend import Call
from rcfs.simulator._ranges import partial_answer
from rcfs.simulator._wire import Answer, ApiError, Part
from rcfs.simulator.faults._effects import Effect


@attrs.frozen
class ContentEffect(Effect):
    """An effect on the bytes of a content, with or without a Range; skips all other answers."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the answer is a content."""
        return found is not None and isinstance(found.body, Part)

    def edit(self, answer: Answer) -> Answer:
        """`answer`, changed by `reshape`."""
        return self.reshape(answer, answer.body) if isinstance(answer.body, Part) else answer

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """`answer`, whose body is `part`, changed by the effect."""
        raise NotImplementedError


@attrs.frozen
class UnaskedPartial(ContentEffect):
    """Answers 206 with only the first part of the requested bytes."""

    first_bytes: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.ge(1))
    )
    """Length of that part, always less than the whole (if that has two bytes); None for half."""

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """The first part."""
        asked = part.stop - part.start
        length = asked // 2 if self.first_bytes is None else min(self.first_bytes, asked - 1)
        return partial_answer(answer.headers, attrs.evolve(part, stop=part.start + max(1, length)))


@attrs.frozen
class IgnoredRange(ContentEffect):
    """Answers 200 with the whole content to a request for a range."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether the request has a range."""
        return found is not None and found.status == 206

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """The whole content."""
        return Answer(200, _without_range(answer), attrs.evolve(part, start=0, stop=part.whole_bytes))


@attrs.frozen
class WrongContentRange(ContentEffect):
    """Answers 206 with the right bytes and a Content-Range that names others."""

    shift_bytes: int = 1
    """Distance from the sent bytes to those that the header names."""

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """The answer with the wrong Content-Range."""
        first, last = part.start + self.shift_bytes, part.stop - 1 + self.shift_bytes
        named = {"Content-Range": f"bytes {first}-{last}/{part.whole_bytes}"}
        return Answer(206, {**answer.headers, **named}, part)


@attrs.frozen
class MissingContentRange(ContentEffect):
    """Answers 206 with the right bytes and no Content-Range."""

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """The answer without Content-Range."""
        return Answer(206, _without_range(answer), part)


@attrs.frozen
class NotReady(ContentEffect):
    """Answers MSG-368: the fax is still being processed."""

    status: int = 404
    """HTTP status; the real one is unknown, so the default is the one easiest to mistake for a missing
    content."""

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """The error."""
        return ApiError(self.status, "MSG-368", "Fax is still being processed").answer


def _without_range(answer: Answer) -> dict[str, str]:
    """The headers of `answer` without Content-Range."""
    return {name: value for name, value in answer.headers.items() if name != "Content-Range"}
