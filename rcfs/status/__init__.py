"""The status of a running mount, as values, as JSON and as text."""

from rcfs.status._json import status_from_json as status_from_json
from rcfs.status._json import to_json as to_json
from rcfs.status._text import render_errors as render_errors
from rcfs.status._text import render_queue as render_queue
from rcfs.status._text import render_quota as render_quota
from rcfs.status._text import render_status as render_status
from rcfs.status._values import AccountStatus as AccountStatus
from rcfs.status._values import CacheStatus as CacheStatus
from rcfs.status._values import ErrorStatus as ErrorStatus
from rcfs.status._values import ExpiryStatus as ExpiryStatus
from rcfs.status._values import GroupStatus as GroupStatus
from rcfs.status._values import HintsStatus as HintsStatus
from rcfs.status._values import LoadStatus as LoadStatus
from rcfs.status._values import LoginStatus as LoginStatus
from rcfs.status._values import MailboxesStatus as MailboxesStatus
from rcfs.status._values import QueueStatus as QueueStatus
from rcfs.status._values import ReadersStatus as ReadersStatus
from rcfs.status._values import RequestCounts as RequestCounts
from rcfs.status._values import RetentionStatus as RetentionStatus
from rcfs.status._values import Status as Status
from rcfs.status._values import WaitingRequest as WaitingRequest
