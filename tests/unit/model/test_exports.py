"""The names of exports, and which exports there can be."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcfs.model import EXPORT_TYPES, ExportKind, ExportQuery, ExportState

MESSAGES, TEAM = ExportKind.MESSAGES, ExportKind.TEAM
FIRST, LAST = "2026-01-01", "2026-03-31"
NOON_S = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()


def of(kind: ExportKind = MESSAGES, first: str = FIRST, last: str = LAST, **options: Any) -> ExportQuery:
    return ExportQuery.of_days(kind, first, last, **options)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (of(), "2026-01-01 to 2026-03-31"),
        (of(last=FIRST), "2026-01-01 to 2026-01-01"),
        (of(types=["Fax", "SMS", "Fax"]), "2026-01-01 to 2026-03-31 SMS+Fax"),
        (of(types=EXPORT_TYPES), "2026-01-01 to 2026-03-31"),
        (of(TEAM, chats=["7", "4711"]), "2026-01-01 to 2026-03-31 chats 4711,7"),
        (
            of(TEAM, contacts=["a/b+c@é.example", "101"], chats=["../x, y"]),
            "2026-01-01 to 2026-03-31 contacts 101,a%2Fb+c@%C3%A9.example chats ..%2Fx%2C%20y",
        ),
    ],
)
def test_a_name_tells_all_and_leads_back(query: ExportQuery, name: str) -> None:
    assert query.name == name
    assert ExportQuery.parse(query.kind, name) == query


def test_a_period_has_whole_days_in_utc() -> None:
    query = of()
    assert (query.from_s, query.to_s) == (1_767_225_600.0, 1_775_001_600.0)


@pytest.mark.parametrize(
    ("kind", "name", "because"),
    [
        (MESSAGES, "January", "looks like '2026-01-01 to"),
        (MESSAGES, "2026-01-01 to 2026-03-31 ", "looks like"),
        (MESSAGES, "2026-01-01 to 2026-03-31\n", "looks like"),
        (MESSAGES, "٢٠٢٦-01-01 to 2026-03-31", "looks like"),
        (MESSAGES, "2026-02-30 to 2026-03-31", "'2026-02-30' is no day"),
        (MESSAGES, "2026-04-01 to 2026-03-31", "before the first"),
        (MESSAGES, "1969-04-01 to 2026-03-31", "out of range"),
        (MESSAGES, "2026-01-01 to 2026-03-31 MMS", "'MMS' is no type"),
        (MESSAGES, "2026-01-01 to 2026-03-31 Fax+SMS", r"write it as '2026-01-01 to 2026-03-31 SMS\+Fax'"),
        (MESSAGES, "2026-01-01 to 2026-03-31 chats 1", "cannot be restricted to contacts or chats"),
        (TEAM, "2026-01-01 to 2026-03-31 SMS", "cannot be restricted to types"),
        (TEAM, "2026-01-01 to 2026-07-31", "at most six months"),
        (TEAM, "2026-01-01 to 2026-03-31 chats 1,1", "write it as '2026-01-01 to 2026-03-31 chats 1'"),
        (TEAM, "2026-01-01 to 2026-03-31 chats ,", "empty or too long"),
        (TEAM, f"2026-01-01 to 2026-01-02 chats {','.join(map(str, range(11)))}", "at most 30 contacts"),
    ],
)
def test_other_names_are_refused_in_a_sentence(kind: ExportKind, name: str, because: str) -> None:
    with pytest.raises(ValueError, match=because):
        ExportQuery.parse(kind, name)


@pytest.mark.parametrize(
    ("last", "begun"),
    [
        ("2026-11-28", "2026-11-28"),
        ("2026-11-29", "2026-11-29"),
        ("2026-11-30", "2026-11-29"),
        ("2026-12-01", None),
        ("2027-11-30", None),
    ],
)
def test_a_period_ends_today_if_the_month_has_not_ended(last: str, begun: str | None) -> None:
    query = of(first="2026-01-01", last=last, types=["Fax"])
    if begun is None:
        with pytest.raises(ValueError, match="ends in the future; today is 2026-11-29 in UTC, which"):
            query.begun(NOON_S)
    else:
        shorter = of(first="2026-01-01", last=begun, types=["Fax"])
        assert query.begun(NOON_S) == shorter
        assert shorter.longer_names(NOON_S) == ["2026-01-01 to 2026-11-30 Fax"][: begun == "2026-11-29"]
    with pytest.raises(ValueError, match="begins in the future"):
        of(first="2026-11-30", last="2026-11-30").begun(NOON_S)


def test_a_period_of_six_months_is_allowed() -> None:
    assert of(TEAM, "2026-03-01", "2026-08-31").name == "2026-03-01 to 2026-08-31"


def test_long_lists_have_a_short_name_of_their_own() -> None:
    contacts = [f"somebody.{number}@a-long-domain.example" for number in range(30)]
    one, other = of(TEAM, contacts=contacts), of(TEAM, contacts=contacts[1:])
    assert len(one.name) < 100
    assert one.name != other.name
    assert one.name == of(TEAM, contacts=reversed(contacts)).name
    with pytest.raises(ValueError, match="looks like"):
        ExportQuery.parse(TEAM, one.name)


PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
WORDS = st.lists(st.text(PRINTABLE, min_size=1, max_size=12), max_size=3)


@given(WORDS, WORDS)
def test_any_contact_and_chat_makes_a_safe_name(contacts: list[str], chats: list[str]) -> None:
    query = of(TEAM, contacts=contacts, chats=chats)
    assert query.name.isascii()
    assert "/" not in query.name
    assert len(query.name) <= 255
    if "(" not in query.name:
        assert ExportQuery.parse(TEAM, query.name) == query


def test_four_states_are_final_and_a_waiting_one_does_not_run() -> None:
    final = {each.value for each in ExportState if each.is_final}
    assert final == {"Failed", "Completed", "Cancelled", "Expired"}
    assert {each.value for each in ExportState if not each.is_running} == {*final, "Waiting"}
