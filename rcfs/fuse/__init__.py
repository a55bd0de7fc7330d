"""A mount: a thin layer between the kernel and the file system, with replies, errno and invalidation."""

from rcfs.fuse._attributes import Ownership as Ownership
from rcfs.fuse._library import libfuse_version as libfuse_version
from rcfs.fuse._listings import can_keep_listings as can_keep_listings
from rcfs.fuse._mount import MountOptions as MountOptions
from rcfs.fuse._mount import Watcher as Watcher
from rcfs.fuse._mount import serve_mount as serve_mount
