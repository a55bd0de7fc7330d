"""The text of an audit's report: short by default, whole with --verbose, and the command that repeats it."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from click.testing import Result

from rcfs.audit import Basis, Finding, OwnerReport, Row, Summary, Trouble
from rcfs.cli._audit_report import Report
from rcfs.cli._audit_text import report_lines
from rcfs.pull import PullNote

FAX = PullNote(at_s=1.8e9, outcome="done", paths=("",), wanted={"types": ["fax"], "since_s": 1.7e9})
WHOLE = PullNote(at_s=1.7e9, outcome="done", paths=("",))


@pytest.mark.parametrize("others", [(), ("--archive=x", "101 Jane"), ("--archive=x", "--type=fax")])
def test_the_whole_account_of_a_copy_has_no_other_choice(
    run: Callable[..., Result], others: tuple[str, ...]
) -> None:
    result = run("audit", "--whole", *others)
    assert result.exit_code == 2
    assert "--whole needs --archive, and goes with neither a PATH nor a filter" in result.output


def summary_of(*owners: OwnerReport, **fields: Any) -> Summary:
    summary = Summary(begun_s=1.8e9, ended_s=1.8e9, account_id="4", compared=True, archive="/my copy")
    summary = attrs.evolve(summary, **fields)
    for owner in owners:
        summary.add(owner)
    return summary


def owner_of(name: str, months: int, here: int) -> OwnerReport:
    """An owner with a fax in each of `months` months, of which `here` are here."""
    report = OwnerReport(1, name, Basis.LISTED)
    for month in range(months):
        report.row("Fax", f"20{month:02}-01").add(Row(messages=1, messages_here=int(month < here)))
    return report


def text_of(summary: Summary, *owners: OwnerReport, verbose: bool = False) -> list[str]:
    """The lines of the report, as the command makes them."""
    report = Report(verbose=verbose)
    for owner in owners:
        report.owner_done(owner)
    for number in range(summary.troubles.get(Trouble.MISSING, 0)):
        report.found(Finding(Trouble.MISSING, f"101/Fax/{number}"))
    report.found(Finding(Trouble.DAMAGED, "101/Fax/x"))
    return list(report_lines(summary, report._owners, report._findings, verbose=verbose))


def test_months_are_shown_if_something_is_missing_in_a_few() -> None:
    owner = owner_of("101 Jane", 25, 23)
    lines = text_of(summary_of(owner), owner)
    assert [line.split()[:2] for line in lines if line.startswith("  Fax")] == [
        ["Fax", "2023-01"],
        ["Fax", "2024-01"],
    ]
    assert any("nothing is missing are not shown" in line for line in lines)
    whole = text_of(summary_of(owner), owner, verbose=True)
    assert sum(line.startswith("  Fax") for line in whole) == 25
    assert not any("not shown" in line for line in whole)


def test_many_months_and_many_findings_become_a_line() -> None:
    owner = owner_of("101 Jane", 25, 0)
    summary = summary_of(owner, troubles={Trouble.MISSING: 570, Trouble.DAMAGED: 1})
    lines = text_of(summary, owner)
    assert len(lines) < 40
    assert "Something is missing in 25 months; --verbose shows them." in lines
    assert "  missing: 560 more, which --verbose shows" in lines
    assert "  damaged: 101/Fax/x" in lines, "many of one kind hide none of another"
    assert lines[-1] == "Result: NOT COMPLETE: 570 missing, 1 damaged"


def test_each_owner_says_with_what_it_was_compared() -> None:
    owners = [owner_of("101 Jane", 1, 1), OwnerReport(2, "102 Bob", troubles={Trouble.REFUSED: 1})]
    owners += [OwnerReport(3, "Company"), attrs.evolve(owner_of("103 Eve", 1, 1), basis=Basis.INDEX)]
    lines = text_of(summary_of(*owners, troubles={Trouble.REFUSED: 1}), *owners)
    ends = {line.split()[0]: line.split()[-1] for line in lines if line[:3] in ("101", "102", "103", "Com")}
    assert ends["101"] == "message"
    assert ends["102"] == "refused"
    assert ends["103"] == "index"
    assert sum(line.startswith("Compared with ") for line in lines) == 2
    assert lines[-1] == "Result: complete for what this login may read; 1 refused"


def test_the_command_of_the_last_pull_is_given() -> None:
    command = "rcfs audit --archive '/my copy' --type fax --since 2023-11-14T22:13:20Z"
    owner = owner_of("101 Jane", 2, 1)
    as_pulled = summary_of(owner, pulls=(FAX,), wanted=FAX.wanted, is_as_pulled=True)
    lines = text_of(as_pulled, owner)
    assert (
        "Scope:    the whole account, limited to type fax, since 2023-11-14T22:13:20Z, as the last pull"
        in lines
    )
    assert f"Command:  {command}" in lines
    for pulls, is_told in (((FAX,), True), ((WHOLE, FAX), False), ((WHOLE,), False), ((), False)):
        lines = text_of(summary_of(owner, pulls=pulls), owner)
        assert lines[-1].endswith(f": {command}") is is_told
