"""What `rcfs doctor` says about one thing."""

from enum import StrEnum

import attrs


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    """As it should be."""
    NOTE = "note"
    """Worth knowing; rcfs works."""
    PROBLEM = "problem"
    """rcfs will not work, or not well, until it is changed."""


@attrs.frozen
class Finding:
    """One line of the report."""

    name: str
    """What was looked at, in a word or two."""
    state: State = attrs.field(converter=State)
    """How it is."""
    detail: str
    """What was found."""
    advice: str = ""
    """What to do about it; empty when there is nothing to do."""
