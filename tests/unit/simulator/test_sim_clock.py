"""The account's clock."""

import pytest

from rcfs.simulator._clock import AccountClock


class Real:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def real() -> Real:
    return Real()


def test_it_goes_with_real_time_and_can_be_moved_on(real: Real) -> None:
    clock = AccountClock(1000.0, real)
    assert clock.now() == 1000
    real.now_s += 3
    assert clock.now() == 1003
    clock.advance(86_400)
    assert clock.now() == 87_403
    real.now_s += 2
    assert clock.now() == 87_405


def test_a_hurry_ends_by_itself(real: Real) -> None:
    clock = AccountClock(1000.0, real)
    clock.hurry(10, 100)
    real.now_s += 4
    assert (clock.now(), clock.speed) == (1040, 10)
    real.now_s += 7
    assert (clock.now(), clock.speed) == (1101, 1), "ten seconds of hurry, then one"
    real.now_s += 1
    assert clock.now() == 1102


def test_moving_on_shortens_a_hurry_and_a_new_one_replaces_it(real: Real) -> None:
    clock = AccountClock(1000.0, real)
    clock.hurry(10, 100)
    real.now_s += 1
    clock.advance(80)
    assert (clock.now(), clock.speed) == (1090, 10)
    real.now_s += 2
    assert (clock.now(), clock.speed) == (1101, 1)
    clock.hurry(0.5, 10)
    real.now_s += 4
    assert clock.now() == 1103
    clock.hurry(100, 1000)
    real.now_s += 1
    assert clock.now() == 1203


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
def test_it_never_goes_back(real: Real, wrong: float) -> None:
    clock = AccountClock(1000.0, real)
    with pytest.raises(ValueError, match="cannot"):
        clock.advance(wrong)
    with pytest.raises(ValueError, match="cannot"):
        clock.hurry(wrong, 10)
    with pytest.raises(ValueError, match="cannot"):
        clock.hurry(0, 10)
    assert clock.now() == 1000


def test_a_moment_past_the_end_of_a_hurry_by_moving_on(real: Real) -> None:
    clock = AccountClock(1000.0, real)
    clock.hurry(10, 100)
    clock.advance(500)
    assert (clock.now(), clock.speed) == (1500, 1)
    real.now_s += 1
    assert clock.now() == 1501


def test_the_real_seconds_until_a_moment(real: Real) -> None:
    clock = AccountClock(1.8e9, real)
    assert clock.real_s_until(1.8e9 + 60) == 60
    assert clock.real_s_until(1.8e9 - 60) == 0
    clock.hurry(100, 1000)
    assert clock.real_s_until(1.8e9 + 500) == 5
    assert clock.real_s_until(1.8e9 + 1030) == 40, "30 of these seconds pass as usual"
    assert clock.real_s_until(1.8e9 + 2**-20) == 2**-20 / 100, "not rounded to nothing"


def test_listeners_are_called_at_every_move(real: Real) -> None:
    clock, told = AccountClock(1000.0, real), []
    clock.listen(lambda: told.append(clock.now()))
    clock.advance(5)
    clock.hurry(2, 10)
    assert told == [1005, 1005]
