"""Tells on stderr why a command waits, and how long if that is known."""

import math

import trio

from rcfs.cli._output import LINE_EVERY_S, tell
from rcfs.engine import Engine

_LONG_S = 2.0
"""A wait that is not longer is not told, in seconds."""
_LOOK_EVERY_S = 0.5
"""Pause between two looks for a reason, in seconds."""


async def tell_waits(engine: Engine, scope: trio.CancelScope | None = None) -> None:
    """Tells why a command waits, until `scope` or the task is cancelled; each reason every ten seconds."""
    told, told_s = "", trio.current_time() + _LONG_S - LINE_EVERY_S
    with scope or trio.CancelScope():
        while True:
            await trio.sleep(_LOOK_EVERY_S)
            kind, line = _reason(engine) or (told, "waiting for RingCentral")
            if kind != told or trio.current_time() >= told_s + LINE_EVERY_S:
                tell(line)
                told, told_s = kind, trio.current_time()


def _reason(engine: Engine) -> tuple[str, str] | None:
    """A word for the reason of a long wait, and a line; None if it is not known."""
    waits_s = {state.group: each.wait_s for state in engine.lane.gate.queue() for each in state.expected[:1]}
    group = min(waits_s, key=lambda each: waits_s[each], default=None)
    if group is not None and waits_s[group] > _LONG_S:
        seconds = math.ceil(waits_s[group])
        return (
            "quota",
            f"the quota of RingCentral for {group} requests is used up; the next one is sent in {seconds} s",
        )
    seconds = math.ceil(engine.outbox.pause_s)
    if seconds > _LONG_S and engine.outbox.is_uncertain:
        return (
            "lost",
            f"an answer was lost; in {seconds} s rcfs looks whether the messages have changed",
        )
    if seconds > _LONG_S:
        return "failure", f"RingCentral has failed to answer; rcfs asks again in {seconds} s"
    for extension_id, progress in engine.account.mailboxes.loads():
        if trio.current_time() > progress.begun_s + _LONG_S:
            return (
                "load",
                f"loading the mailbox of extension {extension_id}: {progress.records:,} messages so far",
            )
    return None
