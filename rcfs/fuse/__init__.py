"""A mount: thin, between the kernel and the file system; replies, errno, and what the kernel must forget."""

from rcfs.fuse._attributes import Ownership as Ownership
from rcfs.fuse._mount import MountOptions as MountOptions
from rcfs.fuse._mount import serve_mount as serve_mount
