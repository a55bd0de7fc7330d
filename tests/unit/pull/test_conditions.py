"""The conditions of a filter in a manifest, and whether a pull was asked for all that an audit looks at."""

import pytest

from rcfs.model import INBOUND, Filter
from rcfs.pull import PullNote, conditions_of, covers, filter_of

FAX = Filter(types=frozenset({"fax"}))
BOTH = Filter(types=frozenset({"fax", "sms"}))


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        BOTH,
        Filter(since_s=1.5, until_s=2e9, direction=INBOUND, unread=True, party="Bob", trash=True),
        Filter(conversation_id="12"),
        Filter(min_duration_s=30.0),
    ],
)
def test_a_filter_comes_back(wanted: Filter) -> None:
    assert filter_of(conditions_of(wanted)) == wanted


@pytest.mark.parametrize(
    "conditions",
    [
        {"colour": "red"},
        {"types": ["telex"]},
        {"types": "fax"},
        {"direction": "Sideways"},
        {"since_s": 1e300},
        {"since_s": "yesterday"},
        {"types": ["fax"], "min_duration_s": 3},
    ],
)
def test_conditions_of_nobody_are_no_filter(conditions: dict[str, object]) -> None:
    assert filter_of(conditions) is None


@pytest.mark.parametrize(
    ("paths", "asked", "looked_at", "wanted", "is_covered"),
    [
        (("",), Filter(), ("a/Fax",), FAX, True),
        (("",), Filter(), ("",), Filter(), True),
        (("a", "b"), Filter(), ("b",), FAX, True),
        (("a",), Filter(), ("",), Filter(), False),
        (("",), BOTH, ("",), FAX, True),
        (("",), FAX, ("",), BOTH, False),
        (("",), FAX, ("",), Filter(), False),
        (("",), Filter(since_s=5.0, until_s=9.0), ("",), Filter(since_s=6.0, until_s=9.0), True),
        (("",), Filter(since_s=5.0), ("",), Filter(since_s=4.0), False),
        (("",), Filter(until_s=5.0), ("",), Filter(), False),
        (("",), Filter(unread=True), ("",), Filter(), False),
        (("",), Filter(unread=True), ("",), Filter(unread=True, until_s=3.0), True),
    ],
)
def test_what_a_pull_covers(
    paths: tuple[str, ...], asked: Filter, looked_at: tuple[str, ...], wanted: Filter, is_covered: bool
) -> None:
    note = PullNote(at_s=1, paths=paths, wanted=conditions_of(asked))
    assert covers(note, looked_at, wanted) is is_covered
