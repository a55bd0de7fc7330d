"""Writes the records of lists and syncs into the index; for worker threads, several at a time.

The records of a list are whole messages. A sync has whole messages and tombstones, which hold an id, an
availability, and nothing else. Of two records of a message the one with the later lastModifiedTime wins. A
tombstone has no time, so these rules apply:

    purged                           final: later records from before the purge are ignored. A purged record
                                     may lack fields; those that the index knows stay, for kept messages.
    deleted, and in the index        the message goes to the trash
    deleted, and whole as well       unclear: the sync has two states of the message in no known order
    deleted, and not in the index    unclear: the message came and went between two syncs
    deleted, and restored just now   unclear: the tombstone may be older, see `Overlay.doubted`
"""

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

import attrs

from rcfs.mailbox._call_intake import CallShelving
from rcfs.mailbox._overlay import NoOverlay, Overlay
from rcfs.mailbox._records import parse_messages
from rcfs.model import (
    AttachmentKey,
    Availability,
    Message,
    NameFolder,
    Record,
    ShelvedMessage,
    is_tombstone,
    message_from,
)
from rcfs.store import RESHELVED, ChangedPaths, MailboxIndex

_RESHELVED_AT_ONCE = 500
"""Messages per transaction, a tenth of a second of work: another process that writes waits no longer."""
_TRANSCRIPT = "AudioTranscription"
"""Source: ``type`` of the schema MessageAttachmentInfo."""


@attrs.frozen
class Shelving:
    """The rules for showing messages. The tree room defines them; the index stores their results."""

    shelve: Callable[[Message], ShelvedMessage | None]
    """The place and names of a message; None when it is not shown."""
    name_folder: NameFolder
    """The names of a folder."""
    hidden_views: frozenset[str] = frozenset()
    """Views that are not shown even if the index holds them: those of kept messages, unless wanted."""
    edition: str = ""
    """Differs between versions of these rules; all messages are shelved again when it changes."""
    calls: CallShelving | None = None
    """The rules for showing calls; None for a program that shows none."""
    purged_view: str = ""
    """The view of messages that the platform has purged; empty for rules that show none."""


Change = Callable[[Mapping[int, Message], Mapping[int, Message]], Iterable[str]]
"""Changes what people want of messages. It gets those that the index has, by id: as it shows them, and as the
platform has them; and returns the records of those that the index may lack. It runs in a transaction of the
index."""


@attrs.frozen
class Merged:
    """The result of `Intake.take_changes`."""

    changed: ChangedPaths
    """The paths in the mailbox that have changed."""
    unclear: tuple[int, ...]
    """Ids of messages that must be read, since the sync does not tell their state."""
    kept: tuple[Message, ...]
    """Purged messages that are still shown: their cached contents can never be fetched again."""
    gone: tuple[int, ...]
    """Ids of purged messages that are no longer shown: their cached contents are of no use."""

    @property
    def purged(self) -> bool:
        """Whether any message was purged."""
        return bool(self.kept or self.gone)


