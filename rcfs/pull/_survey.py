"""Finds what a pull has to do: looks at each item, and keeps only sums and the steps that are to be done."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256

import attrs

from rcfs.errors import RcfsError
from rcfs.model import Retention, UsageGroup
from rcfs.pull._copy import Copy
from rcfs.pull._days import Days
from rcfs.pull._former import former_name, recordings_by_id
from rcfs.pull._keeping_up import KeepingUp
from rcfs.pull._needs import Parts
from rcfs.pull._todo import Kind, Step, Todo
from rcfs.pull._walk import Item, find
from rcfs.pull._way import Via, Way
from rcfs.store import ContentCache
from rcfs.tree import (
    AttachmentFile,
    ContentFile,
    Directory,
    Link,
    RecordingFile,
    Root,
    TextFile,
    build_root,
    call_id_of,
)


@attrs.frozen
class Failure:
    """Something that could not be pulled."""

    path: str
    """Its path in the tree."""
    error: Exception
    """The reason: an RcfsError, an OSError of the copy, or an unexpected error, which is in the log."""


@attrs.define(eq=False)
class Survey:
    """The files of a pull, and the steps that are to be done; grows until `Pull.survey` returns."""

    waits_for: str = ""
    """The event before which the pull lists no mailbox, as part of a sentence; empty without one."""
    looked: int = 0
    """Files that were looked at so far, including those of unchanged mailboxes."""
    present: int = 0
    """Files that are at their places."""
    local: int = 0
    """Files to copy without a request: texts, and contents from the cache."""
    missing_in: Counter[UsageGroup] = attrs.field(factory=Counter)
    """Contents that cost a request each, by its usage plan group."""
    gone: int = 0
    """Contents that the platform purged before anybody fetched them."""
    late: int = 0
    """Missing contents that the platform deletes before the quota lets this pull fetch them."""
    keeping_up: KeepingUp | None = None
    """Whether the login can keep up with new recordings; None if that is unknown, or none is missing."""
    estimated_bytes: int = 0
    """Size of the missing contents: exact where it is known, else an estimate that is rather too large."""
    is_exact: bool = True
    """Whether `estimated_bytes` is exact."""
    failures: tuple[Failure, ...] = ()
    """Mailboxes, call logs and greetings that could not be loaded or synced."""
    closed: tuple[Failure, ...] = ()
    """Mailboxes of others that this login may not read, and never could, and call logs and greetings: left
    out, which is no failure."""
    days: Days = attrs.field(factory=Days)
    """The attachments by day."""
    way: Way = attrs.field(factory=lambda: Way(Via.ATTACHMENTS, 0))
    """The way of the missing attachments."""
    root: Root = attrs.field(factory=lambda: build_root((), fallback_s=0.0))
    """The tree of the survey."""
    todo: Todo = attrs.field(factory=Todo)
    """The steps that are to be done."""
    files_in: Counter[str] = attrs.field(factory=Counter)
    """Number of files, including those that are gone, by name of the directory in the root; without a copy
    only those of mailboxes."""
    unchanged: set[str] = attrs.field(factory=set)
    """The directories in the root that the survey passed over, because nothing is missing or has changed;
    without a copy, the extensions whose mailboxes it passed over."""
    parts: set[str] = attrs.field(factory=set)
    """The parts of the account in which there is something, if several pulls divide it."""
    lacking: set[str] = attrs.field(factory=set)
    """The directories in the root in which a file is gone, or is to be fetched into the cache, which may not
    keep it."""

    @property
    def missing(self) -> int:
        """Contents that cost a request each."""
        return self.missing_in.total()

    @property
    def files(self) -> int:
        """Number of all files, except those that are gone."""
        return self.present + self.local + self.missing


class Surveyor:
    """Looks at items, one after the other; for one thread at a time."""

    def __init__(
        self,
        survey: Survey,
        cache: ContentCache,
        copy: Copy | None,
        retention: Retention,
        *,
        verify: bool,
        on_item: Callable[[Item], None] = lambda _item: None,
        part_of: Callable[[Item], str] = lambda _item: "",
        takes: Callable[[str], bool] = lambda _part: True,
    ) -> None:
        """Fills `survey`, whose `root` is the tree of the items; see `Pull` for the other arguments.

        `on_item` is called with each item before it is looked at. `part_of` gives the part of a file or link,
        and `takes` tells whether this pull is to look at a part.
        """
        self._part_of = part_of
        self._takes = takes
        self._part = ""
        self._survey = survey
        self._cache = cache
        self._copy = copy
        self._retention = retention
        self._verify = verify
        self._recordings: tuple[Parts, dict[str, str]] = ((), {})
        """A directory, and the recordings that the copy has in it: their names by id."""
        self._on_item = on_item

    def look_at(self, items: Iterable[Item], now_s: float) -> int:
        """Looks at `items`, and returns their number; `now_s` is the time in seconds since 1970 UTC.

        Raises:
            StoreError: The index of mailboxes fails.
        """
        count = 0
        for item in items:
            count += 1
            self._on_item(item)
            node = item.node
            self._part = ""
            if not isinstance(node, Directory):  # All machines make and date the directories.
                self._part = self._part_of(item)
                self._survey.parts.add(self._part)
                if not self._takes(self._part):
                    continue
            if isinstance(node, ContentFile):
                self._look_at_content(item, node, now_s)
            elif self._copy is None:
                continue
            elif isinstance(node, TextFile):
                self._count(item)
                if self._is_there(self._copy, item):
                    self._survey.present += 1
                else:
                    self._survey.local += 1
                    self._add(Kind.COPY, item)
            elif isinstance(node, Directory):
                self._add(Kind.DIRECTORY, item, time_s=node.times().mtime_s)
            elif isinstance(node, Link):
                self._add(Kind.LINK, item, node.target)
        return count

    def finish(self, now_s: float, interval_of: Callable[[UsageGroup], float]) -> None:
        """Notes how many contents come too late, if a content of a group takes that many seconds."""
        survey = self._survey
        intervals = {Kind.FETCH: 0.0, Kind.FETCH_HEAVY: 0.0}
        for group in survey.missing_in:
            kind = Kind.of_group(group)
            intervals[kind] = max(intervals[kind], interval_of(group))
        survey.late = sum(survey.todo.late(kind, now_s, interval_s) for kind, interval_s in intervals.items())

    def _count(self, item: Item) -> None:
        self._survey.looked += 1
        if self._is_noted(item):
            self._survey.files_in[item.parts[0]] += 1

    def _is_noted(self, item: Item) -> bool:
        """Whether the note of a complete directory counts the file; without a copy it is about a mailbox."""
        return self._copy is not None or item.is_in_mailbox

    def _lacks(self, item: Item) -> None:
        if self._is_noted(item):
            self._survey.lacking.add(item.parts[0])

    def _add(self, kind: Kind, item: Item, detail: str = "", *, time_s: float = 0.0) -> None:
        self._survey.todo.add(kind, Step(item.parts, detail, time_s, self._part))

    def _look_at_content(self, item: Item, node: ContentFile, now_s: float) -> None:
        survey = self._survey
        self._count(item)
        if self._copy is not None and self._is_there(self._copy, item):
            survey.present += 1
            self._note_day(item)
        elif self._cache.contains(node.key) == "yes":
            self._note_day(item)
            if self._copy is None:
                survey.present += 1
            else:
                survey.local += 1
                self._add(Kind.COPY, item, str(node.key))
        elif node.purged:
            survey.gone += 1
            self._lacks(item)
        else:
            size_bytes, is_exact = node.size()
            survey.missing_in[node.key.group] += 1
            if self._copy is None:
                self._lacks(item)
            survey.estimated_bytes += size_bytes
            survey.is_exact = survey.is_exact and is_exact
            end_s, created_s = self._order(item, node, now_s, size_bytes if is_exact else None)
            step = Step(item.parts, str(node.key), part=self._part)
            survey.todo.add(Kind.of_fetch(node.key), step, end_s=end_s, created_s=created_s)

    def _note_day(self, item: Item) -> None:
        """Notes an attachment that is here; without a message at hand it is not worth a read."""
        message = item.message
        if message is not None and message.created_s is not None:
            self._survey.days.note(message.created_s, message.type, None, is_missing=False)

    def _order(
        self, item: Item, node: ContentFile, now_s: float, size_bytes: int | None
    ) -> tuple[float, float]:
        """(end, creation) of a missing content: rcfs first fetches those that the platform drops first.

        Of the others it fetches the oldest first, because a full mailbox drops its oldest message. An
        attachment is noted by its day, with its size if that is known.
        """
        if isinstance(node, RecordingFile):
            created_s = node.row.started_s
            end = self._retention.end_of_recording(created_s, now_s)
        else:
            message = item.message or node.message()
            created_s = None if message is None else message.created_s
            end = None if message is None else self._retention.end_of(message, now_s)
            if message is not None and created_s is not None and isinstance(node, AttachmentFile):
                self._survey.days.note(created_s, message.type, size_bytes, is_missing=True)
        return math.inf if end is None else end.at_s, math.inf if created_s is None else created_s

    def _is_there(self, copy: Copy, item: Item) -> bool:
        """Whether the copy has the file of `item`, perhaps under the name that an earlier version gave it."""
        try:
            if isinstance(item.node, TextFile):
                return self._is_text_there(copy, item.parts, item.node)
            assert isinstance(item.node, ContentFile)  # noqa: S101 - there are no other files in a copy
            return self._is_attachment_there(copy, item, item.node)
        except RcfsError:
            raise
        except Exception:  # noqa: BLE001 - then the file is copied, and that fails by itself
            return False

    def _is_text_there(self, copy: Copy, parts: Parts, node: TextFile) -> bool:
        digest = copy.digest(parts)
        size_bytes = None if digest is None else copy.size_of(parts)
        if size_bytes is None or (node.size_is_exact and size_bytes != node.size_bytes):
            return False
        # A text may change, and rendering it costs less than reading the copy.
        hasher, rendered_bytes = sha256(), 0
        for piece in node.pieces():
            hasher.update(piece)
            rendered_bytes += len(piece)
        is_same = size_bytes == rendered_bytes and digest == hasher.hexdigest()
        if not is_same or (self._verify and not copy.is_sound(parts)):
            return False
        copy.confirm(parts, size_bytes)
        return True

    def _is_attachment_there(self, copy: Copy, item: Item, node: ContentFile) -> bool:
        digest = copy.digest(item.parts)
        if digest is None:
            former = self._former(copy, item)
            size_bytes = None if former is None else _former_bytes(copy, former, item.parts, node)
            if former is None or size_bytes is None:
                return False
            self._add(Kind.RENAME, item, "/".join(former))
            copy.confirm(former, size_bytes)
            return True
        size_bytes = copy.size_of(item.parts)
        if size_bytes is None:
            return False
        known_bytes, is_exact = node.size()
        is_there = size_bytes == known_bytes if is_exact and not self._verify else copy.is_sound(item.parts)
        if is_there:
            copy.confirm(item.parts, size_bytes)
        return is_there

    def _former(self, copy: Copy, item: Item) -> Parts | None:
        """The path at which the copy may have the content of `item` under an earlier name."""
        if isinstance(item.node, RecordingFile):
            return self._former_recording(copy, item.parts)
        if not isinstance(item.node, AttachmentFile):
            return None
        *above, name = item.parts
        copied = copy.noted_in(above)
        parent = find(self._survey.root, tuple(above)) if copied else None
        if not isinstance(parent, Directory):
            return None
        former = former_name(name, parent.entries(), copied)
        return None if former is None else (*above, former)

    def _former_recording(self, copy: Copy, parts: Parts) -> Parts | None:
        above = parts[:-1]
        if self._recordings[0] != above:
            # Kept for the rest of the directory, which may have a hundred thousand.
            self._recordings = above, recordings_by_id(copy.noted_in(above))
        former = self._recordings[1].get(call_id_of(parts[-1]) or "")
        return None if former is None else (*above, former)


def _former_bytes(copy: Copy, former: Parts, parts: Parts, node: ContentFile) -> int | None:
    """Size of the file at `former`, or at `parts` if a killed run has renamed it; None for other bytes."""
    there = former if copy.size_of(former) is not None else parts
    size_bytes = copy.size_of(there)
    known_bytes, is_exact = node.size()
    if is_exact and size_bytes != known_bytes:
        return None
    return size_bytes if copy.is_sound(there, former) else None
