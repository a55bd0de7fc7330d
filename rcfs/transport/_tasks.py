"""Tasks: those that live as long as a mount and outlive their errors, and those that end together."""

from collections.abc import Awaitable, Callable, Iterable

import trio

from rcfs.errors import RcfsError
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


async def run_together(
    jobs: Iterable[Callable[[], Awaitable[None]]], *, until_one_returns: bool = False
) -> None:
    """Runs `jobs` at the same time, to their end or, if so asked, until one of them returns.

    The first RcfsError of one ends the others and is raised as it is, without a group around it.
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
