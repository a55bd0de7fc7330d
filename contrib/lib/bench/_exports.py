"""Measures the pull of a large account by exports against attachments one by one, in virtual time."""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from bench._exports_load import ARCHIVE_BYTES, ATTACHMENTS, LATENCY_S, LISTS, RECORDS, Case
from bench._measure import run_module

LARGE: Final = 600_000
"""Attachments of the large account, to which the figures are extrapolated."""
EACH_BYTES: Final = 300_000
_PER_MAILBOX: Final = 600
"""Attachments in a mailbox; a mailbox has four times as many messages."""
_LINES_BYTES_S: Final = (10e6, 50e6, 100e6)
"""Rates of the line: 80, 400 and 800 Mbit/s."""
_REPORT_S: Final = 300.0
"""Time for a report: "several minutes" in the documentation."""
_SCALE: Final = 100
LARGE_CASE: Final = Case("exports", 630_000, EACH_BYTES, 1001, _LINES_BYTES_S[1], _REPORT_S, _SCALE, every=1)
"""The large account itself. It has one message for each attachment: with four it would take hours."""
_LIGHT_A_MINUTE: Final = 50
"""Light requests that the usual quota allows in a minute."""
_WITHIN_S: Final = 4 * 3600.0


@attrs.define
class ExportsResults:
    """The runs, and their conditions."""

    conditions: dict[str, str]
    """By name."""
    runs: list[dict[str, Any]] = attrs.field(factory=list)
    """Each has its ``case``, a `bench._exports_load.Case`, and what came of it: a `Pulled`, ``rss_bytes``."""
    large: list[dict[str, Any]] = attrs.field(factory=list)
    """The runs of large accounts, smallest first; each also has its own ``conditions``."""

    @classmethod
    def load(cls, path: Path) -> "ExportsResults":
        """The results in a file; empty ones without the file."""
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls({})

    def add_large(self, found: dict[str, Any], conditions: dict[str, str]) -> None:
        """Adds the run of a large account, in place of an earlier one of the same case."""
        others = [each for each in self.large if each["case"] != found["case"]]
        self.large = sorted(
            [*others, {**found, "conditions": conditions}], key=lambda each: each["attachments"]
        )

    def to_json(self) -> str:
        """The results as JSON."""
        return json.dumps(attrs.asdict(self), indent=1) + "\n"


