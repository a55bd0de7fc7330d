"""Files that people drop into ``Outbox`` or ``Greetings``: what there is, and what is complete. Without I/O.

A *drop* is what becomes one message: a file in ``SMS``, ``Fax`` or ``Page``, or a directory there with all of
its files; or what becomes one greeting or prompt. It is complete when its files are closed, none is empty,
none has a name that is not final, and nothing has happened to it for a moment. From then on it cannot be
changed, only removed, until it is known what became of it. All times are in seconds since 1970-01-01 UTC.
"""

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Final

import attrs

from rcfs.errors import (
    BusyError,
    ExistsError,
    NoDirectoryError,
    NoRoomError,
    NotEmptyError,
    NotFoundError,
    NotPermittedError,
    TooLargeError,
    WrongKindError,
)
from rcfs.model import MOST_FAX_BYTES
from rcfs.tree._drop_rules import OUTBOX_RULES, DropRules
from rcfs.tree._drop_values import CLOSED, LONE, DropFile, Dropped, Path, Report, Stage
from rcfs.tree._dropping import (
    FAILED_END,
    UNKNOWN_END,
    is_partial,
    is_unfinished,
    locks_of,
)
from rcfs.tree._nodes import Node

QUIET_S: Final = 2.0
"""How long nothing must have happened to a file before it is sent, in seconds. File managers close a file,
and then rename it and set its times."""
FOLDER_QUIET_S: Final = 5.0
"""The same for a directory, whose files programs copy one after the other."""
MOST_BYTES: Final = 4 * MOST_FAX_BYTES
"""Most bytes of all files together."""
MOST_FILES: Final = 1000
"""Most files and directories."""