class Intake:
    """Writes records into an index, shelved by its rules."""

    def __init__(
        self,
        index: MailboxIndex,
        shelving: Shelving,
        wall_clock: Callable[[], float],
        overlay: Overlay | None = None,
    ) -> None:
        """`wall_clock` returns seconds since 1970 UTC; `overlay` has what people want of messages."""
        self._index = index
        self._overlay = overlay or NoOverlay()
        self._wall_clock = wall_clock
        self._shelving = shelving

    def take(self, mailbox: int, records: Iterable[Record], listing: int | None = None) -> ChangedPaths:
        """Writes whole records of the mailbox with the number `mailbox`, and returns the changed paths.

        `listing` marks the messages as part of that listing; see `IndexWriter.put`.

        Raises:
            StoreError: The index fails, and has none of the records.
        """
        found = map(message_from, records)
        return self._put(mailbox, [message for message in found if message is not None], listing)

    def show(
        self, mailbox: int, ids: Sequence[int], change: Change = lambda _shown, _told: ()
    ) -> ChangedPaths:
        """Writes messages that the index has once more, with what people want of them after `change`.

        Raises:
            StoreError: The index fails, and is as before.
            Exception: As `change`.
        """
        removed: list[int] = []

        def shown() -> Iterator[ShelvedMessage]:
            # All of it within the transaction: of a record that is read before and a newer one that another
            # thread writes meanwhile, the index keeps the newer one, which may not show what is wanted.
            known = self.known(mailbox, ids)
            found = {message.id: message for message in parse_messages(change(*known))} | known[1]
            wanted = found | self._laid_over(mailbox, list(found.values()))
            for message in wanted.values():
                shelved = self._shelving.shelve(message)
                if shelved is None:
                    removed.append(message.id)
                else:
                    yield shelved

        return self._index.writer.put(mailbox, shown(), self._shelving.name_folder, removed=removed)

    def reshelve(self) -> None:
        """Shelves all messages again if they were shelved by other rules; sends no request.

        It starts over if it was interrupted.

        Raises:
            StoreError: The index fails.
        """
        noted = self._index.reader.noted(RESHELVED)
        if noted is not None and noted.text == self._shelving.edition:
            return
        number = 0
        while rows := self._index.reader.records_after(number, _RESHELVED_AT_ONCE):
            number = rows[-1][0]
            for mailbox, found in groupby(sorted(rows, key=itemgetter(1)), key=itemgetter(1)):
                messages = parse_messages(raw for _number, _mailbox, raw in found)
                shelved = map(self._shelving.shelve, messages)
                self._index.writer.put(
                    mailbox,
                    # A message that is not shown now stays in the index: other options may show it.
                    [message for message in shelved if message is not None],
                    self._shelving.name_folder,
                    again=True,
                )
        self._index.writer.rename_folders(self._shelving.name_folder)
        self._index.writer.note(RESHELVED, self._shelving.edition, self._wall_clock())

    def take_changes(self, mailbox: int, records: Iterable[Record]) -> Merged:
        """Writes the records of a sync, which may include tombstones.

        Raises:
            StoreError: The index fails, and has none of the records.
        """
        whole: list[Message] = []
        told: dict[int, Message] = {}
        tombstones: dict[int, Record] = {}
        for record in records:
            message = message_from(record)
            if message is None:
                continue
            if is_tombstone(record) or _is_final(record):
                if not _is_final(tombstones.get(message.id, {})):
                    tombstones[message.id] = record
            else:
                whole.append(message)
                told[message.id] = _newer(told.get(message.id), message)
        known = self._known(mailbox, {**tombstones, **told})
        unclear, marked, kept = self._apply_tombstones(
            tombstones, told, known, self._doubted(mailbox, tombstones)
        )
        lively = [message for message in whole if not _is_over(known.get(message.id), message)]
        changed = self._put(mailbox, lively + marked, None)
        purged = {message_id for message_id, record in tombstones.items() if _is_final(record)}
        gone = purged.difference(message.id for message in kept)
        return Merged(changed, tuple(unclear), tuple(kept), tuple(gone))

    def known(self, mailbox: int, ids: Iterable[int]) -> tuple[dict[int, Message], dict[int, Message]]:
        """The messages with these `ids` in the index, by id: as it shows them, and as the platform has them.

        Raises:
            StoreError: The index fails.
        """
        shown = {m.id: m for m in parse_messages(self._index.reader.known(mailbox, list(ids)).values())}
        owner = self._index.reader.owner_of(mailbox)
        if not shown or owner is None:
            return shown, shown
        return shown, {m.id: m for m in self._overlay.taken_off(*owner, shown.values())}

    def _known(self, mailbox: int, ids: Iterable[int]) -> dict[int, Message]:
        return self.known(mailbox, ids)[1]

    def take_text(self, mailbox: int, key: AttachmentKey, data: bytes) -> bool:
        """Lets searches find a message by `data`, its attachment `key`, if that is a transcript.

        Returns whether the index has changed.

        Raises:
            StoreError: The index fails.
        """
        message = self._known(mailbox, [key.message_id]).get(key.message_id)
        attachments = () if message is None else message.attachments
        if not any(each.id == key.attachment_id and each.kind == _TRANSCRIPT for each in attachments):
            return False
        return self._index.writer.put_transcript(mailbox, key.message_id, data.decode("utf-8", "replace"))

    def _put(self, mailbox: int, messages: Sequence[Message], listing: int | None) -> ChangedPaths:
        shelved = [(message.id, self._shelving.shelve(message)) for message in messages]
        removed: list[int] = []

        def shown() -> Iterator[ShelvedMessage]:
            # Within the transaction: a change that is wanted meanwhile is either found here, or written
            # into the index afterwards.
            changed = self._laid_over(mailbox, messages)
            for message_id, found in shelved:
                message = self._shelving.shelve(changed[message_id]) if message_id in changed else found
                if message is None:
                    removed.append(message_id)
                else:
                    yield message

        return self._index.writer.put(
            mailbox, shown(), self._shelving.name_folder, removed=removed, listing=listing
        )

    def _laid_over(self, mailbox: int, messages: Sequence[Message]) -> dict[int, Message]:
        owner = self._index.reader.owner_of(mailbox)
        return {} if owner is None else self._overlay.laid_over(*owner, messages)

    def _doubted(self, mailbox: int, message_ids: Collection[int]) -> set[int]:
        owner = self._index.reader.owner_of(mailbox) if message_ids else None
        return set() if owner is None else self._overlay.doubted(*owner, message_ids)

    def _apply_tombstones(
        self,
        tombstones: Mapping[int, Record],
        told: Mapping[int, Message],
        known: Mapping[int, Message],
        doubted: Collection[int],
    ) -> tuple[list[int], list[Message], list[Message]]:
        """(ids of unclear messages, messages after their tombstones, purged messages still shown)."""
        unclear, marked, kept = [], [], []
        for message_id, record in tombstones.items():
            before, newest = known.get(message_id), told.get(message_id)
            if before is not None and before.availability == Availability.PURGED:
                # Not written again: where purged messages are no longer kept, that would remove it.
                after: Message | None = before
            elif not _is_final(record) and (newest is not None or before is None or message_id in doubted):
                unclear.append(message_id)
                continue
            else:
                after = _after_tombstone(before if newest is None else _newer(before, newest), record)
                marked += [] if after is None else [after]
            if after is not None and _is_final(record) and self._shelving.shelve(after) is not None:
                kept.append(after)
        return unclear, marked, kept


def purged_record(message_id: int) -> Record:
    """A tombstone for a message that the platform no longer has."""
    return {"id": message_id, "availability": str(Availability.PURGED)}


def _is_final(record: Record) -> bool:
    return record.get("availability") == Availability.PURGED


def _after_tombstone(before: Message | None, record: Record) -> Message | None:
    """`before` with the fields of the tombstone `record`; None when both together tell only an id."""
    if before is None:
        return None if is_tombstone(record) else message_from(record)
    told = {name: value for name, value in record.items() if value not in (None, "", [])}
    return message_from(json.loads(before.raw) | told)


def _is_over(before: Message | None, told: Message) -> bool:
    """Whether the index knows the message as purged (`before`), and `told` is not later than that."""
    if before is None or before.availability != Availability.PURGED:
        return False
    return (told.modified_s or 0.0) <= (before.modified_s or 0.0)


def _newer(one: Message | None, other: Message) -> Message:
    """The message with the later lastModifiedTime; `other` when one has none."""
    if one is None or (other.modified_s or math.inf) >= (one.modified_s or 0.0):
        return other
    return one
