"""Events of an account and its mailboxes, which `Account.changes` tells its listeners."""

import attrs

from rcfs.store import ChangedPaths


@attrs.frozen
class ExtensionsChanged:
    """`Account.extensions` has changed."""


@attrs.frozen
class MailboxesLost:
    """A new index took the place of a damaged one; it has only the mailboxes that could be taken over."""


@attrs.frozen
class MailboxLoaded:
    """A mailbox can be shown from now on, or turned out not to exist."""

    extension_id: int
    """The owner of the mailbox."""


@attrs.frozen
class MailboxChanged:
    """Something in a mailbox has changed, or searches may find something else in it."""

    extension_id: int
    """The owner of the mailbox."""
    paths: ChangedPaths
    """The changed paths in the mailbox; ``()`` stands for all of it. Empty where only searches may differ."""


@attrs.frozen
class MailboxUsed:
    """A person looks into a mailbox."""

    extension_id: int
    """The owner of the mailbox."""


@attrs.frozen
class CallsLoaded:
    """A month of call logs can be shown from now on."""

    owner: int
    """The extension whose log it is; `COMPANY` for the logs of all extensions and of the company."""
    month: str
    """The month, such as ``2026-11``."""


@attrs.frozen
class CallsChanged:
    """Something in the call logs or recordings of one owner has changed."""

    owner: int
    """The extension, or `COMPANY`."""
    paths: ChangedPaths
    """The changed paths below the owner's directory, such as ``("Calls", "2026-11.csv")`` and
    ``("Recordings", "2026-11", <file name>)``."""


@attrs.frozen
class GreetingsChanged:
    """A list of greetings or prompts was loaded, has changed, or turned out not to exist."""

    collection_id: str
    """Id of the collection, such as ``greetings/101`` or ``prompts/company``."""


Change = (
    ExtensionsChanged
    | MailboxesLost
    | MailboxLoaded
    | MailboxChanged
    | MailboxUsed
    | CallsLoaded
    | CallsChanged
    | GreetingsChanged
)
