"""Reports of a mount to its service manager: that it works, and how far it has loaded."""

import trio

from rcfs.engine import Engine
from rcfs.engine_status import mailboxes_status
from rcfs.host import ServiceManager

REPORT_EVERY_S = 15.0
"""Longest time between two reports, in seconds; nobody needs them newer than that."""


async def report_to(manager: ServiceManager, engine: Engine) -> None:
    """Reports the state of `engine` to `manager` until it is cancelled.

    It runs in the event loop that answers the kernel, so a mount that hangs is silent, and the watchdog of
    the manager replaces it.
    """
    every_s = min(REPORT_EVERY_S, (manager.watchdog_s or REPORT_EVERY_S * 2) / 2)
    told = ""
    while True:
        manager.alive()
        await engine.counts.look()
        text = _state(engine)
        if text != told:
            manager.status(text)
            told = text
        await trio.sleep(every_s)


def _state(engine: Engine) -> str:
    """One line about `engine` without names, numbers and contents."""
    mailboxes = mailboxes_status(engine)
    parts = []
    if mailboxes is not None:
        parts.append(
            f"{mailboxes.loaded:,} of {mailboxes.known:,} mailboxes loaded, {mailboxes.messages:,} messages"
        )
    if engine.lane.session.refused is not None:
        parts.append(f"RingCentral refuses the login: run `{engine.lane.session.login_command}`")
    elif engine.network.state != "up":
        parts.append("without the network")
    return "; ".join(parts) or "mounted"
