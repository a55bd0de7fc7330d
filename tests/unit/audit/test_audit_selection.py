"""The part of a copy that an audit by itself selects, and the scope that pulls were asked for."""

import pytest

from rcfs.audit import ArchiveSelection, parts_of, pulled_scope
from rcfs.model import Filter
from rcfs.pull import PullNote, conditions_of

FAX = Filter(types=frozenset({"fax"}))
GREETINGS = Filter(types=frozenset({"greeting"}))


@pytest.mark.parametrize(
    ("closed", "path", "wanted", "is_taken"),
    [
        ("104 Kim", "", Filter(), True),
        ("104 Kim", "", FAX, True),
        ("104 Kim", "", GREETINGS, False),
        ("104 Kim", "104*/Fax", FAX, True),
        ("104 Kim", "101 Jane", Filter(), False),
        ("104 Kim/Greetings", "", FAX, False),
        ("104 Kim/Greetings", "", GREETINGS, True),
        ("104 Kim/Greetings", "104 Kim/Greetings", Filter(), True),
        ("104 Kim/Greetings", "104 Kim/Fax", Filter(), False),
    ],
)
def test_what_could_not_be_read_is_told_with_every_filter(
    closed: str, path: str, wanted: Filter, is_taken: bool
) -> None:
    assert ArchiveSelection((parts_of(path),), wanted).takes_closed(closed) is is_taken


@pytest.mark.parametrize(
    ("notes", "paths", "wanted"),
    [
        ([], ((),), Filter()),
        ([PullNote(at_s=1, paths=("",), wanted=conditions_of(FAX))], ((),), FAX),
        ([PullNote(at_s=1, paths=("a/Fax", "b"))], (("a", "Fax"), ("b",)), Filter()),
        ([PullNote(at_s=1, paths=("",)), PullNote(at_s=2, paths=("a",))], ((),), Filter()),
        ([PullNote(at_s=1, paths=("a",), wanted={"mood": "blue"})], ((),), Filter()),
        ([PullNote(at_s=1)], ((),), Filter()),
    ],
)
def test_the_scope_of_the_pulls(
    notes: list[PullNote], paths: tuple[tuple[str, ...], ...], wanted: Filter
) -> None:
    assert pulled_scope(notes) == (paths, wanted)
