"""Values in the index of mailboxes other than messages."""

import math

import attrs


@attrs.frozen
class MailboxState:
    """One mailbox of the index."""

    number: int
    """Its number in this index."""
    account_id: str
    """Its account."""
    extension_id: int
    """Its extension."""
    loaded: bool
    """Whether it was once loaded whole: messages that are not in the index then do not exist."""
    sync_token: str
    """Token of the last sync; empty before the first."""
    synced_s: float
    """The last time when it was complete, in seconds since 1970-01-01 UTC; 0.0 for never."""
    revision: int
    """Number of changes of its tree, one for each `IndexWriter.put` that changed something."""


@attrs.frozen
class Note:
    """A fact that rcfs learned once, and does not ask for again for a while."""

    text: str
    """The fact, in a form that its writer chooses."""
    noted_s: float
    """When rcfs learned it, in seconds since 1970-01-01 UTC."""


@attrs.frozen
class Login:
    """The account and the extensions that a login last saw."""

    account_id: str
    """Decimal account id."""
    account_name: str
    """Name of the company; may be empty."""
    extensions: tuple[str, ...]
    """The records of the extensions, as JSON texts."""


def finite(time_s: float | None) -> float | None:
    """`time_s` as SQLite can store it: None for infinity and NaN, and no negative zero."""
    return time_s + 0.0 if time_s is not None and math.isfinite(time_s) else None
