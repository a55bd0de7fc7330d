"""Contents: the bytes of attachments, from memory, the cache or exactly one fetch."""

from rcfs.content._content import Content as Content
from rcfs.content._library import Library as Library
from rcfs.content._platform_source import PlatformSource as PlatformSource
from rcfs.content._source import Confirm as Confirm
from rcfs.content._source import Part as Part
from rcfs.content._source import Source as Source
from rcfs.content._source import Transfer as Transfer
from rcfs.content._storage import MAX_CONTENT_BYTES as MAX_CONTENT_BYTES
from rcfs.content._storage import MAX_TEXT_BYTES as MAX_TEXT_BYTES
from rcfs.content._storage import Storage as Storage
