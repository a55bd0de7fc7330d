"""Calls, recordings, greetings and prompts that are recomputed at every question, for tests of the tree."""

import math
from collections.abc import Callable, Iterator

import attrs

from rcfs.model import (
    COMPANY,
    Call,
    CallContext,
    CallMonth,
    ContentKey,
    Extension,
    Greeting,
    Prompt,
    RecordingRow,
    ShelvedCall,
    ShelvedRecording,
    StandardGreeting,
)
from rcfs.tree import shelve_call, shown_extensions


@attrs.define(eq=False)
class PlainCalls:
    """All calls in a dictionary; the numbers of recordings are the order in which they arrived."""

    extensions: list[Extension] = attrs.field(factory=list)
    message_path: Callable[[int, int], str | None] = lambda _extension_id, _message_id: None
    months: list[str] = attrs.field(factory=lambda: ["2026-11", "2026-10", "2026-09"])
    loaded: set[tuple[int, str]] | None = None
    """The months that are loaded; None for all."""
    account_id: str = "1"
    fallback_s: float = 9.0
    has_calls: bool = True
    has_company: bool = True
    gone: set[str] = attrs.field(factory=set)
    learned: dict[ContentKey, int] = attrs.field(factory=dict)
    folders: dict[int, str] = attrs.field(factory=dict)
    """The identity of the contact of each By-Contact folder, by the number of the folder."""
    calls: dict[str, Call] = attrs.field(factory=dict)
    _numbers: dict[str, int] = attrs.field(factory=dict)
    _call_numbers: dict[str, int] = attrs.field(factory=dict)
    _known: tuple[list[Call], list[ShelvedCall]] = attrs.field(factory=lambda: ([], []))
    """The calls for which `_shelved` last had an answer, and the answer."""
    _context: CallContext | None = None

    @property
    def context(self) -> CallContext:
        if self._context is None:
            self._context = shown_extensions(self.extensions, self.message_path)
        return self._context

    def put(self, *calls: Call) -> None:
        for call in calls:
            self.calls[call.id] = call
            self._call_numbers.setdefault(call.id, len(self._call_numbers) + 1)
            for recording in shelve_call(call, self.context).recordings:
                self._numbers.setdefault(recording.id, len(self._numbers) + 1)

    def is_loaded(self, owner: int, month: str) -> bool:
        return self.loaded is None or (owner, month) in self.loaded

    def months_to_show(self, owner: int) -> list[str]:
        known = {each.month for each in self._shelved() if owner in (COMPANY, *each.extension_ids)}
        known |= {row.month for row in self._rows() if row.owner == owner}
        return sorted(known | set(self.months))

    def month(self, owner: int, month: str) -> CallMonth | None:
        found = list(self._of(owner, month))
        if not found:
            return None
        return CallMonth(
            loaded=self.is_loaded(owner, month),
            synced_s=0.0,
            revision=1,
            calls=len(found),
            recordings=len(self.recordings(owner, month, 0, 999)),
            csv_bytes=sum(len(each.line.encode()) for each in found),
            json_bytes=sum(len(each.raw.encode()) + 1 for each in found),
            modified_s=max(
                (t for each in found if (t := each.modified_s or each.started_s) is not None), default=None
            ),
        )

    def recordings(self, owner: int, month: str, after: int, limit: int) -> list[RecordingRow]:
        rows = [row for row in self._rows() if (row.owner, row.month) == (owner, month)]
        return [row for row in rows if row.number > after][:limit]

    def recording(self, owner: int, month: str, name: str) -> RecordingRow | None:
        return next((row for row in self.recordings(owner, month, 0, 999) if row.name == name), None)

    def recording_by_id(self, recording_id: str) -> RecordingRow | None:
        return next((row for row in self._rows() if row.id == recording_id), None)

    def links(self, folder: int, after: int, limit: int) -> list[RecordingRow]:
        linked = {
            recording.id
            for each in self._shelved()
            for recording in each.recordings
            if self.folders.get(folder) in [place.key for place in recording.links]
        }
        return [row for row in self._rows() if row.id in linked and row.number > after][:limit]

    def link(self, folder: int, name: str) -> RecordingRow | None:
        return next((row for row in self.links(folder, 0, 999) if row.name == name), None)

    def call(self, number: int) -> Call | None:
        return next((self.calls.get(key) for key, n in self._call_numbers.items() if n == number), None)

    def lines(self, owner: int, month: str) -> Iterator[str]:
        return (each.line for each in self._of(owner, month))

    def records(self, owner: int, month: str) -> Iterator[str]:
        return (each.raw for each in self._of(owner, month))

    def learned_bytes(self, key: ContentKey) -> int | None:
        return self.learned.get(key)

    def _shelved(self) -> list[ShelvedCall]:
        calls, context = list(self.calls.values()), self.context
        if calls != self._known[0]:
            shelved = [shelve_call(call, context) for call in calls]
            shelved.sort(key=lambda s: (-math.inf if s.started_s is None else s.started_s, s.id))
            self._known = calls, shelved
        return self._known[1]

    def _of(self, owner: int, month: str) -> Iterator[ShelvedCall]:
        return (
            each
            for each in self._shelved()
            if each.month == month and owner in (COMPANY, *each.extension_ids)
        )

    def _rows(self) -> list[RecordingRow]:
        found = {recording.id: (each, recording) for each in self._shelved() for recording in each.recordings}
        return sorted((self._row(*each) for each in found.values()), key=lambda row: row.number)

    def _row(self, call: ShelvedCall, recording: ShelvedRecording) -> RecordingRow:
        return RecordingRow(
            number=self._numbers[recording.id],
            id=recording.id,
            call=self._call_numbers[call.id],
            owner=recording.owner,
            month=recording.month,
            name=recording.name,
            started_s=recording.started_s,
            duration_s=recording.duration_s,
            uri=recording.uri,
            gone=recording.id in self.gone,
        )


@attrs.define(eq=False)
class PlainGreetings:
    """Greetings and prompts; None is not loaded."""

    by_owner: dict[int, tuple[Greeting, ...]] = attrs.field(factory=dict)
    presets: tuple[StandardGreeting, ...] | None = None
    all_prompts: tuple[Prompt, ...] | None = None
    learned: dict[ContentKey, int] = attrs.field(factory=dict)
    account_id: str = "1"
    fallback_s: float = 9.0

    def greetings(self, owner: int) -> tuple[Greeting, ...] | None:
        return self.by_owner.get(owner)

    def standard(self) -> tuple[StandardGreeting, ...] | None:
        return self.presets

    def prompts(self) -> tuple[Prompt, ...] | None:
        return self.all_prompts

    def learned_bytes(self, key: ContentKey) -> int | None:
        return self.learned.get(key)
