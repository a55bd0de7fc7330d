"""What the index of mailboxes remembers besides messages."""

import attrs


@attrs.frozen
class MailboxState:
    """One mailbox of the index."""

    number: int
    """Number in this index."""
    account_id: str
    """Account of the mailbox."""
    extension_id: int
    """Extension of the mailbox."""
    loaded: bool
    """Whether it was once loaded whole, so that what is not there does not exist."""
    sync_token: str
    """Token of the last sync; empty when there is none."""
    synced_s: float
    """When it was last known to be complete, in seconds since 1970-01-01 UTC; 0.0 for never."""
    revision: int
    """How often what it shows has changed: once for each `IndexWriter.put` that changed something."""


@attrs.frozen
class Note:
    """Something that was learned once, and need not be asked again for a while."""

    text: str
    """What; its writer knows the form."""
    noted_s: float
    """When, in seconds since 1970-01-01 UTC."""


@attrs.frozen
class Login:
    """What a login was allowed to see when it was last asked."""

    account_id: str
    """Decimal account id."""
    account_name: str
    """Name of the company; may be empty."""
    extensions: tuple[str, ...]
    """The records of the extensions, as JSON texts."""
