"""The options that choose messages, calls and greetings, with one meaning in all commands that have them."""

import functools
import time
from collections.abc import Callable
from typing import Any, Final

import attrs
import click

from rcfs.config import parse_duration, parse_since
from rcfs.model import FILTER_TYPES, INBOUND, OUTBOUND, Filter, iso_time

_DIRECTIONS: Final = {"in": INBOUND, "out": OUTBOUND}
_LONGEST_ID: Final = 20
"""Most digits of an id of the platform: 19 in an int64, 20 if unsigned."""


_NOW: Final = f"{__name__}.now"
"""Key of the time of the command, from which all ages of its dates count."""


class Parsed(click.ParamType[Any]):
    """A value that a function reads, given the text and the time; its ValueError is the message."""

    def __init__(self, name: str, parse: Callable[[str, float], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`value` as the function reads it."""
        if not isinstance(value, str):
            return value
        now_s = time.time() if ctx is None else ctx.meta.setdefault(_NOW, time.time())
        try:
            return self._parse(value, now_s)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


MOMENT: Final = Parsed("date", parse_since)
"""A point in time, in seconds since 1970 UTC: a date, an ISO time, or an age such as ``30d``."""


def _party(text: str, _now_s: float) -> str:
    if not any(map(str.isalnum, text)):
        raise ValueError("write a number or a part of a name, such as +12125557464 or 'Bob Ray'")
    return text


def _conversation(text: str, _now_s: float) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        raise ValueError(
            f"{text!r} is not the id of a conversation; it is the number conversationId in message.json"
        )
    return text


_OPTIONS: Final = (
    click.option(
        "--type",
        "types",
        multiple=True,
        type=click.Choice(FILTER_TYPES),
        help="Take only this type; sms: all texts, mms: those with files, calls: the call log. Repeatable.",
    ),
    click.option(
        "--since",
        "since_s",
        type=MOMENT,
        metavar="DATE",
        help="Take only what is from DATE or later: 2026-11-01 (UTC), an ISO time, or an age such as 30d.",
    ),
    click.option(
        "--until",
        "until_s",
        type=MOMENT,
        metavar="DATE",
        help="Take only what is older than DATE.",
    ),
    click.option(
        "--direction", type=click.Choice(tuple(_DIRECTIONS)), help="Take only what came in, or went out."
    ),
    click.option("--unread", is_flag=True, help="Take only unread messages."),
    click.option(
        "--with",
        "party",
        type=Parsed("party", _party),
        metavar="NUMBER|NAME",
        help="Take only what was exchanged with this number, in any notation, or with a person of this name.",
    ),
    click.option(
        "--conversation",
        "conversation_id",
        type=Parsed("id", _conversation),
        metavar="ID",
        help="Take only the messages of this conversation.",
    ),
    click.option("--trash", is_flag=True, help="Take only messages in the trash."),
    click.option(
        "--min-duration",
        "min_duration_s",
        type=Parsed("duration", lambda text, _now_s: parse_duration(text)),
        metavar="TIME",
        help="Take only voicemails and calls of this length or longer: 30s, 2m, 1h30m.",
    ),
)
_NAMES: Final = tuple(attrs.fields_dict(Filter))


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command these options; it gets the choice as the argument `wanted`, a `Filter`."""

    @functools.wraps(command)
    def with_filter(*arguments: Any, **options: Any) -> Any:
        wanted = _filter_of({name: options.pop(name) for name in _NAMES})
        return command(*arguments, wanted=wanted, **options)

    decorated: Callable[..., Any] = with_filter
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def filter_arguments(wanted: Filter) -> list[str]:
    """The arguments of a command line that give it the choice `wanted`."""
    words = {value: name for name, value in _DIRECTIONS.items()}
    options = {
        "--since": "" if wanted.since_s is None else iso_time(wanted.since_s),
        "--until": "" if wanted.until_s is None else iso_time(wanted.until_s),
        "--direction": words.get(wanted.direction, ""),
        "--with": wanted.party,
        "--conversation": wanted.conversation_id,
        "--min-duration": "" if wanted.min_duration_s is None else f"{wanted.min_duration_s:.0f}s",
    }
    types = [word for each in sorted(wanted.types) for word in ("--type", each)]
    flags = [f"--{name}" for name in ("unread", "trash") if getattr(wanted, name)]
    return types + [word for name, value in options.items() if value for word in (name, value)] + flags


def _filter_of(options: dict[str, Any]) -> Filter:
    """The choice of these options.

    Raises:
        click.UsageError: The conditions exclude each other.
    """
    given = {name: value for name, value in options.items() if value is not None}
    types, direction = frozenset(given.pop("types")), given.pop("direction", None)
    wanted = Filter(types=types, direction=_DIRECTIONS.get(direction, ""), **given)
    if wanted.since_s is not None and wanted.until_s is not None and wanted.since_s >= wanted.until_s:
        raise click.UsageError("--since is not before --until, so nothing can fit")
    for kind in sorted(types - wanted.kinds):
        raise click.UsageError(f"--type {kind} has nothing that fits the other conditions; leave one out")
    if not wanted.kinds:
        raise click.UsageError("nothing can fit all of these conditions; leave one out")
    return wanted
