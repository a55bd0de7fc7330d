"""Runs the work of a command in an engine of its own, until it is done or a signal ends it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import trio

from rcfs.assembly.engine import engine_of, open_stores
from rcfs.cli._explain import Interrupted
from rcfs.config import Settings
from rcfs.engine import Engine
from rcfs.errors import ForbiddenError, sole_cause
from rcfs.host import allow_many_files, forbid_core_dumps
from rcfs.host.logs import EventLog, log_to_file
from rcfs.host.signals import interruptible, lasting
from rcfs.transport import Recorder

T = TypeVar("T")


def run_engine(
    settings: Settings,
    log: Path,
    work: Callable[[Engine, trio.Nursery], Awaitable[T]],
    *,
    on_interrupt: Callable[[], str],
    keeps_current: bool = True,
) -> T:
    """The result of `work`, which gets an engine and a nursery; what runs in that is cancelled at the end.

    The next command uses the session of this one, since RingCentral allows five logins and logouts a minute.
    `keeps_current` is as in `rcfs.mailbox.Account.start`.

    Raises:
        Interrupted: A signal ended it; its text is `on_interrupt()`.
        RcfsError: rcfs could not log in, or as `work`.
    """
    allow_many_files()
    forbid_core_dumps()
    log_to_file(log, settings.log_level)
    recorder = Recorder(EventLog())
    found: list[T] = []

    async def run() -> None:
        async with (
            engine_of(settings, recorder, stores, keeps_current=keeps_current) as engine,
            trio.open_nursery() as nursery,
        ):
            engine.lane.session.outlives = True
            try:
                found.append(await work(engine, nursery))
            except ForbiddenError:
                # The next command gets a token with the scopes that the app has then.
                engine.lane.session.outlives = False
                raise
            if engine.sharing is not None:
                await engine.sharing.writer.drain()
            nursery.cancel_scope.cancel()

    with lasting(), open_stores(settings, recorder) as stores:
        try:
            received = trio.run(interruptible, run)
        except ExceptionGroup as group:
            raise sole_cause(group) from group
    if received:
        raise Interrupted(received, on_interrupt())
    return found[0]
