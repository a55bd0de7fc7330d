"""The values' own rules, and the table of exit codes."""

import pytest

from rcfs import errors
from rcfs.errors import RcfsError
from rcfs.model import PRIOR_PLANS, AttachmentKey, ByteRange, ContentKey, Plan, Priority, UsageGroup


def test_a_byte_range_has_the_form_of_http() -> None:
    assert str(ByteRange(0)) == "bytes=0-"
    assert str(ByteRange(5, 6)) == "bytes=5-5"
    assert str(ByteRange(0, 1 << 40)) == "bytes=0-1099511627775"


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (-1, 5), (5, 5), (5, 4), (0, 0)])
def test_an_empty_or_negative_range_is_refused(start: int, stop: int | None) -> None:
    with pytest.raises(ValueError, match="range"):
        ByteRange(start, stop)


def test_a_content_key_is_parsed_from_its_text() -> None:
    key = AttachmentKey("230919004", 5, 1 << 60, 1)
    assert ContentKey.parse(str(key)) == key
    for text in ("", "1/2/3", "1/2/3/4/5", "1/2/3/x"):
        with pytest.raises(ValueError, match=r".+"):
            ContentKey.parse(text)


def test_plans_are_checked() -> None:
    for wrong in ({"limit": 0}, {"limit": 1, "window_s": 0.0}, {"limit": 1, "penalty_s": -1.0}):
        with pytest.raises(ValueError, match=r".+"):
            Plan(**wrong)


def test_the_prior_is_the_documented_one() -> None:
    limits = {group: (plan.limit, plan.window_s, plan.penalty_s) for group, plan in PRIOR_PLANS.items()}
    expected = {"light": 50, "medium": 40, "heavy": 10, "auth": 5}
    assert limits == {UsageGroup(name): (limit, 60.0, 60.0) for name, limit in expected.items()}


def test_a_person_is_first_and_a_crawler_last() -> None:
    assert min(Priority) is Priority.PERSON
    assert max(Priority) is Priority.CRAWLER
    assert Priority.PERSON < Priority.METADATA < Priority.READAHEAD < Priority.BULK


def test_the_drawing_of_the_hierarchy_matches_the_classes() -> None:
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("│", " ").replace("├──", " ").replace("└──", " ").split()
        if words and words[0].endswith("Error"):
            drawn[words[0]] = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
    kinds = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, RcfsError)
    }
    assert set(drawn) == set(kinds)
    assert {name: kinds[name].exit_code for name, code in drawn.items() if code is not None} == {
        name: code for name, code in drawn.items() if code is not None
    }
