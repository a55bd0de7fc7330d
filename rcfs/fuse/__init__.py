"""The file system that the kernel sees: thin, between pyfuse3's requests and the tree and the engine."""

from rcfs.fuse._attributes import Ownership as Ownership
from rcfs.fuse._mount import MountOptions as MountOptions
from rcfs.fuse._mount import serve_mount as serve_mount
from rcfs.fuse._readers import CrawlerPolicy as CrawlerPolicy
from rcfs.fuse._readers import CrawlerRule as CrawlerRule