def cases(attachments: int) -> Sequence[Case]:
    """The pulls to measure: one by one, by exports at each rate, and a gigabyte of it at full size."""
    mailboxes = max(6, attachments // _PER_MAILBOX) | 1
    usual = Case("exports", attachments, EACH_BYTES, mailboxes, _LINES_BYTES_S[1], _REPORT_S, _SCALE)
    whole = min(attachments, ARCHIVE_BYTES // EACH_BYTES)
    return (
        attrs.evolve(usual, via="attachments"),
        *(attrs.evolve(usual, line_bytes_s=rate) for rate in _LINES_BYTES_S),
        attrs.evolve(usual, attachments=whole, mailboxes=7, scale=1),
    )


def described(attachments: int) -> str:
    """The account for the conditions, so that a reader can repeat it."""
    return (
        f"the simulator's, with {attachments:,} attachments of {EACH_BYTES:,} bytes, one for every"
        f" {cases(attachments)[0].every} messages, {_PER_MAILBOX} in a mailbox; nothing is known or cached at"
        f" first; a report takes {_REPORT_S:.0f} s, an answer {LATENCY_S} s; pulled in virtual time with the"
        f" simulator in the same process. Attachments and archives are {_SCALE} times smaller, and a byte of"
        f" them takes as long as {_SCALE}, so requests and times are those of the full size; the last row"
        " is at full size"
    )


def run(case: Case, folder: Path) -> dict[str, Any]:
    """Runs a pull in a process of its own, whose peak memory is known then.

    Raises:
        PeerError: It failed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        wanted = attrs.asdict(case)
        pulled, peak_bytes = run_module("bench._exports_load", place, json.dumps(wanted), within_s=_WITHIN_S)
    return {"case": wanted, **pulled, "rss_bytes": peak_bytes}


def measure(attachments: int, folder: Path, results: ExportsResults, say: Callable[[str], None]) -> None:
    """Measures everything.

    Raises:
        PeerError: A pull has failed.
    """
    for case in cases(attachments):
        found = run(case, folder)
        results.runs.append(found)
        say(f"{_way(found)}: {_hours(found):.2f} h, {found['taken_s']:.0f} s of CPU time")


def exports_table(results: ExportsResults) -> str:
    """The figures as tables in Markdown, then the conditions."""
    *runs, _whole = results.runs
    grown = [_large(each) for each in runs]
    large = "".join(
        f"A large account as it was run, in {each['mailboxes']:,} mailboxes with one message for each"
        f" attachment, against the pace of the first row; {_listed(each['conditions'])}:\n\n"
        f"{_table([each], runs[0])}\n\n"
        for each in results.large
    )
    return (
        f"A pull of all attachments of an account, one by one and by exports, as it was run:\n\n"
        f"{_table(results.runs, runs[0])}\n\n{large}"
        f"The first rows for {LARGE:,} attachments, extrapolated: the report takes as long, mailboxes and"
        f" archives grow with the number of attachments, {_LIGHT_A_MINUTE} Light requests take a minute, and"
        f" the later ones, which keep mailboxes current, are left out:\n\n"
        f"{_table(grown, grown[0], measured=False)}\n\nConditions: {_listed(results.conditions)}.\n"
    )


def _listed(conditions: dict[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in conditions.items() if text)


def _table(runs: Sequence[dict[str, Any]], alone: dict[str, Any], *, measured: bool = True) -> str:
    alone_h = _hours(alone) / alone["attachments"]
    heads = [
        "way",
        "attachments",
        "hours",
        "times as fast",
        "Light",
        "Medium",
        "Heavy",
        "contents",
        "archives",
    ]
    rows = []
    for each in runs:
        requests = [each["requests"].get(group, 0) for group in ("light", "medium", "heavy")]
        counts = [*requests, each["contents"], each["archives"]]
        is_large = each["attachments"] >= alone["attachments"]
        row = [_way(each), f"{each['attachments']:,}", f"{_hours(each):.2f}"]
        row += [
            f"{alone_h * each['attachments'] / _hours(each):.1f}" if is_large else "",
            *(f"{count:,}" for count in counts),
        ]
        if measured:
            row += [f"{each[name] / 1e6:,.0f}" for name in ("rss_bytes", "disk_bytes")]
            row.append(f"{each['taken_s']:,.0f}")
        rows.append(row)
    if measured:
        heads += ["peak memory, MB", "disk, MB", "CPU, s"]
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _way(found: dict[str, Any]) -> str:
    case = found["case"]
    if case["via"] == "attachments":
        return "one by one"
    size = "" if case["scale"] > 1 else ", at full size"
    return f"exports at {case['line_bytes_s'] / 1e6:.0f} MB/s{size}"


def _hours(found: dict[str, Any]) -> float:
    return float(sum(found["phases_s"].values())) / 3600


def _large(found: dict[str, Any]) -> dict[str, Any]:
    """A run with `LARGE` attachments by what a smaller one has shown; the wait for the report stays."""
    factor = LARGE / found["attachments"]
    grown = {name: round(found[name] * factor) for name in ("contents", "archives")}
    light = round(found["first_light"] * factor)
    phases_s = {
        RECORDS: found["phases_s"][RECORDS],
        # A few mailboxes take no longer than the answers; many wait for the quota.
        LISTS: light * 60 / _LIGHT_A_MINUTE,
        ATTACHMENTS: found["phases_s"][ATTACHMENTS] * factor,
    }
    # The report is asked for and looked at as often.
    requests = {
        "light": light,
        "medium": found["requests"]["medium"] + grown["contents"] - found["contents"],
        "heavy": found["requests"].get("heavy", 0) + grown["archives"] - found["archives"],
    }
    return {**found, **grown, "attachments": LARGE, "phases_s": phases_s, "requests": requests}
