"""The audit of a copy by itself: each file against the manifest, and the files against its own numbers.

A manifest is no signature: somebody who rewrites it can make it fit any files. It proves what happens by
accident, by a bad disk or by a forgotten file.
"""

from collections.abc import Callable, Iterator

from rcfs.audit._archive import Archive
from rcfs.audit._selection import ArchiveSelection
from rcfs.audit._tally import Tally
from rcfs.audit._values import Basis, Finding, Held, OwnerReport, Row, State, Trouble
from rcfs.pull import HadRow, PullNote
from rcfs.tree import COPY_MANIFEST

OLD_MANIFEST = (
    "an older rcfs made this copy, and its manifest does not say what the platform had: nothing proves that"
    " it is complete; run `rcfs pull --to` once, or audit it without --offline"
)


class CopyAudit:
    """The audit of one copy; call `check_files`, and then `report_owners`."""

    def __init__(self, archive: Archive, tally: Tally, selection: ArchiveSelection) -> None:
        """For the part of `archive` in `selection`; the findings go to `tally`."""
        self._archive = archive
        self._tally = tally
        self._selection = selection

    def check_files(self, *, takes: Callable[[str, str, str], bool] | None = None) -> Iterator[None]:
        """Reads all files; yields from time to time. `takes` is by default that of the selection."""
        archive = self._archive
        self._tally.summary.files = archive.sums
        if takes is None and self._selection.is_everything:
            archive.sums.of_files = archive.files
        for found in archive.check(takes or self._selection.takes_file):
            if found is not None:
                self._tally.state(Held(found.state), found.path)
            yield
        if self._selection.is_everything:
            for path in archive.extra():
                if path is not None:
                    self._tally.note(Finding(Trouble.EXTRA, path))
                yield

    def report_owners(self, on_owner: Callable[[OwnerReport], None]) -> None:
        """Compares the files that were read with the numbers of the manifest, owner by owner."""
        for owner, name in self._archive.owners():
            report = OwnerReport(owner, name, Basis.MANIFEST if self._archive.has_facts else Basis.NOTHING)
            for kind, month, row in self._archive.own_rows(owner):
                report.row(kind, month).add(row)
            for had in self._archive.notes.rows(owner):
                if self._selection.takes_row(name, had.kind, had.month):
                    self.compare(report, had)
            if report.rows or self._selection.takes_row(name, "", ""):
                self._tally.close(report)
                on_owner(report)
        self.note_manifest()
        if not self._archive.has_facts:
            self._tally.note(Finding(Trouble.UNPROVEN, COPY_MANIFEST, OLD_MANIFEST))
        if self._archive.notes.pulls:
            self._note_last(self._archive.notes.pulls[-1])

    def compare(self, report: OwnerReport, had: HadRow) -> None:
        """Adds to `report` what the manifest's own number says is missing."""
        row = report.row(had.kind, had.month)
        row.purged += had.gone
        for what, number, known in (
            ("messages", had.messages, row.messages),
            ("files", had.contents, row.contents),
        ):
            if number > known:
                detail = f"a pull found {number} {what} at the platform; the manifest lists {known}"
                place = f"{report.name}/{had.kind}/{had.month}"
                self._tally.note(Finding(Trouble.MISSING, place, detail, number - known))
        row.messages = max(row.messages, had.messages)
        row.contents = max(row.contents, had.contents)

    def note_manifest(self) -> None:
        """Notes the pulls that made the copy, and the lines that the manifest has lost since."""
        archive, tally = self._archive, self._tally
        tally.summary.pulls = tuple(archive.notes.pulls)
        listed = max((note.lines for note in archive.notes.pulls), default=0)
        if listed > archive.files:
            detail = f"it listed {listed} files at the end of a pull, and lists {archive.files} now"
            tally.note(Finding(Trouble.MISSING, COPY_MANIFEST, detail, listed - archive.files))

    def _note_last(self, note: PullNote) -> None:
        takes = self._selection.takes_file
        for path, reason in note.closed:
            if self._selection.takes_closed(path):
                self._tally.note(Finding(Trouble.REFUSED, path, reason))
        for path, reason in note.reasons:
            if takes(path, "", "") and self._archive.state_of_path(path, Row()).state is not State.OK:
                self._tally.note(Finding(Trouble.MISSING, path, f"the pull failed: {reason}"))
        if not note.ended_s:
            detail = "the last pull was interrupted, or has not ended"
            self._tally.note(Finding(Trouble.UNPROVEN, COPY_MANIFEST, detail))
