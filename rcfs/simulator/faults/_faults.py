"""Faults on demand: which requests get which effect.

A request gets at most one fault: the first in the list that applies to it. Effects that change an answer come
after the others, because they need to see it. A request that the platform itself refuses (no login, over the
limit, not permitted) gets none. A fault that finds nothing to change skips the request and does not count it:
no fault silently does less than its name says.
"""

import inspect
import math
import random
import re
from collections.abc import Mapping
from typing import Any, get_args

import attrs
import trio

from rcfs.simulator._backend import Call
from rcfs.simulator._wire import Answer
from rcfs.simulator.faults import _effects as effects
from rcfs.simulator.faults import _effects_answers as answers
from rcfs.simulator.faults import _effects_content as content
from rcfs.simulator.faults._effects import Effect, Refuse

EFFECTS: tuple[type[Effect], ...] = (
    effects.Refuse,
    effects.Reset,
    effects.LostRequest,
    effects.Late,
    effects.ResetBody,
    effects.Truncate,
    effects.Stall,
    effects.Trickle,
    effects.Slow,
    answers.SlowPages,
    effects.Chunked,
    effects.Gzip,
    content.UnaskedPartial,
    content.IgnoredRange,
    content.WrongContentRange,
    content.MissingContentRange,
    content.NotReady,
    answers.Status,
    answers.StatusAfter,
    answers.RefusedMessages,
    answers.Html,
    answers.Empty,
    answers.MalformedJson,
    answers.MissingFields,
    answers.UnknownFields,
    answers.RateLimited,
    answers.NoRateHeaders,
    answers.Redirect,
    answers.ExpiredToken,
    answers.ExpiredJwt,
    answers.TokenDown,
)
"""All effects; the kind of an effect is its class's name in snake case."""


@attrs.define(eq=False)
class Fault:
    """An effect, and the requests that it applies to."""

    effect: Effect
    """The effect."""
    operation: str = ""
    """``operationId`` of the requests, or several, separated by commas; empty for all."""
    path: str = ""
    """Beginning of their path; empty for all."""
    count: int | None = attrs.field(default=1)
    """Number of requests that it applies to; None for no limit."""
    probability: float = attrs.field(
        default=1.0, validator=attrs.validators.and_(attrs.validators.gt(0), attrs.validators.le(1))
    )
    """Probability that it applies to a matching request."""
    seed: int = 0
    """Seed of the random choices, which makes them repeatable."""
    fired: int = attrs.field(default=0, init=False)
    """Number of requests that it was applied to."""
    _dice: random.Random = attrs.field(init=False, repr=False)

    @_dice.default
    def _make_dice(self) -> random.Random:
        return random.Random(self.seed)  # noqa: S311 - repeatable on purpose, nothing secret

    @count.validator
    def _check_count(self, _attribute: object, value: int | None) -> None:
        if value is not None and value < 1:
            raise ValueError(f"a fault cannot apply to {value} requests")

    def __attrs_post_init__(self) -> None:
        if isinstance(self.effect, Refuse):
            if self.operation or self.path:
                raise ValueError("refuse takes no operation and no path: a connection has none")
            if self.effect.for_s is not None and self.probability != 1:
                raise ValueError("refuse takes for_s or probability: a closed listener throws no dice")

    @property
    def spent(self) -> bool:
        """Whether it was applied as often as it should."""
        return self.count is not None and self.fired >= self.count

    @property
    def closed_for_s(self) -> float | None:
        """Seconds that it closes a listener, possibly infinite; None if it closes none."""
        if not isinstance(self.effect, Refuse) or self.spent:
            return None
        if self.effect.for_s is None and self.count is None and self.probability == 1:
            return math.inf
        return self.effect.for_s

    def applies(self, call: Call, path: str, found: Answer | None) -> bool:
        """Whether it applies to the request `call` for `path`; if so, the request is counted.

        Args:
            call: The request.
            path: Its path.
            found: The endpoint's answer; None before the endpoint is called.
        """
        wanted = (
            (not self.operation or call.operation.id in self.operation.split(","))
            and path.startswith(self.path)
            and not self.spent
            and self.effect.fits(call, found)
        )
        return wanted and self.happens()

    def happens(self) -> bool:
        """Whether it applies now, by chance; if so, that is counted."""
        if self._dice.random() >= self.probability:
            return False
        self.fired += 1
        return True


