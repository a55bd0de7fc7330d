"""Status: what a running mount says of itself, as values and as text."""

from rcfs.status._text import render_errors as render_errors
from rcfs.status._text import render_queue as render_queue
from rcfs.status._text import render_quota as render_quota
from rcfs.status._text import render_status as render_status
