"""How pulls divide an account without asking each other."""

import pytest

from rcfs.pull import Shard, parse_shard

SECOND_THIRD = ["101/2026-01", "101/2026-08", "101/2026-10"]
"""The second third of the first year of `PARTS`."""
PARTS = [f"{owner}/2026-{month:02}" for owner in range(101, 151) for month in range(1, 13)]


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_each_part_is_in_one_share(of: int) -> None:
    shares = [[part for part in PARTS if Shard(number, of).takes(part)] for number in range(1, of + 1)]
    assert sorted(part for share in shares for part in share) == sorted(PARTS)
    assert min(map(len, shares)) > len(PARTS) / of / 2, "and the shares are fair"


def test_the_share_of_a_part_stays_the_same() -> None:
    assert [part for part in PARTS[:12] if Shard(2, 3).takes(part)] == SECOND_THIRD


def test_a_share_is_written_as_a_fraction() -> None:
    assert (parse_shard("2/3"), str(Shard(2, 3))) == (Shard(2, 3), "2/3")


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/1001", "1/x", "¹/3", "1/2/3"])
def test_other_texts_are_no_shares(text: str) -> None:
    with pytest.raises(ValueError, match="write N/M"):
        parse_shard(text)
