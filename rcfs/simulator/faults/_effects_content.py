"""Effects on contents: which bytes are answered, and which ones it is said that they are."""

# ruff: noqa: ARG002 - every step is offered all that any effect needs for it

import attrs

from rcfs.simulator._backend import Call
from rcfs.simulator._ranges import partial_answer
from rcfs.simulator._wire import Answer, ApiError, Part
from rcfs.simulator.faults._effects import Effect


@attrs.frozen
class ContentEffect(Effect):
    """What is done to the bytes of a content, with or without a Range; passes over everything else."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether there is a content."""
        return found is not None and isinstance(found.body, Part)

    def edit(self, answer: Answer) -> Answer:
        """The answer instead of `answer`."""
        return self.reshape(answer, answer.body) if isinstance(answer.body, Part) else answer

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """The answer instead of `answer`, whose body is `part`."""
        raise NotImplementedError


@attrs.frozen
class UnaskedPartial(ContentEffect):
    """Answers 206 with only the first part of what was asked for."""

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
    """Answers 200 with everything, though a range was asked for."""

    def fits(self, call: Call, found: Answer | None) -> bool:
        """Whether a range was asked for."""
        return found is not None and found.status == 206

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """The whole content."""
        return Answer(200, _without_range(answer), attrs.evolve(part, start=0, stop=part.whole_bytes))


@attrs.frozen
class WrongContentRange(ContentEffect):
    """Answers 206 with the right bytes and a Content-Range that names others."""

    shift_bytes: int = 1
    """How far the named bytes lie behind the ones that are sent."""

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """The other Content-Range."""
        first, last = part.start + self.shift_bytes, part.stop - 1 + self.shift_bytes
        named = {"Content-Range": f"bytes {first}-{last}/{part.whole_bytes}"}
        return Answer(206, {**answer.headers, **named}, part)


@attrs.frozen
class MissingContentRange(ContentEffect):
    """Answers 206 with the right bytes and no Content-Range."""

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """No Content-Range."""
        return Answer(206, _without_range(answer), part)


@attrs.frozen
class NotReady(ContentEffect):
    """Answers MSG-368: the fax is still being processed."""

    status: int = 404
    """HTTP status; unknown, so the one that is most easily mistaken for "no such content"."""

    def reshape(self, answer: Answer, part: Part) -> Answer:
        """The refusal."""
        return ApiError(self.status, "MSG-368", "Fax is still being processed").answer


def _without_range(answer: Answer) -> dict[str, str]:
    """The headers of `answer` but for Content-Range."""
    return {name: value for name, value in answer.headers.items() if name != "Content-Range"}