class FaultList:
    """The active faults, in the order of their addition."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._changed = trio.Event()

    def add(self, fault: Fault) -> None:
        """Activate `fault`."""
        self._faults.append(fault)
        self._tell()

    def clear(self) -> None:
        """Remove all faults; answers that are being sent keep theirs."""
        self._faults.clear()
        self._tell()

    async def change(self) -> None:
        """Return when a fault was added, or all were removed."""
        await self._changed.wait()

    def pick(self, call: Call, path: str, found: Answer | None = None) -> Effect:
        """The effect for a request, usually none; see `Fault.applies` for the arguments."""
        effects = (fault.effect for fault in self._faults if fault.applies(call, path, found))
        return next(effects, Effect())

    def refusals(self, origin: str) -> list[Fault]:
        """The active faults that refuse connections to `origin`."""
        return [
            fault
            for fault in self._faults
            if isinstance(fault.effect, Refuse) and fault.effect.origin == origin and not fault.spent
        ]

    def as_json(self) -> list[dict[str, Any]]:
        """All faults with their options, and how often each was applied."""
        return [
            {
                "kind": kind_of(type(fault.effect)),
                "options": attrs.asdict(fault.effect),
                "operation": fault.operation,
                "path": fault.path,
                "count": fault.count,
                "probability": fault.probability,
                "fired": fault.fired,
            }
            for fault in self._faults
        ]

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def kind_of(effect_class: type[Effect]) -> str:
    """The name of an effect in JSON, such as ``reset_body``; empty for `Effect` itself."""
    return "" if effect_class is Effect else re.sub(r"(?<!^)(?=[A-Z])", "_", effect_class.__name__).lower()


@attrs.frozen
class Kind:
    """The description of one kind of fault."""

    kind: str
    """Its name."""
    help: str
    """Its effect, in a line."""
    needed: tuple[str, ...]
    """Names of its required options; each is a number of seconds."""
    options: Mapping[str, Any]
    """Its other options, with their defaults."""


def all_kinds() -> list[Kind]:
    """Every kind of fault."""
    kinds = []
    for effect_class in EFFECTS:
        fields = attrs.fields_dict(effect_class)
        kinds.append(
            Kind(
                kind_of(effect_class),
                inspect.cleandoc(effect_class.__doc__ or "").splitlines()[0],
                tuple(name for name, field in fields.items() if field.default is attrs.NOTHING),
                {name: f.default for name, f in fields.items() if f.default is not attrs.NOTHING},
            )
        )
    return kinds


def fault_from_json(value: object) -> Fault:
    """The fault that a JSON object describes.

    Its ``kind`` names the effect; ``operation``, ``path``, ``count``, ``probability`` and ``seed`` select the
    requests (with a probability, the default of ``count`` is no limit); the other fields are options of the
    effect.

    Raises:
        ValueError: `value` is not an object, the kind is unknown, or an option is unknown, missing, of the
            wrong type or out of bounds.
    """
    if not isinstance(value, dict):
        raise ValueError("a fault must be an object")
    kinds = {kind_of(effect_class): effect_class for effect_class in EFFECTS}
    options = dict(value)
    kind = options.pop("kind", "")
    effect_class = kinds.get(kind) if isinstance(kind, str) else None
    if effect_class is None:
        raise ValueError(f"kind must be one of {', '.join(kinds)}")
    choice: dict[str, Any] = {
        name: options.pop(name)
        for name in ("operation", "path", "count", "probability", "seed")
        if name in options
    }
    if "probability" in choice:
        choice.setdefault("count", None)
    _check_types("fault", Fault, choice)
    _check_types(kind, effect_class, options)
    try:
        return Fault(effect_class(**options), **choice)
    except TypeError as exc:
        raise ValueError(f"{kind}: {exc}") from exc


def _check_types(title: str, owner: type[Fault | Effect], options: Mapping[str, Any]) -> None:
    """Raise ValueError for an option that `owner` does not have, or whose value has the wrong type."""
    fields = attrs.fields_dict(owner)
    for name, value in options.items():
        if name not in fields:
            raise ValueError(f"{title} has no option {name!r}")
        wanted = {fields[name].type, *get_args(fields[name].type)}
        # As in JSON, an integer is a valid number, but a boolean is not.
        if type(value) not in wanted and not (type(value) is int and float in wanted):
            raise ValueError(f"{name} must be {fields[name].type}, not {value!r}")
