"""A ledger file that an earlier version wrote is taken over whole.

``data/ledger.sqlite`` was written by rcfs of 2026-11-28, before ledgers had homes. At 1,000 s of a fake boot
clock process "a" sent nine heavy requests of ten and had twelve more waiting; "b" learned that 30 medium ones
are allowed, of which others use 7, got an answer for a group that nobody had named, was refused on light, and
left a request under way; then both were killed.
"""

import shutil
from pathlib import Path

import pytest

from rcfs.model import Plan, Priority, UsageGroup
from rcfs.quota import LINGER_S, Ledger, Slot, Waiting
from rcfs.store import open_ledger
from tests.fakes.ledgers import FakeMachine

WRITTEN = Path(__file__).with_name("data") / "ledger.sqlite"
MEDIUM, HEAVY, LIGHT, NEW = (UsageGroup(name) for name in ("medium", "heavy", "light", "new"))
PLANS = {MEDIUM: Plan(40), HEAVY: Plan(10), LIGHT: Plan(50)}
HELD_S = 60.06006006006
"""How long a slot of these plans is held."""
NEXT = Waiting.only(Priority.BULK, 1008.0)


def opened(directory: Path, machine: FakeMachine) -> Ledger:
    path = directory / "ledger.sqlite"
    if not path.exists():
        shutil.copy(WRITTEN, path)
    return open_ledger(path, "somebody", PLANS, pytest.fail, machine)


def test_what_an_earlier_version_wrote_counts_on(tmp_path: Path) -> None:
    ledger = opened(tmp_path, FakeMachine(owner="c", clock=1008.0))
    medium, heavy, light, new = ledger.states(1008.0)
    assert [state.group for state in (medium, heavy, light, new)] == [MEDIUM, HEAVY, LIGHT, NEW]
    assert (medium.limit, medium.used, medium.in_flight) == (30, 9, 1), (
        "one of ours, 7 of others, one under way"
    )
    assert medium.returns_s == pytest.approx([1003.0 + HELD_S - 1008.0] * 8)
    assert (heavy.limit, heavy.used, heavy.in_flight) == (10, 9, 0)
    assert heavy.returns_s == pytest.approx([1000.5 + HELD_S - 1008.0] * 9)
    assert (light.used, light.frozen_for_s) == (50, 59.0)
    assert (new.limit, new.used) == (5, 1)
    assert list(ledger.forecast(HEAVY, NEXT, 1008.0)) == pytest.approx([1001.0 + HELD_S * 0.8], abs=0.01), (
        "the pace, which leaves two of ten to a person"
    )


def test_who_waited_in_an_earlier_version_keeps_the_place(tmp_path: Path) -> None:
    ledger = opened(tmp_path, FakeMachine(owner="c", clock=1002.1))
    heavy = ledger.states(1002.1)[1]
    assert heavy.elsewhere == (0, 0, 0, 12, 0)


def test_who_died_in_an_earlier_version_has_nothing_under_way(tmp_path: Path) -> None:
    ledger = opened(tmp_path, FakeMachine(owner="c", clock=1008.0, dead={"a", "b"}))
    slot = ledger.take(MEDIUM, Waiting.only(Priority.PERSON, 1008.0), 1008.0)
    assert isinstance(slot, Slot)
    assert slot.id == 13, "no number is given twice"
    ledger.cancel(slot)
    (medium, *_others) = opened(tmp_path, FakeMachine(owner="d", clock=1008.0)).states(1008.0)
    assert (medium.in_flight, medium.used) == (0, 9)
    assert max(medium.returns_s) == pytest.approx(HELD_S + LINGER_S)


def test_a_boot_after_an_earlier_version_wrote_is_taken_for_a_power_cut(tmp_path: Path) -> None:
    machine = FakeMachine(owner="c", boot="second boot", clock=20.0, wall=FakeMachine().wall + 30.0)
    states = opened(tmp_path, machine).states(20.0)
    assert {round(state.frozen_for_s, 3) for state in states} == {41.0 + LINGER_S}
    assert states[0].limit == 30
