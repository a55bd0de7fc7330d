"""The outcome of an archive in words."""

from rcfs.exports import FillReport
from rcfs.pull._fill import problems_of


def test_an_empty_archive_is_a_problem_and_a_full_one_is_none() -> None:
    assert problems_of(FillReport(is_whole=True)) == [
        "it is empty: RingCentral has no attachments of that period"
    ]
    assert problems_of(FillReport(is_whole=True, present=1)) == []
    assert problems_of(FillReport()) == []
