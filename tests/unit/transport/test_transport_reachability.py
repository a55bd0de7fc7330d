"""When a server counts as unreachable, and when it is probed."""

from rcfs.errors import UnreachableError, UntrustedError
from rcfs.transport._reachability import BLIP_S, LASTING_PROBE_S, PROBE_S, Reachability

GONE = UnreachableError("nobody is there")


def test_a_single_failed_connection_is_not_an_outage() -> None:
    way = Reachability()
    assert not way.failed(0.0, GONE)
    assert not way.is_down
    assert not way.answered()
    assert not way.failed(1.0, GONE), "an answer between them"
    assert not way.is_down


def test_two_failed_connections_in_a_row_are_an_outage_until_an_answer() -> None:
    way = Reachability()
    way.failed(0.0, GONE)
    assert way.failed(7.0, GONE)
    assert way.is_down
    assert (way.probe_s, way.blip_ends_s) == (7.0 + PROBE_S, 7.0 + BLIP_S)
    assert not way.failed(8.0, GONE), "it is the same outage"
    assert way.blip_ends_s == 7.0 + BLIP_S
    assert way.answered()
    assert not way.is_down
    assert not way.failed(20.0, GONE)
    assert way.failed(21.0, GONE)
    assert way.blip_ends_s == 21.0 + BLIP_S


def test_probes_are_five_seconds_apart() -> None:
    way = Reachability()
    way.failed(0.0, GONE)
    way.failed(0.0, GONE)
    way.probing(5.5)
    assert way.probe_s == 5.5 + PROBE_S
    way.failed(6.0, GONE)
    assert way.probe_s == 5.5 + PROBE_S


def test_a_lasting_reason_is_an_outage_at_once_with_fewer_probes() -> None:
    way = Reachability()
    refused = UntrustedError("signed by nobody")
    assert way.failed(0.0, refused)
    assert (way.reason, way.probe_s) == (refused, LASTING_PROBE_S)
    way.failed(LASTING_PROBE_S, GONE)
    way.probing(LASTING_PROBE_S)
    assert (way.reason, way.probe_s) == (GONE, LASTING_PROBE_S + PROBE_S)
    assert way.answered()
    assert way.reason is None
