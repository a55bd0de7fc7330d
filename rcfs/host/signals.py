"""Signals of a process with something to end properly: a mount, a pull.

Four signals ask a process to end: SIGINT (Ctrl-C), SIGTERM, SIGHUP (its terminal was closed) and SIGQUIT.
Most others end a process as well unless it says otherwise, and a mount whose process is gone answers
"Transport endpoint is not connected" until somebody detaches it. Nobody who sends a mount SIGUSR2 or
SIGALRM wants that, so those do nothing.
"""

import signal
from collections.abc import AsyncIterator, Callable, Iterator
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
"""What ends a process by default and says nothing to rcfs; SIGPIPE and SIGXFSZ are ignored by Python. The
signals of a crash (SIGSEGV, SIGABRT, SIGTRAP…) keep their meaning. Source: signal(7)."""
_STOPPING = (signal.SIGTTIN, signal.SIGTTOU)
"""Stop a process in the background that uses the terminal. Ignored, and not handled: a write that a handler
interrupts is repeated for ever."""


@contextmanager
def lasting(on_stop: Callable[[], None] | None = None) -> Iterator[None]:
    """While the block runs, no signal ends this process but those of `endings`, and those of a crash.

    `on_stop` is called in place of stopping at Ctrl-Z, or where the process is in the background and uses
    the terminal: whoever looks into a mount whose process is stopped hangs, the shell that should continue
    it included. Without `on_stop` the process stops as any other.

    The handlers do nothing, so that programs which this process starts do not inherit them, as they would
    inherit that a signal is ignored.
    """
    with ExitStack() as stack:
        stack.enter_context(_handled(_HARMLESS, lambda _number, _frame: None))
        if on_stop is not None:
            stack.enter_context(_handled((signal.SIGTSTP,), lambda _number, _frame: on_stop()))
            stack.enter_context(_handled(_STOPPING, signal.SIG_IGN))
        yield


@contextmanager
def endings() -> Iterator[AsyncIterator[int]]:
    """The signals that ask this process to end, as they arrive; within a trio run.

    One that is ignored already stays so: ``nohup`` ignores SIGHUP, and a shell ignores SIGINT and SIGQUIT for
    the background jobs of a script, so that Ctrl-C ends the script alone.
    """
    heard = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*heard) as received:
        yield received


@contextmanager
def _handled(
    numbers: tuple[int, ...], handler: Callable[[int, FrameType | None], None] | signal.Handlers
) -> Iterator[None]:
    """Lets `handler` have these signals, but for those that are ignored already."""
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
