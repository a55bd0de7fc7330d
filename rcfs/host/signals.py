"""Signals for a process that must close things at its end: a mount or a pull.

Four signals ask a process to end: SIGINT (Ctrl-C), SIGTERM, SIGHUP (its terminal was closed) and SIGQUIT. By
default most other signals would kill it, too. A mount whose process is gone answers "Transport endpoint is
not connected" until it is detached, so rcfs ignores signals such as SIGUSR2 and SIGALRM.
"""

import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

import trio

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_HARMLESS = (
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGPWR,
    signal.SIGSTKFLT,
    signal.SIGXCPU,
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
"""Signals that end a process by default and mean nothing to rcfs. Python ignores SIGPIPE and SIGXFSZ. Signals
of a crash (SIGSEGV, SIGABRT, SIGTRAP…) keep their meaning. Source: signal(7)."""
_STOPPING = (signal.SIGTTIN, signal.SIGTTOU)
"""Signals that stop a background process which uses the terminal. rcfs ignores them instead of handling them,
because a write that a handler interrupts would repeat forever."""


@contextmanager
def lasting(on_stop: Callable[[], None] | None = None) -> Iterator[None]:
    """While the block runs, only the signals of `hearing`, and those of a crash, end this process.

    On Ctrl-Z this calls `on_stop` instead of stopping the process, because programs that use the mount of a
    stopped process hang, even the shell that should continue it. Then the process also ignores the signals
    that stop a background process. Without `on_stop` it stops as usual.

    For harmless signals it sets handlers that do nothing: programs that this process starts would inherit an
    ignored signal, but not a handler.
    """
    with ExitStack() as stack:
        stack.enter_context(_handled(_HARMLESS, lambda _number, _frame: None))
        if on_stop is not None:
            stack.enter_context(_handled((signal.SIGTSTP,), lambda _number, _frame: on_stop()))
            stack.enter_context(_handled(_STOPPING, signal.SIG_IGN))
        yield


async def hearing(on_signal: Callable[[int], None], work: Callable[[], Awaitable[None]]) -> None:
    """Does `work`, and calls `on_signal` with each signal that asks this process to end.

    It hears them until `work` has ended, so also while `work` closes what it has opened: a second Ctrl-C does
    not cut that short. A signal that is already ignored stays ignored: ``nohup`` ignores SIGHUP, and a shell
    ignores SIGINT and SIGQUIT for the background jobs of a script, so that Ctrl-C ends only the script.
    """
    heard = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]

    async def hear(*, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(*heard) as received:
            task_status.started()
            async for number in received:
                on_signal(number)

    async with trio.open_nursery() as nursery:
        await nursery.start(hear)
        await work()
        nursery.cancel_scope.cancel()


async def interruptible(work: Callable[[], Awaitable[None]]) -> int:
    """Does `work` until it ends, or until a signal cancels it; returns the first signal, or 0."""
    scope, first = trio.CancelScope(), 0

    def cancel(number: int) -> None:
        nonlocal first
        first = first or number
        scope.cancel()

    async def inside() -> None:
        with scope:
            await work()

    await hearing(cancel, inside)
    return first


@contextmanager
def _handled(
    numbers: tuple[int, ...], handler: Callable[[int, FrameType | None], None] | signal.Handlers
) -> Iterator[None]:
    """Sets `handler` for `numbers` while the block runs, except for signals that are already ignored."""
    before = {
        number: signal.signal(number, handler)
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
