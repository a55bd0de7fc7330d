"""Contents: the bytes of attachments, from memory, the cache or exactly one fetch."""

from rcfs.content._content import Content as Content
from rcfs.content._download import Wanted as Wanted
from rcfs.content._library import MAX_CONTENT_BYTES as MAX_CONTENT_BYTES
from rcfs.content._library import Library as Library
