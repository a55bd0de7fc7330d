"""Where the contents of an archive are: in the cache, or in a copy. Synchronous; for worker threads."""

from typing import Protocol

from rcfs.audit._archive import Archive
from rcfs.audit._values import Held, Row, State
from rcfs.model import AttachmentKey, ContentKey, Message
from rcfs.pull import record_key
from rcfs.store import ContentCache
from rcfs.tree import RECORD_FILE, TEXT_FILE

_UNKNOWN = Held(State.MISSING)
"""The state of what the manifest does not list."""


class Holdings(Protocol):
    """The contents that are at hand."""

    def message(self, owner: int, message: Message, path: str, *, is_indexed: bool) -> Held:
        """The state of the record of a message, whose directory in the tree is `path`."""

    def attachments(self, owner: int, message: Message, path: str, row: Row) -> list[Held]:
        """The states of the attachments of a message; the sizes of sound ones are added to `row`."""

    def content(self, key: ContentKey, path: str, row: Row) -> Held:
        """The state of another content, whose file in the tree is `path`; its size is added to `row`."""


class CacheHoldings:
    """The cache, and the index for records: each byte of a content is read and checked."""

    def __init__(self, cache: ContentCache, account_id: str) -> None:
        """For one account."""
        self._cache = cache
        self._account_id = account_id

    def message(self, owner: int, message: Message, path: str, *, is_indexed: bool) -> Held:  # noqa: ARG002
        """As `Holdings.message`; the index has checked the record."""
        return Held(State.OK if is_indexed else State.MISSING)

    def attachments(self, owner: int, message: Message, path: str, row: Row) -> list[Held]:
        """As `Holdings.attachments`."""
        keys = [
            AttachmentKey(self._account_id, owner, message.id, attachment.id)
            for attachment in message.fetched_attachments
        ]
        return [self.content(key, path, row) for key in keys]

    def content(self, key: ContentKey, path: str, row: Row) -> Held:  # noqa: ARG002
        """As `Holdings.content`."""
        size_bytes, damaged = self._cache.verify(key)
        if size_bytes is not None:
            row.size_bytes += size_bytes
            return Held(State.OK)
        return Held(State.DAMAGED if damaged else State.MISSING)


class CopyHoldings:
    """A copy: files by their keys, and by their paths if its manifest has no keys."""

    def __init__(self, archive: Archive) -> None:
        """For the copy `archive`."""
        self._archive = archive

    def message(self, owner: int, message: Message, path: str, *, is_indexed: bool) -> Held:  # noqa: ARG002
        """As `Holdings.message`: the state of ``message.json``."""
        row = Row()
        held = self._archive.state_of_key(record_key(self._archive.account_id, owner, message.id), row)
        if held == _UNKNOWN:
            held = self._archive.state_of_path(f"{path}/{RECORD_FILE}", row)
        return held

    def attachments(self, owner: int, message: Message, path: str, row: Row) -> list[Held]:
        """As `Holdings.attachments`.

        Without keys, the other files of the message's directory count, since it holds nothing else.
        """
        archive, states = self._archive, list[Held]()
        for attachment in message.fetched_attachments:
            key = AttachmentKey(archive.account_id, owner, message.id, attachment.id)
            states.append(archive.state_of_key(str(key), row))
        if not states or any(held != _UNKNOWN for held in states):
            return states
        names = [name for name in archive.names_in(path) if name not in (RECORD_FILE, TEXT_FILE)]
        found = [archive.state_of_path(f"{path}/{name}", row) for name in names][: len(states)]
        return found + states[len(found) :]

    def content(self, key: ContentKey, path: str, row: Row) -> Held:
        """As `Holdings.content`."""
        held = self._archive.state_of_key(str(key), row)
        return self._archive.state_of_path(path, row) if held == _UNKNOWN else held
