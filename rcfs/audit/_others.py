"""The audit of recordings, greetings and call logs, by the index: asking the platform costs Heavy requests.

A copy is also compared with what its pulls have found, where the index of this machine knows nothing.
"""

from collections.abc import Collection, Iterable, Iterator

from rcfs.audit._archive import Archive
from rcfs.audit._copy_audit import CopyAudit
from rcfs.audit._holdings import Holdings
from rcfs.audit._selection import OwnerSelection
from rcfs.audit._tally import Tally
from rcfs.audit._values import Basis, Finding, OwnerReport, Row, Trouble
from rcfs.engine import Engine
from rcfs.mailbox import State as CollectionState
from rcfs.model import CALL_LOG, CALLS_VIEW, GREETINGS, LOG_ENDINGS, RECORDINGS_VIEW, collection_of, iso_time
from rcfs.pull import NO_MONTH, Item, Walk, month_of_time, needs_of
from rcfs.tree import GREETINGS_VIEW, PROMPTS_VIEW, ContentFile, GreetingFile, RecordingFile, Root

_VIEWS = (RECORDINGS_VIEW, GREETINGS_VIEW, PROMPTS_VIEW)


class OtherContents:
    """Audits the contents that belong to no message; for one thread at a time."""

    def __init__(
        self,
        engine: Engine,
        root: Root,
        holdings: Holdings,
        archive: Archive | None,
        copy_audit: CopyAudit | None,
        tally: Tally,
        *,
        offline: bool,
        refused: Collection[int],
    ) -> None:
        """For the tree `root`; see `Audit` for the other arguments.

        `refused` has the owners whose mailboxes the platform has refused so far; it may grow.
        """
        self._engine = engine
        self._root = root
        self._holdings = holdings
        self._archive = archive
        self._copy_audit = copy_audit
        self._tally = tally
        self._offline = offline
        self._refused = refused
        self._oldest_s: float | None = None
        self._has_any = False

    def limits(self) -> tuple[str, ...]:
        """Sentences that say what the audit cannot prove."""
        notes = []
        if self._offline:
            notes.append(
                "RingCentral was not asked: what it has got or lost since the last sync is not known."
            )
        if self._has_any:
            since = "" if self._oldest_s is None else f", last synced at {iso_time(self._oldest_s)} or later"
            notes.append(
                f"Call logs, recordings and greetings are those that the index knows{since}; RingCentral was"
                " not asked for them, because its lists of calls count as Heavy."
            )
        return tuple(notes)

    def audit(self, selection: OwnerSelection, report: OwnerReport) -> Iterator[None]:
        """The steps that audit the recordings, greetings and call logs of one owner, for worker threads.

        Called in the trio thread; it asks the collections at once for what is loaded.
        """
        self._check_lists(selection)
        loaded, unknown = self._months(selection)
        views = [each for each in _VIEWS if selection.directory.find(each) is not None]
        paths = [path for view in views for path in selection.below(view)]
        walk = Walk(self._root, paths, selection.wanted, attachments_only=True)

        def steps() -> Iterator[None]:
            self._check_logs(selection, report, loaded)
            for item in walk:
                self._check(selection, report, item)
                yield
            self._compare_with_pulls(selection, report, unknown)

        return steps()

    def _check(self, selection: OwnerSelection, report: OwnerReport, item: Item) -> None:
        node = item.node
        if not isinstance(node, ContentFile) or item.parts[0] != selection.name:
            return
        if isinstance(node, RecordingFile):
            row = report.row(RECORDINGS_VIEW, month_of_time(node.row.started_s))
        elif isinstance(node, GreetingFile):
            row = report.row(GREETINGS_VIEW, NO_MONTH)
        else:
            return
        selection.note_used(item.parts[1:])
        self._has_any = True
        if node.purged:
            row.purged += 1
            return
        held = self._holdings.content(node.key, item.path, row)
        row.count(held)
        self._tally.state(held, item.path)

    def _months(self, selection: OwnerSelection) -> tuple[list[str], set[str]]:
        """The months of calls that are loaded, and those that never were."""
        calls = self._engine.account.calls.catalogue
        if not (self._engine.account.calls.is_shown and calls.has_calls):
            return [], set()
        owner = selection.owner
        paths = [(selection.name, *path) for path in selection.paths]
        needed = needs_of(self._root, paths, selection.wanted, calls).months
        months = [month for each, month in needed if each == owner]
        for month in months:
            selection.note_used((CALLS_VIEW, month))
            selection.note_used((RECORDINGS_VIEW, month))
        loaded = [month for month in months if calls.is_loaded(owner, month)]
        self._has_any = self._has_any or bool(loaded)
        return loaded, set(months) - set(loaded)

    def _check_logs(self, selection: OwnerSelection, report: OwnerReport, months: Iterable[str]) -> None:
        """Looks when the logs of `months` were synced, and for their files in the copy."""
        takes_logs = CALL_LOG in selection.wanted.kinds and selection.below(CALLS_VIEW)
        for month in months:
            known = self._engine.account.calls.catalogue.month(selection.owner, month)
            has_calls = known is not None and known.calls > 0
            if known is not None and has_calls and known.synced_s:
                self._oldest_s = min(known.synced_s, self._oldest_s or known.synced_s)
            if takes_logs and self._archive is not None and (has_calls or self._was_shown(month)):
                self._check_log(report, self._archive, f"{selection.name}/{CALLS_VIEW}/{month}")

    def _was_shown(self, month: str) -> bool:
        """Whether the last pull of the copy met a month even if it had no call."""
        if self._archive is None or not self._archive.notes.pulls:
            return False
        recent = self._engine.account.calls.catalogue.recent_months(self._archive.notes.pulls[-1].at_s)
        return month in recent

    def _check_log(self, report: OwnerReport, archive: Archive, path: str) -> None:
        row = report.row(CALLS_VIEW, path[-7:])
        for ending in LOG_ENDINGS:
            held = archive.state_of_path(path + ending, row)
            row.count(held)
            self._tally.state(held, path + ending)

    def _check_lists(self, selection: OwnerSelection) -> None:
        """Notes a list of greetings that was never loaded."""
        if not selection.wanted.fits_greetings or selection.directory.find(GREETINGS_VIEW) is None:
            return
        if not any(not path or path[0] == GREETINGS_VIEW for path in selection.paths):
            return
        state = self._engine.account.collections.state(collection_of(GREETINGS, selection.owner))
        if state in (CollectionState.LOADED, CollectionState.ABSENT):
            return
        path = f"{selection.name}/{GREETINGS_VIEW}"
        if self._is_closed(selection.owner, path):
            self._tally.note(Finding(Trouble.REFUSED, path, "the login may not read them"))
        elif not self._pulled(selection.owner, GREETINGS_VIEW, NO_MONTH):
            self._tally.note(Finding(Trouble.NOT_LOADED, path, "`rcfs pull` loads them"))

    def _compare_with_pulls(self, selection: OwnerSelection, report: OwnerReport, unknown: set[str]) -> None:
        """Compares the months that the index does not know with what pulls have found, if there is a copy."""
        if self._archive is not None and self._copy_audit is not None and selection.is_whole:
            own = {(kind, month): row for kind, month, row in self._archive.own_rows(selection.owner)}
            for had in self._archive.notes.rows(selection.owner):
                place = had.kind, had.month
                asked = had.kind == RECORDINGS_VIEW and had.month in unknown
                if asked or (had.kind == GREETINGS_VIEW and place not in report.rows):
                    unknown.discard(had.month)
                    report.row(*place).add(own.get(place, Row()))
                    self._copy_audit.compare(report, had)
        closed = self._is_closed(selection.owner, f"{selection.name}/{CALLS_VIEW}")
        if not closed and not self._is_looked_at(selection.owner):
            for month in sorted(unknown):
                path = f"{selection.name}/{RECORDINGS_VIEW}/{month}"
                self._tally.note(
                    Finding(Trouble.NOT_LOADED, path, "calls and recordings; `rcfs pull` loads them")
                )
        if report.basis is Basis.NOTHING and report.rows:
            report.basis = Basis.INDEX

    def _is_closed(self, owner: int, path: str) -> bool:
        """Whether the login may not read what is at `path`: now, or when it was pulled."""
        pulls = () if self._archive is None else self._archive.notes.pulls
        return owner in self._refused or any(
            path == closed for note in pulls for closed, _reason in note.closed
        )

    def _is_looked_at(self, owner: int) -> bool:
        """Whether a pull of everything has looked at the owner: a month without a number had no recording."""
        if self._archive is None or owner not in self._archive.notes.owners:
            return False
        return any(note.is_everything and note.ended_s for note in self._archive.notes.pulls)

    def _pulled(self, owner: int, kind: str, month: str) -> bool:
        """Whether a pull of everything, or of just this, has looked at a list."""
        rows = [] if self._archive is None else self._archive.notes.rows(owner)
        return self._is_looked_at(owner) or any((row.kind, row.month) == (kind, month) for row in rows)
