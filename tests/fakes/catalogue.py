"""A mailbox that is recomputed after every change: slow, and simple enough to be right.

For tests of the tree, and as the reference for tests of the mailbox index.
"""

import math
from collections.abc import Iterable

import attrs

from rcfs.model import ContentKey, Extension, FolderRow, Message, MessageRow, Place, ShelvedMessage
from rcfs.tree import ExtensionDirectory, build_root, name_folder, shelve
from rcfs.tree._times import sane


@attrs.define(eq=False)
class PlainCatalogue:
    """All messages in a dictionary; numbers are the order in which folders and messages arrived.

    A folder keeps what it has once learned of its parties, and the mailbox what it knows of its owner, as
    long as the folder exists: a name does not change because an old message goes.
    """

    account_id: str = "1"
    keep_purged: bool = False
    messages_by_id: dict[int, Message] = attrs.field(factory=dict)
    learned: dict[ContentKey, int] = attrs.field(factory=dict)
    _numbers: dict[object, int] = attrs.field(factory=dict)
    _owners: set[str] = attrs.field(factory=set)
    _parties: dict[tuple[str, str], dict[str, tuple[str, float]]] = attrs.field(factory=dict)
    _found: dict[tuple[str, str], list[tuple[ShelvedMessage, Place]]] | None = None
    """Answer of `_places` since the last change; None when not yet computed."""
    _listed: list[FolderRow] | None = None
    """The same for `_rows`."""

    def put(self, *messages: Message) -> None:
        for message in messages:
            shelved = shelve(message, keep_purged=self.keep_purged)
            before = self.messages_by_id.get(message.id)
            if shelved is None:
                # The message is forgotten, even if a newer state is known, so a later record of it is new.
                self.messages_by_id.pop(message.id, None)
                continue
            if before is not None and (message.modified_s or math.inf) < (before.modified_s or 0.0):
                continue
            self.messages_by_id[message.id] = message
            self._number(message.id)
            for place in (shelved.home, *shelved.links):
                for identity, name in place.parties:
                    self._learn((place.view, place.key), identity, name, shelved.created_s or 0.0)
            if shelved.own:
                self._owners.add(shelved.own)
        self._forget_empty()

    def remove(self, *ids: int) -> None:
        for message_id in ids:
            self.messages_by_id.pop(message_id, None)
        self._forget_empty()

    @property
    def revision(self) -> str:
        return str([(row.view, row.name, self.messages(row.number, 0, 1 << 60)) for row in self._rows()])

    def views(self) -> list[str]:
        return sorted({row.view for row in self._rows()})

    def times(self, view: str | None) -> tuple[float | None, float | None]:
        rows = [row for row in self._rows() if view in (None, row.view)]
        return _newest(row.created_s for row in rows), _newest(row.modified_s for row in rows)

    def folders(self, view: str, after: int, limit: int) -> list[FolderRow]:
        return [row for row in self._rows() if row.view == view and row.number > after][:limit]

    def folder(self, view: str, name: str) -> FolderRow | None:
        return next((row for row in self._rows() if (row.view, row.name) == (view, name)), None)

    def messages(self, folder: int, after: int, limit: int) -> list[MessageRow]:
        rows = sorted(
            (self._message_row(shelved) for shelved, _place in self._within(folder)),
            key=lambda row: row.number,
        )
        return [row for row in rows if row.number > after][:limit]

    def links(self, folder: int, after: int, limit: int) -> list[tuple[MessageRow, FolderRow]]:
        rows = self.messages(folder, after, limit)
        return [(row, home) for row in rows if (home := self.home(row.id)) is not None]

    def message(self, folder: int, message_id: int) -> MessageRow | None:
        found = (self._message_row(shelved) for shelved, _place in self._within(folder))
        return next((row for row in found if row.id == message_id), None)

    def home(self, message_id: int) -> FolderRow | None:
        message = self.messages_by_id.get(message_id)
        shelved = None if message is None else shelve(message, keep_purged=self.keep_purged)
        if shelved is None:
            return None
        number = self._number((shelved.home.view, shelved.home.key))
        return next(row for row in self._rows() if row.number == number)

    def read(self, message_id: int) -> Message | None:
        return self.messages_by_id.get(message_id)

    def conversation(self, view: str, name: str) -> list[Message]:
        row = self.folder(view, name)
        found = [] if row is None else [self.messages_by_id[s.id] for s, _ in self._within(row.number)]
        return sorted(found, key=lambda m: (-math.inf if (at_s := sane(m.created_s)) is None else at_s, m.id))

    def learned_bytes(self, key: ContentKey) -> int | None:
        return self.learned.get(key)

    def _learn(self, folder: tuple[str, str], identity: str, name: str, since_s: float) -> None:
        known = self._parties.setdefault(folder, {})
        before, before_s = known.get(identity, ("", 0.0))
        if identity not in known or (name and (not before or (since_s, name) < (before_s, before))):
            known[identity] = (name, since_s)

    def _forget_empty(self) -> None:
        self._found = self._listed = None
        self._parties = {folder: self._parties.get(folder, {}) for folder in self._places()}

    def _number(self, key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def _shelved(self) -> list[ShelvedMessage]:
        shelved = (shelve(m, keep_purged=self.keep_purged) for m in self.messages_by_id.values())
        return [message for message in shelved if message is not None]

    def _places(self) -> dict[tuple[str, str], list[tuple[ShelvedMessage, Place]]]:
        if self._found is None:
            self._found = {}
            for message in self._shelved():
                for place in (message.home, *message.links):
                    self._found.setdefault((place.view, place.key), []).append((message, place))
        return self._found

    def _within(self, folder: int) -> list[tuple[ShelvedMessage, Place]]:
        return next(found for key, found in self._places().items() if self._number(key) == folder)

    def _rows(self) -> list[FolderRow]:
        if self._listed is not None:
            return self._listed
        owners = frozenset(self._owners)
        places = self._places()
        names = {
            (view, key): name_folder(
                Place(view, key), {who: name for who, (name, _) in self._parties[view, key].items()}, owners
            )
            for view, key in places
        }
        rows = []
        for (view, key), found in places.items():
            equal = [k for k, n in names.items() if k[0] == view and n.folded == names[view, key].folded]
            name = names[view, key].qualified if len(equal) > 1 else names[view, key].plain
            rows.append(
                FolderRow(
                    number=self._number((view, key)),
                    view=view,
                    key=key,
                    name=name,
                    created_s=_newest(message.created_s for message, _ in found),
                    modified_s=_newest(message.modified_s for message, _ in found),
                    spoken_bytes=sum(message.spoken_bytes for message, _ in found),
                )
            )
        self._listed = sorted(rows, key=lambda row: row.number)
        return self._listed

    def _message_row(self, shelved: ShelvedMessage) -> MessageRow:
        number = self._number(shelved.id)
        return MessageRow(number, 1, shelved.id, shelved.name, shelved.created_s, shelved.modified_s)


def shown(*messages: Message, extension: Extension | None = None) -> ExtensionDirectory:
    """The directory of an extension, by default 101, whose mailbox has `messages`."""
    extension = extension or Extension(101)
    directory = build_root([extension], fallback_s=9.0).extension(extension.id)
    catalogue = PlainCatalogue()
    catalogue.put(*messages)
    directory.show(catalogue)
    return directory


def _newest(times: Iterable[float | None]) -> float | None:
    return max((time_s for time_s in times if time_s is not None), default=None)
