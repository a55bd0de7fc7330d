"""Tasks that restart after an error as long as the mount lasts, and tasks that end together."""

from collections.abc import Awaitable, Callable, Iterable

import trio

from rcfs.errors import RcfsError
from rcfs.transport._recorder import Recorder

_LONGEST_PAUSE_S = 60.0
"""Longest pause before a failed task starts again, in seconds. The pauses double from one second on, so that
a lasting error does not fill the log and a short one costs a second."""


async def keep_going(recorder: Recorder, event: str, job: Callable[[], Awaitable[object]]) -> None:
    """Runs `job` until it returns; after an error, logged as `event`, it starts `job` again.

    So an unexpected error does not end the nursery, and with it the mount.
    """
    pause_s = 1.0
    while True:
        begun_s = trio.current_time()
        try:
            await job()
        except Exception as exc:  # noqa: BLE001 - no error of a task may end the mount
            recorder.crash(event, exc)
        else:
            return
        if trio.current_time() - begun_s > _LONGEST_PAUSE_S:
            pause_s = 1.0
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def run_together(
    jobs: Iterable[Callable[[], Awaitable[None]]], *, until_one_returns: bool = False
) -> None:
    """Runs `jobs` at the same time until all return, or with `until_one_returns` until one does.

    The first RcfsError of a job cancels the others and is raised as it is, without a group around it.
    """
    errors: list[RcfsError] = []

    async def run(job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except RcfsError as exc:
            errors.append(exc)
        if errors or until_one_returns:
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for job in jobs:
            nursery.start_soon(run, job)
    if errors:
        raise errors[0]
