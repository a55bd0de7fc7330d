"""Mailboxes: what is known of an account, and how that stays true."""

from rcfs.mailbox._account import Account as Account
from rcfs.mailbox._catalogue import MailboxCatalogue as MailboxCatalogue
from rcfs.mailbox._changes import Change as Change
from rcfs.mailbox._changes import ExtensionsChanged as ExtensionsChanged
from rcfs.mailbox._changes import MailboxChanged as MailboxChanged
from rcfs.mailbox._changes import MailboxesLost as MailboxesLost
from rcfs.mailbox._changes import MailboxLoaded as MailboxLoaded
from rcfs.mailbox._changes import MailboxUsed as MailboxUsed
from rcfs.mailbox._context import Context as Context
from rcfs.mailbox._hints import Hints as Hints
from rcfs.mailbox._intake import Intake as Intake
from rcfs.mailbox._intake import Shelving as Shelving
from rcfs.mailbox._mailboxes import Mailboxes as Mailboxes
from rcfs.mailbox._preload import Preload as Preload
from rcfs.mailbox._retention import RetentionTracker as RetentionTracker
from rcfs.mailbox._searches import Searches as Searches