@attrs.define(eq=False)
class Drops:
    """All that people have dropped, by path."""

    owner_id: Callable[[], int | None]
    """The extension that sends, whose directory has the ``Outbox``; None while it is not known."""
    since_s: float
    """Time of the directories that always exist."""
    rules: DropRules = OUTBOX_RULES
    """Its rules."""
    entries: dict[Path, Dropped] = attrs.field(factory=dict)
    """The drops."""
    reports: dict[Path, Report] = attrs.field(factory=dict)
    """The reports."""
    forgotten: set[Path] = attrs.field(factory=set)
    """Reports that are gone because their drop was written again; whoever tells the kernel empties it."""
    _last: int = 0

    # Questions

    def find(self, path: Path) -> DropFile | Dropped | Report | None:
        """The file, directory or report at a path of two or three names; None if nothing is there."""
        if path in self.reports:
            return self.reports[path]
        entry = self.entries.get(path[:2])
        if entry is None:
            return None
        if len(path) == len(entry.path):
            return entry if entry.is_folder else entry.files[LONE]
        return entry.files.get(path[2]) if entry.is_folder else None

    def listed(
        self, path: Path, after: int, limit: int
    ) -> list[tuple[int, str, DropFile | Dropped | Report]]:
        """Up to `limit` entries of a directory with numbers above `after`: number, name and value."""
        found: list[tuple[int, str, DropFile | Dropped | Report]] = []
        if len(path) == 1:
            here = {each: entry for each, entry in self.entries.items() if each[0] == path[0]}
            found += [(entry.number, each[1], self.find(each) or entry) for each, entry in here.items()]
            reports = self.reports.items()
            found += [(report.number, each[1], report) for each, report in reports if each[0] == path[0]]
        elif (folder := self.entries.get(path)) is not None:
            found += [(file.number, name, file) for name, file in folder.files.items()]
        return sorted((each for each in found if each[0] > after), key=itemgetter(0))[:limit]

    def due(self, now_s: float) -> list[Dropped]:
        """The drops that are complete, and have been quiet for long enough."""
        return [entry for entry in self._complete() if self._due_s(entry) <= now_s]

    @property
    def next_s(self) -> float | None:
        """When a drop is due next; None if none is complete."""
        return min(map(self._due_s, self._complete()), default=None)

    def sent_as(self, send_id: str) -> Dropped | None:
        """The drop whose message has that id in the outbox."""
        return next((each for each in self.entries.values() if send_id and each.send_id == send_id), None)

    def reports_of(self, path: Path) -> set[Path]:
        """The paths of the reports about the drop at `path`."""
        named: set[Path] = {(path[0], path[1] + end) for end in (FAILED_END, UNKNOWN_END)}
        return named & self.reports.keys()

    def _complete(self) -> Iterator[Dropped]:
        names: dict[str, set[str]] = {}
        for directory, name, *_more in self.entries:
            names.setdefault(directory, set()).add(name)
        for path, entry in self.entries.items():
            if entry.stage is not Stage.OPEN or is_unfinished(path[-1]):
                continue
            sendable = entry.sendable()
            beside = entry.files if entry.is_folder else names[path[0]]
            if (
                sendable
                and not any(file.writers for file in entry.files.values())
                and all(file.size_bytes for _name, file in sendable)
                and not any(map(is_partial, entry.files))
                and not any(lock in beside for name, _file in sendable for lock in locks_of(name))
            ):
                yield entry

    @staticmethod
    def _due_s(entry: Dropped) -> float:
        quiet_s = FOLDER_QUIET_S if entry.is_folder else QUIET_S
        return max(entry.since_s + quiet_s, entry.not_before_s)

    # Changes by programs

    def create(self, path: Path, now_s: float) -> DropFile:
        """A new file, which nobody has open.

        Raises:
            NotPermittedError: No file can be made there; the text says where.
            ExistsError, NotFoundError, NoDirectoryError, BusyError: As their texts say.
            NoRoomError: There are too many files.
        """
        self._require_free(path)
        if len(path) == 2:
            self._require_room()
            entry = self._add(path, is_folder=False, now_s=now_s)
        else:
            entry = self._folder(path[:2])
            self._require_writable(entry)
            self._require_room()
        file = DropFile(number=self._number(), mtime_s=now_s, drop=entry, drops=self)
        entry.files[path[2] if entry.is_folder else LONE] = file
        self._reopen(entry, now_s)
        return file

    def make_folder(self, path: Path, now_s: float) -> Dropped:
        """A new directory; raises as `create`."""
        if len(path) != 2 or self.rules.directories is None:
            raise NotPermittedError(f"no directory can be made here; {self.rules.advice}")
        self._require_free(path)
        self._require_room()
        return self._add(path, is_folder=True, now_s=now_s)

    def begin_write(self, file: DropFile, now_s: float) -> None:
        """Notes that a file is open for writing once more.

        Raises:
            BusyError: It is being sent.
        """
        if file.drop is not None:
            self._require_writable(file.drop)
            self._reopen(file.drop, now_s)
        file.writers += 1

    def end_write(self, file: DropFile, now_s: float) -> None:
        """Notes that a file was closed once."""
        file.writers -= 1
        self.touch(file, now_s)

    def require_growth(self, file: DropFile, size_bytes: int) -> None:
        """Returns if a file may have `size_bytes`.

        Raises:
            BusyError: It is being sent.
            TooLargeError, NoRoomError: The file, or all together, would be too large.
        """
        if file.drop is not None:
            self._require_writable(file.drop)
        most_bytes = self.rules.most_file_bytes
        if size_bytes > most_bytes:
            raise TooLargeError(f"a file in {self.rules.where} may have {most_bytes // 1_000_000} MB")
        others = sum(each.size_bytes for entry in self.entries.values() for each in entry.files.values())
        if others - file.size_bytes + size_bytes > MOST_BYTES:
            raise NoRoomError(
                f"the files in {self.rules.where} may have {MOST_BYTES // 1_000_000} MB together"
            )

    def wrote(self, file: DropFile, size_bytes: int, now_s: float) -> None:
        """Notes that a file was written, and has `size_bytes` now."""
        file.size_bytes, file.mtime_s = size_bytes, now_s
        file.is_cut = file.is_cut and size_bytes > 0
        if file.drop is not None:
            self._reopen(file.drop, now_s)

    def touch(self, file: DropFile, now_s: float) -> None:
        """Notes that something happened to a file other than that it was written."""
        if file.drop is not None:
            file.drop.since_s = now_s

    def remove(self, path: Path, now_s: float) -> DropFile | None:
        """Removes a file or a report, also of a drop that the outbox no longer has; the file.

        Raises:
            NotFoundError, WrongKindError: There is no such file.
        """
        found = self.find(path)
        if isinstance(found, Report):
            del self.reports[path]
            return None
        if found is None:
            raise NotFoundError(f"there is no such file in {self.rules.where}")
        if not isinstance(found, DropFile) or found.drop is None:
            raise WrongKindError("this is a directory")
        entry = found.drop
        entry.since_s = now_s
        if entry.stage in CLOSED:
            entry.stage, entry.send_id = Stage.KEPT, ""
        if entry.is_folder:
            del entry.files[path[2]]
        else:
            del self.entries[entry.path]
        found.drop = None
        return found

    def remove_folder(self, path: Path) -> None:
        """Removes an empty directory.

        Raises:
            NotEmptyError: It has files.
            NotFoundError, NoDirectoryError: There is no such directory.
        """
        if self._folder(path).files:
            raise NotEmptyError("the directory has files")
        del self.entries[path]

    def rename(self, path: Path, new_path: Path, now_s: float) -> DropFile | None:
        """Gives a file or directory another path; the file that was there before.

        Raises:
            BusyError: What is at one of the paths is being sent.
            FileError: As `create` and `remove_folder`.
        """
        moved, there = self.find(path), self.find(new_path)
        if moved is None:
            raise NotFoundError(f"there is no such file in {self.rules.where}")
        if isinstance(moved, Report) or isinstance(there, Report):
            raise NotPermittedError("the report about a file cannot be renamed; remove it")
        if moved is there:
            return None
        for each in (moved, there):
            entry = each.drop if isinstance(each, DropFile) else each
            if entry is not None:
                self._require_writable(entry)
        if isinstance(moved, Dropped):
            self._rename_folder(moved, there, new_path, now_s)
            return None
        if isinstance(there, Dropped):
            raise ExistsError("there is a directory of this name")
        if len(new_path) == 3:
            self._require_writable(self._folder(new_path[:2]))
        elif there is None:
            self._require_free(new_path)
        self.remove(path, now_s)
        if len(path) == 2:
            self._forget_reports(path)
        if there is not None:
            self.remove(new_path, now_s)
        if len(new_path) == 3:
            entry = self._folder(new_path[:2])
        else:
            entry = self._add(new_path, is_folder=False, now_s=now_s)
        entry.files[new_path[2] if entry.is_folder else LONE] = moved
        moved.drop = entry
        self._reopen(entry, now_s)
        return there

    def _rename_folder(
        self, moved: Dropped, there: Node | Dropped | None, new_path: Path, now_s: float
    ) -> None:
        if len(new_path) != 2:
            raise NotPermittedError(f"a directory cannot be here; {self.rules.advice}")
        if isinstance(there, Dropped):
            self.remove_folder(new_path)
        elif there is not None:
            raise NoDirectoryError("there is a file of this name")
        self._require_free(new_path)
        self._forget_reports(moved.path)
        del self.entries[moved.path]
        moved.path = new_path
        self.entries[new_path] = moved
        self._reopen(moved, now_s)

    # Changes by the outbox

    def fail(self, entry: Dropped, text: str, now_s: float, *, is_unknown: bool = False) -> None:
        """Shows beside a drop why it was not sent, or that this is not known."""
        entry.stage = Stage.UNKNOWN if is_unknown else Stage.FAILED
        self._forget_reports(entry.path)
        path = (entry.path[0], entry.path[1] + (UNKNOWN_END if is_unknown else FAILED_END))
        self.reports[path] = Report(self._number(), text, now_s)

    def report(self, path: Path, text: str, now_s: float, send_id: str, *, is_unknown: bool) -> None:
        """Shows what became of a message of the outbox whose files this process does not have."""
        end = UNKNOWN_END if is_unknown else FAILED_END
        self.reports[path[0], path[1] + end] = Report(self._number(), text, now_s, send_id)

    def forget_report(self, send_id: str) -> Path | None:
        """Removes what `report` has made for a message; its path, or None if there was nothing."""
        found = next(
            (path for path, each in self.reports.items() if send_id and each.send_id == send_id), None
        )
        if found is not None:
            del self.reports[found]
        return found

    def postpone(self, entry: Dropped, until_s: float) -> None:
        """Makes a drop that was taken wait; it can be changed meanwhile."""
        entry.stage, entry.not_before_s = Stage.OPEN, until_s

    def queue(self, entry: Dropped, send_id: str) -> None:
        """Notes that the outbox has a drop."""
        entry.stage, entry.send_id = Stage.QUEUED, send_id
        self._forget_reports(entry.path)

    def finish(self, entry: Dropped) -> list[DropFile]:
        """Removes a drop that was sent or forgotten, with its reports; its files."""
        self._forget_reports(entry.path)
        if self.entries.get(entry.path) is entry:
            del self.entries[entry.path]
        files = list(entry.files.values())
        for file in files:
            file.drop = None
        return files

    # Shared

    def _reopen(self, entry: Dropped, now_s: float) -> None:
        entry.stage, entry.since_s, entry.not_before_s = Stage.OPEN, now_s, 0.0
        self._forget_reports(entry.path)

    def _forget_reports(self, path: Path) -> None:
        reports = self.reports_of(path)
        for each in reports:
            del self.reports[each]
        self.forgotten |= reports

    def _add(self, path: Path, *, is_folder: bool, now_s: float) -> Dropped:
        entry = Dropped(number=self._number(), path=path, is_folder=is_folder, since_s=now_s)
        self.entries[path] = entry
        return entry

    def _folder(self, path: Path) -> Dropped:
        entry = self.entries.get(path)
        if entry is None:
            raise NotFoundError(f"there is no such directory in {self.rules.where}")
        if not entry.is_folder:
            raise NoDirectoryError("this is a file")
        return entry

    def _require_free(self, path: Path) -> None:
        known = self.rules.directories
        if len(path) not in (2, 3) or not (known is None or path[0] in known):
            raise NotPermittedError(f"nothing can be sent from here; {self.rules.advice}")
        if self.find(path) is not None:
            raise ExistsError("there is a file of this name")
        if path[-1].endswith((FAILED_END, UNKNOWN_END)):
            raise NotPermittedError(f"{path[-1]}: only rcfs writes files with this end")

    @staticmethod
    def _require_writable(entry: Dropped) -> None:
        if entry.stage in CLOSED:
            raise BusyError(
                "the message is being sent; remove the file to stop it, if that is still possible"
            )

    def _require_room(self) -> None:
        if sum(each.is_folder + len(each.files) for each in self.entries.values()) >= MOST_FILES:
            raise NoRoomError(f"{self.rules.where} may have {MOST_FILES:,} files")

    def _number(self) -> int:
        self._last += 1
        return self._last
