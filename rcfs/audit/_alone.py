"""The audit of a copy that needs no server and no index."""

import time
from collections.abc import Callable, Iterator
from itertools import islice

import trio

from rcfs.audit._archive import Archive
from rcfs.audit._copy_audit import CopyAudit
from rcfs.audit._selection import ArchiveSelection
from rcfs.audit._tally import Tally
from rcfs.audit._values import Finding, OwnerReport, Summary
from rcfs.pull import conditions_of, covers

_STEPS_AT_ONCE = 20
"""Files in one call of a worker thread, for which an interrupt has to wait."""
_UNSIGNED = (
    "RingCentral was not asked. The copy was compared with its own manifest, which has no signature: this"
    " proves nothing against somebody who changes both."
)


class ArchiveAudit:
    """One audit of a copy by itself; `run` it once."""

    def __init__(
        self,
        archive: Archive,
        selection: ArchiveSelection,
        *,
        on_finding: Callable[[Finding], None] = lambda _finding: None,
        on_owner: Callable[[OwnerReport], None] = lambda _report: None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepares the audit of the part of `archive` in `selection`; see `Audit` for the callbacks."""
        self._archive = archive
        self._selection = selection
        self._on_finding = on_finding
        self._on_owner = on_owner
        self._wall_clock = wall_clock
        last = archive.notes.pulls[-1] if archive.notes.pulls else None
        self.summary = Summary(
            begun_s=wall_clock(),
            account_id=archive.account_id,
            account="" if last is None else last.account,
            archive=str(archive.path),
            paths=tuple("/".join(path) for path in selection.paths if path),
            wanted=conditions_of(selection.wanted),
        )
        """The audit so far."""
        self.doing = "reading the files of the copy"
        """The step that is under way, in words."""

    async def run(self) -> Summary:
        """Audits the copy.

        Raises:
            StoreError: The directory fails.
        """
        summary, archive = self.summary, self._archive
        audit = CopyAudit(archive, Tally(summary, self._on_finding), self._selection)
        await in_steps(audit.check_files())
        self.doing = "comparing with the manifest"
        await trio.to_thread.run_sync(audit.report_owners, self._on_owner)
        limits = [_UNSIGNED]
        if self._selection.may_lack_rows:
            limits.append("The manifest has numbers by month, so below a month only files were checked.")
        if archive.has_facts and not self._is_pulled():
            limits.append(
                "The pulls were asked for a part of the account. The copy has what they found, and nothing"
                " tells about the rest."
                if self._selection.is_everything
                else "No pull that the manifest remembers was asked for all of this, so nothing tells whether"
                " RingCentral has more."
            )
        if archive.unknown_lines:
            limits.append(f"{archive.unknown_lines} lines of the manifest make no sense; they were left out.")
        summary.limits = tuple(limits)
        summary.ended_s = self._wall_clock()
        return summary

    def _is_pulled(self) -> bool:
        """Whether one of the pulls was to copy all that is audited."""
        paths = tuple("/".join(path) for path in self._selection.paths)
        return any(covers(note, paths, self._selection.wanted) for note in self._archive.notes.pulls)


async def in_steps(steps: Iterator[object]) -> None:
    """Runs an iterator to its end in worker threads, a few steps at a time."""
    while await trio.to_thread.run_sync(_few, steps):
        pass


def _few(steps: Iterator[object]) -> int:
    return sum(1 for _step in islice(steps, _STEPS_AT_ONCE))
