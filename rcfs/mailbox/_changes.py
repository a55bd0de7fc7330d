"""What can happen to an account and its mailboxes: the events that `Account.changes` tells its listeners."""

import attrs

from rcfs.store import ChangedPaths


@attrs.frozen
class ExtensionsChanged:
    """`Account.extensions` has changed."""


@attrs.frozen
class MailboxesLost:
    """The index was begun anew, and what it held of the mailboxes is gone."""


@attrs.frozen
class MailboxLoaded:
    """A mailbox can be shown from now on; also one that turned out not to exist."""

    extension_id: int
    """Whose mailbox."""


@attrs.frozen
class MailboxChanged:
    """Something in a mailbox is different from before, or searches may find something else in it."""

    extension_id: int
    """Whose mailbox."""
    paths: ChangedPaths
    """What is different, as paths in the mailbox: ``()`` for all of it. None where only searches may be."""


@attrs.frozen
class MailboxUsed:
    """A person looks into a mailbox."""

    extension_id: int
    """Whose mailbox."""


Change = ExtensionsChanged | MailboxesLost | MailboxLoaded | MailboxChanged | MailboxUsed
