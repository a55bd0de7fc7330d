"""Values of searches: their bounds, and what they find."""

import attrs

from rcfs.model import FoundRow

CALL_TYPE = "Call"
RECORDING_TYPE = "Recording"
"""Types for `Scope.types` besides those of messages: calls without recordings, and recordings."""
MARKS = ("\x02", "\x03")
"""The marks before and after each match in a snippet: control characters, so hardly ever in a message."""


@attrs.frozen
class Scope:
    """Bounds of a search."""

    account_id: str
    """Decimal account id."""
    extension_ids: tuple[int, ...]
    """Only mailboxes that were loaded, calls and recordings of these extensions; `rcfs.model.COMPANY` stands
    for the calls and recordings of the company."""
    since_s: float | None = None
    """Only messages created and calls begun then or later, in seconds since 1970 UTC; None for all. A message
    or call without a time counts as old."""
    types: frozenset[str] = frozenset()
    """Only messages of these types, as the API names them, and `CALL_TYPE` or `RECORDING_TYPE`; empty for
    all."""
    view: str = ""
    """Only what this view shows; empty for all."""
    folder: str = ""
    """Only what this folder of the view shows, or this call log; empty for all."""
    hidden_views: frozenset[str] = frozenset()
    """No messages whose directory is in one of these, and no recordings or calls if theirs is."""


@attrs.frozen
class Hit:
    """A match, with its record and a snippet."""

    found: FoundRow
    """Its place."""
    record: str
    """The record of the message, or of the call, as JSON text."""
    snippet: str
    """A part of its text in which the words that match stand between `MARKS`; may have several lines, and is
    empty for a message without a text, and for calls and recordings."""
