"""The account as an fsspec filesystem, ``rcfs://101 Jane Smith/Fax/…``, without a mount.

fsspec finds `RcfsFileSystem` by its entry point, and imports this package at the first use of such a URL.
trio runs in a thread of its own; calls come from any thread, and from asyncio.
"""

from rcfs.spec._filesystem import RcfsFileSystem as RcfsFileSystem
