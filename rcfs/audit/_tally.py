"""Collects the findings of an audit: passes each on, and counts them."""

from collections.abc import Callable

from rcfs.audit._values import Finding, Held, OwnerReport, State, Summary, Trouble

TROUBLE_OF = {
    State.MISSING: Trouble.MISSING,
    State.DAMAGED: Trouble.DAMAGED,
    State.REFUSED: Trouble.UNREADABLE,
}
"""The finding that a state is; OK has none."""


class Tally:
    """The findings of one audit, for one thread at a time."""

    def __init__(self, summary: Summary, on_finding: Callable[[Finding], None]) -> None:
        """Counts in `summary`; `on_finding` is called with each finding when it is made."""
        self.summary = summary
        """The audit so far."""
        self._on_finding = on_finding
        self._by_name: dict[str, dict[Trouble, int]] = {}

    def note(self, finding: Finding) -> None:
        """Notes a finding, for the owner whose directory its path begins with."""
        for counts in (self.summary.troubles, self._of(finding.path.partition("/")[0])):
            counts[finding.trouble] = counts.get(finding.trouble, 0) + finding.count
        self._on_finding(finding)

    def state(self, held: Held, path: str, detail: str = "") -> None:
        """Notes the state of a file or message, unless it is OK or was noted already."""
        if held.state is not State.OK and not held.is_told:
            self.note(Finding(TROUBLE_OF[held.state], path, detail))

    def close(self, report: OwnerReport) -> None:
        """Gives an owner its findings, and adds its numbers to the summary."""
        report.troubles = self._of(report.name)
        self.summary.add(report)

    def _of(self, name: str) -> dict[Trouble, int]:
        return self._by_name.setdefault(name, {})
