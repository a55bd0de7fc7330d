"""The tree: which directories and files there are, what they are called, what their text is.

Pure: built from values of the model, without clock, network or disk. `build_root` makes the root from the
extensions; `ExtensionDirectory.fill` gives an extension its mailbox; everything below is made when it is
looked into.
"""

from rcfs.tree._extension import ExtensionDirectory as ExtensionDirectory
from rcfs.tree._nodes import LIVE_TOPICS as LIVE_TOPICS
from rcfs.tree._nodes import AttachmentFile as AttachmentFile
from rcfs.tree._nodes import Change as Change
from rcfs.tree._nodes import Directory as Directory
from rcfs.tree._nodes import Link as Link
from rcfs.tree._nodes import LiveFile as LiveFile
from rcfs.tree._nodes import Node as Node
from rcfs.tree._nodes import TextFile as TextFile
from rcfs.tree._report import render_errors as render_errors
from rcfs.tree._report import render_queue as render_queue
from rcfs.tree._report import render_quota as render_quota
from rcfs.tree._report import render_status as render_status
from rcfs.tree._root import Root as Root
from rcfs.tree._root import build_root as build_root
