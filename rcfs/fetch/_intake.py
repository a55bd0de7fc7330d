"""How the records of a list or a sync come into the index; for worker threads, which may be several.

A list tells messages whole. A sync does, or has a tombstone: the id, the availability, and nothing else. Of
two records of one message the one modified last counts; a tombstone has no time, so one of these follows:

    purged                      final: nothing comes back from there
    deleted, and known          what is known, in the trash
    deleted, and told whole     two moments of one message, and nobody says which is the later: unclear
    deleted, and never seen     it came and went between two syncs: unclear
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from rcfs.model import Availability, Message, NameFolder, ShelvedMessage
from rcfs.platform import is_tombstone, message_from
from rcfs.store import MailboxIndex, Touched

Record = Mapping[str, Any]


@attrs.frozen
class Shelving:
    """How messages are shown: decided elsewhere, kept in the index."""

    shelve: Callable[[Message], ShelvedMessage | None]
    """All that is decided about a message; None when it is not shown."""
    name_folder: NameFolder
    """What a folder is called."""


@attrs.frozen
class Taken:
    """What a sync told."""

    touched: Touched
    """What means something else than before."""
    unclear: tuple[int, ...]
    """Ids of messages of which too little was told: they must be read."""
    purged: bool
    """Whether something was told to be purged."""


class Intake:
    """Takes records over into an index."""

    def __init__(self, index: MailboxIndex, shelving: Shelving) -> None:
        self._index = index
        self._shelving = shelving

    def take(self, mailbox: int, records: Iterable[Record], generation: int | None = None) -> Touched:
        """Take over whole records of the mailbox with the number `mailbox`; see `MailboxIndex.put`.

        Raises:
            StoreError: The index fails; then nothing was taken over.
        """
        found = map(message_from, records)
        return self._put(mailbox, [message for message in found if message is not None], generation)

    def take_changes(self, mailbox: int, records: Iterable[Record]) -> Taken:
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
            if is_tombstone(record):
                tombstones[message.id] = record
            else:
                whole.append(message)
                told[message.id] = _newer(told.get(message.id), message)
        unclear, buried = self._bury(mailbox, tombstones, told)
        touched = self._put(mailbox, whole + buried, None)
        return Taken(touched, tuple(unclear), any(map(_is_final, tombstones.values())))

    def _put(self, mailbox: int, messages: Iterable[Message], generation: int | None) -> Touched:
        shelved = [(message.id, self._shelving.shelve(message)) for message in messages]
        return self._index.put(
            mailbox,
            [message for _id, message in shelved if message is not None],
            self._shelving.name_folder,
            removed=[message_id for message_id, message in shelved if message is None],
            generation=generation,
        )

    def _bury(
        self, mailbox: int, tombstones: Mapping[int, Record], told: Mapping[int, Message]
    ) -> tuple[list[int], list[Message]]:
        """(ids of what is unclear, messages as the tombstones leave them)."""
        known = self._index.known(mailbox, list(tombstones))
        unclear, buried = [], []
        for message_id, record in tombstones.items():
            raw, newest = known.get(message_id), told.get(message_id)
            if not _is_final(record) and (newest is not None or raw is None):
                unclear.append(message_id)
                continue
            before = None if raw is None else message_from(json.loads(raw))
            if newest is not None:
                before = _newer(before, newest)
            after = None if before is None else message_from(json.loads(before.raw) | dict(record))
            if after is not None:
                buried.append(after)
        return unclear, buried


def purged_record(message_id: int) -> Record:
    """The tombstone of a message that the platform does not have any more."""
    return {"id": message_id, "availability": str(Availability.PURGED)}


def _is_final(tombstone: Record) -> bool:
    return tombstone.get("availability") == Availability.PURGED


def _newer(one: Message | None, other: Message) -> Message:
    """The one that was modified last; `other` when they do not say."""
    if one is None or (other.modified_s or math.inf) >= (one.modified_s or 0.0):
        return other
    return one
