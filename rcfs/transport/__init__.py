"""Transport: sends requests within the quota and with a login, and repeats or refuses them."""

from rcfs.transport._connection import Connection as Connection
from rcfs.transport._connection import open_connection as open_connection
from rcfs.transport._gate import AbandonedError as AbandonedError
from rcfs.transport._gate import Gate as Gate
from rcfs.transport._gate import RequestOptions as RequestOptions
from rcfs.transport._gate import RequestSlot as RequestSlot
from rcfs.transport._glance import Glance as Glance
from rcfs.transport._lane import Lane as Lane
from rcfs.transport._listeners import Listeners as Listeners
from rcfs.transport._lists import PagedList as PagedList
from rcfs.transport._network import Network as Network
from rcfs.transport._once import UnrepeatableRequest as UnrepeatableRequest
from rcfs.transport._once import is_by_proxy as is_by_proxy
from rcfs.transport._once import is_undone as is_undone
from rcfs.transport._recorder import Recorder as Recorder
from rcfs.transport._requester import Requester as Requester
from rcfs.transport._retry import Retry as Retry
from rcfs.transport._retry import backoff_s as backoff_s
from rcfs.transport._session import Session as Session
from rcfs.transport._tasks import keep_going as keep_going
from rcfs.transport._tasks import run_together as run_together
