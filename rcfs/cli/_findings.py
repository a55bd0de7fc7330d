"""The findings of `rcfs doctor`."""

from enum import StrEnum

import attrs

from rcfs.cli._output import error_line
from rcfs.errors import PlatformError, RcfsError


class State(StrEnum):
    """The result of a check."""

    OK = "ok"
    """Nothing to do."""
    NOTE = "note"
    """Worth knowing; rcfs works."""
    PROBLEM = "problem"
    """rcfs will not work well until you change it."""


@attrs.frozen
class Finding:
    """A line of the report."""

    name: str
    """The thing that was checked, in a word or two."""
    state: State = attrs.field(converter=State)
    """The result."""
    detail: str
    """The facts, in one line."""
    advice: str = ""
    """The remedy; empty when there is nothing to do."""
    facts: str = ""
    """The part of `detail` that strangers may read: nothing of the user, the account and the home."""


def problem_of(name: str, error: RcfsError) -> Finding:
    """`error` as a problem. The errors of rcfs tell what happened and, after a semicolon, what to do."""
    detail, _, advice = error_line(error).partition("; ")
    return Finding(name, State.PROBLEM, detail, advice, facts_of(error))


def facts_of(error: RcfsError) -> str:
    """The kind of `error`, for strangers: its text may name a path, a server or a person."""
    code = error.code if isinstance(error, PlatformError) else ""
    return " ".join(filter(None, (type(error).__name__, code)))
