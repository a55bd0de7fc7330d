"""How the records of a list or a sync come into the index; for worker threads, which may be several.

A list tells messages whole. A sync does, or has a tombstone: the id, the availability, and nothing else. Of
two records of one message the one modified last counts; a tombstone has no time, so one of these follows:

    purged                      final: nothing comes back from there. A record that says so may tell less
                                than was known; what it leaves out stays known, for those who keep it.
    deleted, and known          what is known, in the trash
    deleted, and told whole     two moments of one message, and nobody says which is the later: unclear
    deleted, and never seen     it came and went between two syncs: unclear
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from operator import itemgetter

import attrs

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
"""A tenth of a second of work: another process that writes waits no longer."""
_TRANSCRIPT = "AudioTranscription"
"""Source: ``type`` of the schema MessageAttachmentInfo."""


@attrs.frozen
class Shelving:
    """How messages are shown: decided elsewhere, kept in the index."""

    shelve: Callable[[Message], ShelvedMessage | None]
    """All that is decided about a message; None when it is not shown."""
    name_folder: NameFolder
    """What a folder is called."""
    hidden_views: frozenset[str] = frozenset()
    """Views that are not shown, although the index may hold some: of messages that were kept, and are not
    to be shown now."""
    edition: str = ""
    """Differs between programs that decide otherwise; empty for one that never changes its mind."""


@attrs.frozen
class Merged:
    """What a sync told."""

    touched: ChangedPaths
    """What means something else than before."""
    unclear: tuple[int, ...]
    """Ids of messages of which too little was told: they must be read."""
    purged: bool
    """Whether something was told to be purged."""
    kept: tuple[Message, ...]
    """Those of them that are shown all the same: what is cached of them can never be fetched again."""
    gone: tuple[int, ...]
    """Ids of those that are shown no more: nothing leads to what is cached of them."""


class Intake:
    """Takes records over into an index."""

    def __init__(self, index: MailboxIndex, shelving: Shelving, wall_clock: Callable[[], float]) -> None:
        """`wall_clock` tells when it reshelved, in seconds since 1970 UTC."""
        self._index = index
        self._wall_clock = wall_clock
        self._shelving = shelving

    def take(self, mailbox: int, records: Iterable[Record], listing: int | None = None) -> ChangedPaths:
        """Take over whole records of the mailbox with the number `mailbox`; see `MailboxIndex.put`.

        Raises:
            StoreError: The index fails; then nothing was taken over.
        """
        found = map(message_from, records)
        return self._put(mailbox, [message for message in found if message is not None], listing)

    def reshelve(self) -> None:
        """Show everything that is known as it is decided now, if it was decided otherwise before.

        So a version that names things in another way costs no request. One that is ended begins again.

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
                messages = (message_from(json.loads(raw)) for _number, _mailbox, raw in found)
                shelved = (self._shelving.shelve(message) for message in messages if message is not None)
                self._index.writer.put(
                    mailbox,
                    # What is not to be shown now stays: it may be asked for again.
                    [message for message in shelved if message is not None],
                    self._shelving.name_folder,
                    again=True,
                )
        self._index.writer.rename_folders(self._shelving.name_folder)
        self._index.writer.note(RESHELVED, self._shelving.edition, self._wall_clock())

    def take_changes(self, mailbox: int, records: Iterable[Record]) -> Merged:
        """Take over what a sync told, tombstones among it.

        Raises:
            StoreError: The index fails; then nothing was taken over.
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
        unclear, marked, kept = self._apply_tombstones(tombstones, told, known)
        lively = [message for message in whole if not _is_over(known.get(message.id), message)]
        touched = self._put(mailbox, lively + marked, None)
        purged = [message_id for message_id, record in tombstones.items() if _is_final(record)]
        gone = set(purged).difference(message.id for message in kept)
        return Merged(touched, tuple(unclear), bool(purged), tuple(kept), tuple(gone))

    def _known(self, mailbox: int, ids: Iterable[int]) -> dict[int, Message]:
        records = self._index.reader.known(mailbox, list(ids))
        messages = {message_id: message_from(json.loads(raw)) for message_id, raw in records.items()}
        return {message_id: message for message_id, message in messages.items() if message is not None}

    def take_text(self, mailbox: int, key: AttachmentKey, data: bytes) -> bool:
        """Let searches find a message by `data`, a content of it, if that is what somebody said in it.

        Whether something has changed.

        Raises:
            StoreError: The index fails; then nothing was taken over.
        """
        raw = self._index.reader.known(mailbox, [key.message_id]).get(key.message_id)
        message = None if raw is None else message_from(json.loads(raw))
        attachments = () if message is None else message.attachments
        if not any(each.id == key.attachment_id and each.kind == _TRANSCRIPT for each in attachments):
            return False
        return self._index.writer.put_transcript(mailbox, key.message_id, data.decode("utf-8", "replace"))

    def _put(self, mailbox: int, messages: Iterable[Message], listing: int | None) -> ChangedPaths:
        shelved = [(message.id, self._shelving.shelve(message)) for message in messages]
        return self._index.writer.put(
            mailbox,
            [message for _id, message in shelved if message is not None],
            self._shelving.name_folder,
            removed=[message_id for message_id, message in shelved if message is None],
            listing=listing,
        )

    def _apply_tombstones(
        self, tombstones: Mapping[int, Record], told: Mapping[int, Message], known: Mapping[int, Message]
    ) -> tuple[list[int], list[Message], list[Message]]:
        """(ids of what is unclear, messages as the tombstones leave them, those purged that are shown)."""
        unclear, marked, kept = [], [], []
        for message_id, record in tombstones.items():
            before, newest = known.get(message_id), told.get(message_id)
            if before is not None and before.availability == Availability.PURGED:
                # Not put again: where purged messages are not kept any more, that would forget it.
                after: Message | None = before
            elif not _is_final(record) and (newest is not None or before is None):
                unclear.append(message_id)
                continue
            else:
                after = _after_tombstone(before if newest is None else _newer(before, newest), record)
                marked += [] if after is None else [after]
            if after is not None and _is_final(record) and self._shelving.shelve(after) is not None:
                kept.append(after)
        return unclear, marked, kept


def purged_record(message_id: int) -> Record:
    """The tombstone of a message that the platform does not have any more."""
    return {"id": message_id, "availability": str(Availability.PURGED)}


def _is_final(record: Record) -> bool:
    return record.get("availability") == Availability.PURGED


def _after_tombstone(before: Message | None, record: Record) -> Message | None:
    """`before` as `record` leaves it; None when neither says more than an id."""
    if before is None:
        return None if is_tombstone(record) else message_from(record)
    told = {name: value for name, value in record.items() if value not in (None, "", [])}
    return message_from(json.loads(before.raw) | told)


def _is_over(before: Message | None, told: Message) -> bool:
    """Whether `told` is of a moment before the purge of the message, which is `before` as known."""
    if before is None or before.availability != Availability.PURGED:
        return False
    return (told.modified_s or 0.0) <= (before.modified_s or 0.0)


def _newer(one: Message | None, other: Message) -> Message:
    """The one that was modified last; `other` when they do not say."""
    if one is None or (other.modified_s or math.inf) >= (one.modified_s or 0.0):
        return other
    return one
