"""The periods of exports that a pull chooses: which months, how much twice, and which exports again."""

from datetime import UTC, datetime

import attrs
import pytest

from rcfs.model import DAY_S, Export, ExportKind, ExportQuery, ExportState
from rcfs.pull import MOST_PERIOD_BYTES, TYPICAL_BYTES, Days, Known, Period, Scope, choose_periods

NOW_S = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
ALL = Scope(from_s=0.0, to_s=NOW_S)
EAGER = attrs.evolve(ALL, is_eager=True)


def at(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def days_of(**counts: tuple[int, int]) -> Days:
    """Days with (missing, present) attachments, such as ``d2026_11_03=(4, 1)``."""
    days = Days()
    for name, (missing, present) in counts.items():
        for number in range(missing + present):
            when_s = at(name[1:].replace("_", "-")) + 3600
            days.note(when_s, "SMS", 1000 if number < missing else None, is_missing=number < missing)
    return days


def chosen(days: Days, scope: Scope = ALL, *exports: Known) -> list[tuple[str, int]]:
    return [(period.query.name, period.missing) for period in choose_periods(days, scope, exports)]


def export(
    name: str,
    state: ExportState = ExportState.COMPLETED,
    *,
    asked: str = "2026-11-20",
    archives: int | None = None,
    size_bytes: int = 0,
) -> Known:
    query = ExportQuery.parse(ExportKind.MESSAGES, name)
    return Known(Export(name, query, "task", state, at(asked), at(asked), 0.0), archives, size_bytes)


def test_months_that_follow_each_other_make_one_period() -> None:
    days = days_of(d2026_01_10=(4, 0), d2026_02_10=(4, 0), d2026_04_30=(2, 0), d2026_05_01=(1, 0))
    assert chosen(days) == [("2026-01-01 to 2026-05-31", 11)], "March has no attachments"


def test_a_month_of_which_less_than_half_is_missing_is_left_out() -> None:
    days = days_of(d2026_01_10=(4, 0), d2026_02_10=(2, 3), d2026_03_10=(3, 3))
    assert chosen(days) == [("2026-01-01 to 2026-01-31", 4), ("2026-03-01 to 2026-03-31", 3)]
    assert chosen(days, EAGER) == [("2026-01-01 to 2026-03-31", 9)]
    assert chosen(days_of(d2026_02_10=(0, 3)), EAGER) == []


def test_days_at_the_ends_on_which_nothing_is_missing_are_left_out() -> None:
    days = days_of(d2026_01_02=(0, 1), d2026_01_10=(4, 0), d2026_01_20=(4, 1), d2026_01_30=(0, 1))
    assert chosen(days) == [("2026-01-10 to 2026-01-20", 8)]


def test_the_present_month_ends_today() -> None:
    assert chosen(days_of(d2026_11_03=(4, 0))) == [("2026-11-01 to 2026-11-20", 4)]


def test_a_filter_bounds_the_periods() -> None:
    days = days_of(d2026_01_20=(4, 0), d2026_03_10=(4, 0))
    bounded = attrs.evolve(ALL, from_s=at("2026-01-15") + 5, to_s=at("2026-03-12") + 5)
    assert chosen(days, bounded) == [("2026-01-15 to 2026-03-12", 8)]


def test_types_are_part_of_the_query() -> None:
    fax = attrs.evolve(ALL, types=("Fax",))
    assert chosen(days_of(d2026_01_20=(4, 0)), fax) == [("2026-01-01 to 2026-01-31 Fax", 4)]


def test_other_mailboxes_count_as_present() -> None:
    days = days_of(d2026_01_20=(4, 0))
    (period,) = choose_periods(days, attrs.evolve(ALL, factor=2.0), ())
    assert (period.missing, days.mean_bytes, period.total_bytes) == (4, 1000, 8000)
    assert chosen(days, attrs.evolve(ALL, factor=2.1)) == []


def test_a_period_is_not_larger_than_twenty_archives() -> None:
    days = Days()
    for month in range(1, 9):
        days.note(at(f"2026-{month:02d}-05"), "SMS", MOST_PERIOD_BYTES // 3, is_missing=True)
    assert [name for name, _missing in chosen(days)] == [
        "2026-01-01 to 2026-03-31",
        "2026-04-01 to 2026-06-30",
        "2026-07-01 to 2026-08-31",
    ]


def test_a_large_month_is_a_period() -> None:
    days = Days()
    days.note(at("2026-01-05"), "SMS", 2 * MOST_PERIOD_BYTES, is_missing=True)
    assert chosen(days) == [("2026-01-01 to 2026-01-31", 1)]


def test_unknown_sizes_are_like_the_known_ones_or_typical() -> None:
    days = Days()
    days.note(at("2026-01-05"), "SMS", None, is_missing=True)
    assert days.mean_bytes == TYPICAL_BYTES
    days.note(at("2026-01-05"), "SMS", 500, is_missing=True)
    (period,) = choose_periods(days, ALL, ())
    assert (days.mean_bytes, period.total_bytes) == (500, 1000)


def test_an_export_is_used_again() -> None:
    days = days_of(d2026_01_10=(4, 0), d2026_02_10=(1, 9), d2026_03_10=(4, 0))
    done = export("2026-01-01 to 2026-02-28", archives=3, size_bytes=60)
    again, new = choose_periods(days, ALL, [done])
    assert (again.known, again.missing, again.total_bytes) == (done, 5, 60)
    assert (new.query.name, new.missing, new.known) == ("2026-03-01 to 2026-03-31", 4, None)


@pytest.mark.parametrize("state", [ExportState.WAITING, ExportState.ASKED, ExportState.ATTEMPT_FAILED])
def test_so_is_one_that_is_not_ready(state: ExportState) -> None:
    days = days_of(d2026_01_10=(4, 0))
    (period,) = choose_periods(days, ALL, [export("2026-01-01 to 2026-02-28", state)])
    assert (period.query.name, period.total_bytes) == ("2026-01-01 to 2026-02-28", 4000)


@pytest.mark.parametrize("state", [ExportState.FAILED, ExportState.CANCELLED, ExportState.EXPIRED])
def test_one_that_is_of_no_use_is_not(state: ExportState) -> None:
    days = days_of(d2026_01_10=(4, 0))
    assert chosen(days, ALL, export("2026-01-01 to 2026-02-28", state)) == [("2026-01-01 to 2026-01-31", 4)]


def test_an_export_of_other_types_is_of_no_use() -> None:
    days = days_of(d2026_01_10=(4, 0))
    (period,) = choose_periods(days, ALL, [export("2026-01-01 to 2026-02-28 Fax")])
    assert period.known is None
    sms = export("2026-01-01 to 2026-02-28 SMS+Fax")
    assert choose_periods(days, ALL, [sms])[0].known == sms
    query = attrs.evolve(sms.export.query, kind=ExportKind.TEAM, types=())
    team = Known(attrs.evolve(sms.export, query=query))
    assert choose_periods(days, ALL, [team])[0].known is None


def test_the_export_that_brings_most_comes_first_and_days_count_once() -> None:
    days = days_of(d2026_01_10=(4, 0), d2026_02_10=(4, 0), d2026_03_10=(4, 0))
    short, long = export("2026-01-01 to 2026-02-28"), export("2026-01-01 to 2026-03-31")
    assert chosen(days, ALL, short, long) == [("2026-01-01 to 2026-03-31", 12)]


def test_an_export_holds_nothing_that_came_after_it_was_asked_for() -> None:
    days = days_of(d2026_11_03=(4, 0), d2026_11_18=(4, 0))
    early = export("2026-11-01 to 2026-11-30", asked="2026-11-10")
    again, new = choose_periods(days, ALL, [early])
    assert (again.missing, again.holds(at("2026-11-09")), again.holds(at("2026-11-10"))) == (4, True, False)
    assert (new.query.name, new.missing) == ("2026-11-01 to 2026-11-20", 4)


def test_nothing_is_missing() -> None:
    assert choose_periods(Days(), EAGER, [export("2026-01-01 to 2026-02-28")]) == ()


def test_a_period_holds_times_up_to_its_end() -> None:
    period = Period(
        ExportQuery.parse(ExportKind.MESSAGES, "2026-01-01 to 2026-01-31"), 1, 1, at("2026-01-20")
    )
    assert [period.holds(at("2026-01-01") - 1), period.holds(at("2026-01-01"))] == [False, True]
    assert not period.holds(at("2026-01-20"))
    assert DAY_S == 86400


def test_an_export_whose_archives_were_all_read_is_of_no_use() -> None:
    days = days_of(d2026_01_10=(4, 0))
    assert choose_periods(days, ALL, [export("2026-01-01 to 2026-02-28", archives=0)])[0].known is None


@pytest.mark.parametrize(
    ("size_bytes", "is_used"), [(1_000_000_000, True), (1_000_000_001, False), (10**12, False)]
)
def test_an_export_that_holds_little_of_what_is_missing_is_left_alone(size_bytes: int, is_used: bool) -> None:
    days = days_of(d2026_01_10=(4, 0), d2026_02_10=(0, 2))
    present = export("2000-01-01 to 2026-11-20", archives=1, size_bytes=size_bytes)
    wanted = "2000-01-01 to 2026-11-20" if is_used else "2026-01-01 to 2026-01-31"
    assert chosen(days, EAGER, present) == [(wanted, 4)]


def test_an_export_that_holds_a_tenth_of_it_is_used() -> None:
    days = Days()
    days.note(at("2026-01-10"), "Fax", 200_000_000, is_missing=True)
    name = "2000-01-01 to 2026-11-20"
    assert chosen(days, EAGER, export(name, archives=2, size_bytes=2_000_000_000)) == [(name, 1)]
    assert chosen(days, EAGER, export(name, archives=3, size_bytes=2_000_000_001)) != [(name, 1)]
