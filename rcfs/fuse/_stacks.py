"""A dump of all tasks and threads, to find out why a mount waits: ``kill -USR1 PID``."""

import faulthandler
import signal
from collections.abc import Iterator

import trio

from rcfs.transport import Recorder


async def dump_on_signal(recorder: Recorder) -> None:
    """Logs the stacks of all tasks on each SIGUSR1.

    The stacks of the threads go to stderr, even while the event loop is blocked.
    """
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        faulthandler.register(signal.SIGUSR1, chain=True)
        try:
            async for _signal in signals:
                root = trio.lowlevel.current_root_task()
                assert root is not None  # noqa: S101 - this is a task
                recorder.stacks(list(_lines(root, 0)))
        finally:
            faulthandler.unregister(signal.SIGUSR1)


def _lines(task: trio.lowlevel.Task, depth: int) -> Iterator[str]:
    """A task and those below it, each with its frames, outermost first."""
    indent = "  " * depth
    yield f"{indent}{task.name}"
    for frame, line in task.iter_await_frames():
        code = frame.f_code
        yield f"{indent}  at {code.co_filename}:{line} {code.co_name}"
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _lines(child, depth + 1)
