"""The reports of a mount to its service manager."""

import pytest
import trio

from rcfs.cli._manager_reports import report_to
from rcfs.host import ServiceManager
from tests.fakes.rig import Rig
from tests.fakes.scripted import MEDIA, PLATFORM


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """(virtual time, message) of each message."""
    messages: list[tuple[float, str]] = []

    def send(_manager: ServiceManager, message: str) -> None:
        messages.append((round(trio.current_time() - messages[0][0] if messages else 0.0, 1), message))

    monkeypatch.setattr(ServiceManager, "_send", send)
    return messages


async def test_a_manager_hears_that_it_works_and_what_is_loaded(
    rig: Rig, told: list[tuple[float, str]]
) -> None:
    told.append((trio.current_time(), "begin"))
    with trio.move_on_after(70):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report_to, ServiceManager("@x", 40.0), rig.engine)
            await trio.sleep(16)
            await rig.mailbox()
    pulses = [at_s for at_s, message in told if message == "WATCHDOG=1"]
    assert pulses == [15.0 * number for number in range(5)], "half the watchdog's time at most"
    texts = [(at_s, message) for at_s, message in told if message.startswith("STATUS")]
    assert [at_s for at_s, _message in texts] == [0.0, 30.0], "only what has changed"
    assert texts[0][1].startswith("STATUS=0 of ")
    assert texts[1][1].startswith("STATUS=1 of ")


async def test_a_manager_hears_that_the_network_is_gone(rig: Rig, told: list[tuple[float, str]]) -> None:
    told.append((trio.current_time(), "begin"))
    rig.platform.away = [PLATFORM, MEDIA]
    with trio.move_on_after(40):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report_to, ServiceManager("@x", 2.0), rig.engine)
            nursery.start_soon(rig.engine.preload.run)
            await trio.sleep_forever()
    texts = [message for _at_s, message in told if message.startswith("STATUS")]
    assert [text.endswith("; without the network") for text in texts] == [False, True]
    assert [at_s for at_s, message in told if message == "WATCHDOG=1"] == [float(n) for n in range(40)]
