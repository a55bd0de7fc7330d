"""Faults on demand: which requests have which effect.

One request has at most one fault, the first in the list that wants it. A request that the platform itself
refuses (no login, over the limit) has none. A fault whose effect needs a content or a login passes over
operations without, and is not used up by them: no fault silently does less than its name says.
"""

import random
import re
from collections.abc import Mapping
from typing import Any

import attrs

from rcfs.simulator import _effects as effects
from rcfs.simulator._backend import Operation
from rcfs.simulator._effects import Effect

EFFECTS: tuple[type[Effect], ...] = (
    effects.Reset,
    effects.ResetBody,
    effects.Truncate,
    effects.Stall,
    effects.Trickle,
    effects.Slow,
    effects.Chunked,
    effects.Gzip,
    effects.UnaskedPartial,
    effects.IgnoredRange,
    effects.WrongContentRange,
    effects.MissingContentRange,
    effects.Status,
    effects.ExpiredToken,
    effects.RateLimited,
    effects.Html,
    effects.MalformedJson,
    effects.Redirect,
    effects.NotReady,
)
"""All effects that can be asked for; the kind of one is its class's name in snake case."""


@attrs.define(eq=False)
class Fault:
    """An effect, and the requests that it befalls."""

    effect: Effect
    """What happens."""
    operation: str = ""
    """``operationId`` of the requests; empty for all."""
    path: str = ""
    """Beginning of their path; empty for all."""
    count: int | None = attrs.field(default=1)
    """How many requests it befalls; None for no end."""
    probability: float = attrs.field(
        default=1.0, validator=attrs.validators.and_(attrs.validators.gt(0), attrs.validators.le(1))
    )
    """Chance of each request that could be befallen."""
    seed: int = 0
    """Makes the throws of the dice repeatable."""
    fired: int = attrs.field(default=0, init=False)
    """How many requests it has befallen."""
    _dice: random.Random = attrs.field(init=False, repr=False)

    @_dice.default
    def _make_dice(self) -> random.Random:
        return random.Random(self.seed)  # noqa: S311 - repeatable on purpose, nothing secret

    @count.validator
    def _check_count(self, _attribute: object, value: int | None) -> None:
        if value is not None and value < 1:
            raise ValueError(f"a fault cannot befall {value} requests")

    def befalls(self, operation: Operation, path: str) -> bool:
        """Whether it happens to a request for `operation` at `path`; if so it is counted."""
        wanted = (
            self.operation in ("", operation.id)
            and path.startswith(self.path)
            and (operation.gives_content or not self.effect.needs_content)
            and (operation.needs_login or not self.effect.needs_login)
            and (self.count is None or self.fired < self.count)
        )
        if not wanted or self._dice.random() >= self.probability:
            return False
        self.fired += 1
        return True


class FaultList:
    """The faults that are asked for, in the order in which they were."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let `fault` happen from the next request on."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Let nothing go wrong any more; answers that are being sent keep their fault."""
        self._faults.clear()

    def pick(self, operation: Operation, path: str) -> Effect:
        """What happens to a request for `operation` at `path`; mostly nothing."""
        return next((fault.effect for fault in self._faults if fault.befalls(operation, path)), Effect())

    def as_json(self) -> list[dict[str, Any]]:
        """All faults with how often they have fired."""
        return [
            {
                "kind": kind_of(fault.effect),
                "operation": fault.operation,
                "path": fault.path,
                "fired": fault.fired,
            }
            for fault in self._faults
        ]


def kind_of(effect: Effect) -> str:
    """The name of an effect in JSON, such as ``reset_body``; empty for the one that does nothing."""
    if type(effect) is Effect:
        return ""
    return _snake(type(effect))


def fault_from_json(value: Mapping[str, Any]) -> Fault:
    """The fault that a JSON object asks for.

    Its ``kind`` names the effect; ``operation``, ``path``, ``count``, ``probability`` and ``seed`` choose
    the requests (with a probability and no count there is no end); all others are options of the effect.

    Raises:
        ValueError: The kind is unknown, an option is unknown, missing, of the wrong type or out of bounds.
    """
    kinds = {_snake(effect): effect for effect in EFFECTS}
    options = dict(value)
    effect_class = kinds.get(options.pop("kind", ""))
    if effect_class is None:
        raise ValueError(f"kind must be one of {', '.join(kinds)}")
    choice: dict[str, Any] = {
        name: options.pop(name)
        for name in ("operation", "path", "count", "probability", "seed")
        if name in options
    }
    if "probability" in choice:
        choice.setdefault("count", None)
    _check_types(Fault, choice)
    _check_types(effect_class, options)
    try:
        return Fault(effect_class(**options), **choice)
    except TypeError as exc:
        raise ValueError(f"{_snake(effect_class)}: {exc}") from exc


def _check_types(owner: type[Fault | Effect], options: Mapping[str, Any]) -> None:
    """Raise ValueError for an option that `owner` has not, or whose value has another type."""
    fields = attrs.fields_dict(owner)
    for name, value in options.items():
        if name not in fields:
            raise ValueError(f"{_snake(owner)} has no option {name!r}")
        wanted: Any = fields[name].type
        if not isinstance(value, int | float if wanted is float else wanted):
            raise ValueError(f"{name} must be {wanted}, not {value!r}")


def _snake(owner: type) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", owner.__name__).lower()
