"""When a server counts as unreachable, and when it is probed."""

from rcfs.fetch._reachability import BLIP_S, PROBE_S, Reachability


def test_one_failure_is_none() -> None:
    way = Reachability()
    assert not way.failed(0.0)
    assert not way.is_down
    assert not way.answered()
    assert not way.failed(1.0), "an answer between them"
    assert not way.is_down


def test_two_in_a_row_are_an_outage_until_something_is_answered() -> None:
    way = Reachability()
    way.failed(0.0)
    assert way.failed(7.0)
    assert way.is_down
    assert (way.probe_s, way.blip_ends_s) == (7.0 + PROBE_S, 7.0 + BLIP_S)
    assert not way.failed(8.0), "it is the same outage"
    assert way.blip_ends_s == 7.0 + BLIP_S
    assert way.answered()
    assert not way.is_down
    assert not way.failed(20.0)
    assert way.failed(21.0)
    assert way.blip_ends_s == 21.0 + BLIP_S


def test_probes_are_five_seconds_apart() -> None:
    way = Reachability()
    way.failed(0.0)
    way.failed(0.0)
    way.probing(5.5)
    assert way.probe_s == 5.5 + PROBE_S
    way.failed(6.0)
    assert way.probe_s == 5.5 + PROBE_S
