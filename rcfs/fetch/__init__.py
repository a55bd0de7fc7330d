"""Fetching: the trio driver that turns wishes into as few requests as possible, and repeats what failed."""

from rcfs.fetch._account import Account as Account
from rcfs.fetch._catalogue import MailboxCatalogue as MailboxCatalogue
from rcfs.fetch._content import Content as Content
from rcfs.fetch._download import Wanted as Wanted
from rcfs.fetch._engine import Engine as Engine
from rcfs.fetch._engine import open_engine as open_engine
from rcfs.fetch._gate import AbandonedError as AbandonedError
from rcfs.fetch._gate import Demand as Demand
from rcfs.fetch._gate import Gate as Gate
from rcfs.fetch._intake import Intake as Intake
from rcfs.fetch._intake import Shelving as Shelving
from rcfs.fetch._library import Library as Library
from rcfs.fetch._mailboxes import Mailboxes as Mailboxes
from rcfs.fetch._network import Network as Network
from rcfs.fetch._recorder import Recorder as Recorder
from rcfs.fetch._recorder import iso_time as iso_time
from rcfs.fetch._requester import Requester as Requester
from rcfs.fetch._searches import Searches as Searches
from rcfs.fetch._session import Session as Session
from rcfs.fetch._tasks import keep_going as keep_going
