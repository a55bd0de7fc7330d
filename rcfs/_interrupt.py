"""What Ctrl-C does: end the process at once while there is nothing to end properly, or raise.

While modules are loaded a KeyboardInterrupt would show a trace, or be lost: Python ignores what is raised in
the callbacks that loading them runs.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


def _quit(number: int, _frame: FrameType | None) -> NoReturn:
    try:
        os.write(2, b"rcfs: interrupted\n")
    except OSError:
        pass  # nobody is there to be told
    finally:
        os._exit(128 + number)


def quit_on_interrupt() -> None:
    """From now on Ctrl-C ends this process, unless it is ignored, as in a background job of a script."""
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_DFL):
        signal.signal(signal.SIGINT, _quit)


def raise_on_interrupt() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _quit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def loading() -> Iterator[None]:
    """For a block that loads modules and has nothing to end properly: Ctrl-C ends this process in it."""
    raising = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    quit_on_interrupt()
    try:
        yield
    finally:
        if raising:
            raise_on_interrupt()
