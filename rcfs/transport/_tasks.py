"""Tasks that live as long as a mount, and outlive each of their own errors."""

from collections.abc import Awaitable, Callable

import trio

from rcfs.transport._recorder import Recorder

_LONGEST_PAUSE_S = 60.0
"""Longest pause before a task that failed begins again, in seconds. The first pause is a second, and each one
is twice as long as the one before: an error that stays fills no log, and one that passes costs a second."""


async def keep_going(recorder: Recorder, event: str, job: Callable[[], Awaitable[object]]) -> None:
    """Runs `job` to its end, and runs it again after an error, which is logged as `event`.

    Without it an error that nobody expected would end the nursery, and with it the mount.
    """
    pause_s = 1.0
    while True:
        begun_s = trio.current_time()
        try:
            await job()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the mount goes on
            recorder.crash(event, exc)
        else:
            return
        if trio.current_time() - begun_s > _LONGEST_PAUSE_S:
            pause_s = 1.0
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
