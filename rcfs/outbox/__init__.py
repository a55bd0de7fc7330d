"""The outbox: what people change and send, kept on the disk until it is settled; nothing is done twice."""

from rcfs.outbox._left import deletions as deletions
from rcfs.outbox._left import left_lines as left_lines
from rcfs.outbox._outbox import Outbox as Outbox
from rcfs.outbox._overlay import ChangeOverlay as ChangeOverlay
from rcfs.outbox._rows import changes_of as changes_of
from rcfs.outbox._send_files import DROPS_PREFIX as DROPS_PREFIX
from rcfs.outbox._send_files import described as described
from rcfs.outbox._send_list import SendsChanged as SendsChanged
from rcfs.outbox._send_list import sends_of as sends_of
from rcfs.outbox._sends import Sends as Sends
from rcfs.outbox._uploads import AnsweringRule as AnsweringRule
from rcfs.outbox._uploads import Uploads as Uploads
from rcfs.outbox._uploads import greeting_kind as greeting_kind
