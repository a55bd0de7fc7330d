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


Change = ExtensionsChanged | MailboxesLost | MailboxLoaded | MailboxChanged | MailboxUsed
