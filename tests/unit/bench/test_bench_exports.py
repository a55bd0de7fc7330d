from pathlib import Path

import attrs
import pytest
import trio
from bench._exports import LARGE, LARGE_CASE, ExportsResults, cases, exports_table
from bench._exports_load import ATTACHMENTS, LISTS, RECORDS, Case, pull
from trio.testing import MockClock

from tests.fakes.plain_mail import plain_mail
from tests.fakes.rig import run_inline

CASE = Case("exports", 40, 300_000, 3, 1e6, 100.0, scale=1000)


@pytest.mark.parametrize(("via", "contents", "archives"), [("exports", 0, 1), ("attachments", 37, 0)])
def test_a_small_account_takes_the_time_of_a_large_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, via: str, contents: int, archives: int
) -> None:
    monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)
    case = attrs.evolve(CASE, via=via)
    with plain_mail(case.each_bytes // case.scale):
        found = trio.run(pull, tmp_path, case, clock=MockClock(autojump_threshold=0))
    assert (found.attachments, found.contents, found.archives) == (37, contents, archives)
    assert (found.refused, found.notes, found.mailboxes) == (0, [], 3)
    assert found.phases_s[ATTACHMENTS] >= 37 * case.each_bytes / case.line_bytes_s
    assert 100 < found.phases_s[RECORDS] < 130 if via == "exports" else not found.phases_s[RECORDS]


def run_of(case: Case, attachments_s: float) -> dict[str, object]:
    return {
        "case": attrs.asdict(case),
        "attachments": case.attachments,
        "mailboxes": 21,
        "archives": 4 if case.via == "exports" else 0,
        "first_light": 60,
        "requests": {
            "light": 70,
            "medium": 1 if case.via == "exports" else case.attachments + 1,
            "heavy": 19 if case.via == "exports" else 0,
        },
        "contents": 0 if case.via == "exports" else case.attachments,
        "refused": 0,
        "phases_s": {RECORDS: 310.0, LISTS: 2.0, ATTACHMENTS: attachments_s},
        "taken_s": 60.0,
        "disk_bytes": 10**9,
        "notes": [],
        "way": "",
        "rss_bytes": 10**8,
    }


def test_the_tables_have_the_ratio_as_run_and_extrapolated(tmp_path: Path) -> None:
    alone, first, *others, whole = cases(12_000)
    found = [run_of(alone, 18_000.0), run_of(first, 360.0), *(run_of(each, 72.0) for each in others)]
    results = ExportsResults({"machine": "some"}, [*found, run_of(whole, 7.0)])
    for taken_s in (99_999.0, 8_688.0):
        results.add_large(run_of(LARGE_CASE, taken_s), {"machine": "another"})
    path = tmp_path / "exports.json"
    path.write_text(results.to_json(), encoding="utf-8")
    table = exports_table(ExportsResults.load(path))
    as_run, large = table.split(f"{LARGE:,}", 1)
    assert "| exports at 50 MB/s | 630,000 | 2.50 | 106.8 | 70 |" in as_run
    assert "machine: another:" in as_run
    assert as_run.count("630,000") == 1
    assert "| exports at 10 MB/s | 12,000 | 0.19 | 27.2 | 70 | 1 | 19 | 0 | 4 | 100 | 1,000 | 60 |" in as_run
    # The 3,000 Light requests of the large account take an hour.
    assert "| one by one | 600,000 | 251.09 | 1.0 | 3,000 | 600,001 | 0 | 600,000 | 0 |" in large
    assert "| exports at 10 MB/s | 600,000 | 6.09 | 41.3 | 3,000 | 1 | 215 | 0 | 200 |" in large
    assert table.endswith("Conditions: machine: some.\n")
