"""Decides when each request may be sent: sliding windows, penalties, and the order of waiting requests.

The room is sans-IO: no socket, clock or event loop. Every time is an argument `now`, in seconds from any
origin, and it never goes back. A driver asks the scheduler what to do next, sends or waits as it is told, and
reports the end of every request to the ledger:

    ticket = scheduler.submit(group, priority, now)
    scheduler.next(now)     -> Send(ticket, slot)   send it, then one of
                                                    ledger.settle   a response arrived
                                                    ledger.refuse   a 429 arrived
                                                    ledger.fail     no response arrived
                                                    ledger.cancel   it was never sent
                            -> WaitUntil(at_s)      ask again then, or when anything changes
                            -> Idle()               no request waits

The scheduler keeps the queue of one process. The ledger knows the limits of the platform, the reserve that
background work leaves to persons, and which process has its turn. Its state is a value, the `Book` of one
credential, and is kept in a `Home`: in memory here, in a file in `rcfs.store`. `rcfs.quota._book` begins with
the rules.
"""

from rcfs.quota._book import FREEZE_MARGIN_S as FREEZE_MARGIN_S
from rcfs.quota._book import FREEZE_MIN_S as FREEZE_MIN_S
from rcfs.quota._book import LINGER_S as LINGER_S
from rcfs.quota._book import MOST_GROUPS as MOST_GROUPS
from rcfs.quota._book import UNKNOWN_PLAN as UNKNOWN_PLAN
from rcfs.quota._book import Book as Book
from rcfs.quota._bucket import CLOCK_DRIFT as CLOCK_DRIFT
from rcfs.quota._bucket import hold_s as hold_s
from rcfs.quota._forecast import Forecast as Forecast
from rcfs.quota._forecast import Outlook as Outlook
from rcfs.quota._forecast import forecast as forecast
from rcfs.quota._forecast import joint_wait_s as joint_wait_s
from rcfs.quota._home import Held as Held
from rcfs.quota._home import Home as Home
from rcfs.quota._home import MemoryHome as MemoryHome
from rcfs.quota._home import Reply as Reply
from rcfs.quota._home import Stamp as Stamp
from rcfs.quota._home import restore_book as restore_book
from rcfs.quota._ledger import Grant as Grant
from rcfs.quota._ledger import Ledger as Ledger
from rcfs.quota._opens import ELSEWHERE_OPENS as ELSEWHERE_OPENS
from rcfs.quota._opens import OPENS_WINDOW_S as OPENS_WINDOW_S
from rcfs.quota._opens import PERSON_OPENS as PERSON_OPENS
from rcfs.quota._opens import SESSION_OPENS as SESSION_OPENS
from rcfs.quota._opens import USER_OPENS as USER_OPENS
from rcfs.quota._opens import OpenClassifier as OpenClassifier
from rcfs.quota._opens import Opener as Opener
from rcfs.quota._outage import ABSENT_S as ABSENT_S
from rcfs.quota._outage import LONGEST_REQUEST_S as LONGEST_REQUEST_S
from rcfs.quota._pace import PRESENCE_S as PRESENCE_S
from rcfs.quota._pace import RESERVE_DIVISOR as RESERVE_DIVISOR
from rcfs.quota._pace import DailyShare as DailyShare
from rcfs.quota._pace import daily_share as daily_share
from rcfs.quota._scheduler import Expected as Expected
from rcfs.quota._scheduler import Idle as Idle
from rcfs.quota._scheduler import QueueState as QueueState
from rcfs.quota._scheduler import Scheduler as Scheduler
from rcfs.quota._scheduler import Send as Send
from rcfs.quota._scheduler import Ticket as Ticket
from rcfs.quota._scheduler import WaitUntil as WaitUntil
from rcfs.quota._slot_ledger import SlotLedger as SlotLedger
from rcfs.quota._turns import GRACE_S as GRACE_S
from rcfs.quota._values import WHOLE as WHOLE
from rcfs.quota._values import GroupState as GroupState
from rcfs.quota._values import Share as Share
from rcfs.quota._values import Sharing as Sharing
from rcfs.quota._values import Slot as Slot
from rcfs.quota._values import Waiting as Waiting
