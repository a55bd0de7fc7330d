"""The engine of this process: trio in a thread of its own, asked from any other thread.

Concurrency: `submit` may be called in any thread, and returns at once. Each call is a task of its own
in trio, and a future for its caller. When the caller cancels the future, the task ends; when the engine ends,
all futures that are left fail. A call is either in the queue, or has a task, or its future is done.
"""

import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio

from rcfs.assembly.engine import engine_of, open_stores
from rcfs.config import Settings
from rcfs.engine_status import mount_status
from rcfs.errors import ClosingError, sole_cause
from rcfs.files import MAX_WAITERS, FileSystem, Waits, live_renderer, tree_of
from rcfs.spec._asker import ThisProcess
from rcfs.spec._errors import translated
from rcfs.spec._log import library_log
from rcfs.spec._paths import Opened, Paths
from rcfs.status import ReadersStatus, Status
from rcfs.store import lock_inherited
from rcfs.transport import Recorder, keep_going

T = TypeVar("T")

Work = Callable[[Paths], Awaitable[T]]
"""The part of a call that runs in the trio thread."""
OpenPaths = Callable[[], AbstractAsyncContextManager[Paths]]
"""Opens what calls work on."""

_END_WITHIN_S = 10.0
"""Longest wait for the end of the thread: a logout has five seconds."""
_WHERE = Path("rcfs:")
"""The name of the tree in its status, where a mount has its mount point."""


@asynccontextmanager
async def open_paths(settings: Settings, *, is_forked: bool = False) -> AsyncIterator[Paths]:
    """The files of the account of `settings`; `is_forked` if the parent process had an engine.

    Nothing is synced by time, and a known account is not read again, so that a hundred workers which list
    nothing send nothing. A listing waits for the sync that it starts.

    Raises:
        RcfsError: The state directory cannot be used, or rcfs could not log in.
    """
    recorder = Recorder(library_log())
    with open_stores(settings, recorder) as stores:
        async with engine_of(settings, recorder, stores, keeps_current=False, asks_again=False) as engine:
            if is_forked:
                lock_inherited((settings.state_dir, settings.cache_dir))
            waits, started_s = Waits(), engine.wall_clock()

            async def status() -> Status:
                return await mount_status(
                    engine, _WHERE, started_s, ReadersStatus(waits.waiting, MAX_WAITERS)
                )

            files = FileSystem(
                tree_of(engine),
                engine,
                waits,
                max_wait_s=settings.max_wait_s,
                render_live=live_renderer(engine, status),
            )
            files.follow()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_going, recorder, "archives", files.archives.run)
                yield Paths(files, ThisProcess.here(), engine.account.settle)
                nursery.cancel_scope.cancel()


def result_of(future: "Future[T]") -> T:
    """The result of a call; an exception in this thread, such as KeyboardInterrupt, ends the call."""
    try:
        return future.result()
    finally:
        future.cancel()


@attrs.frozen(eq=False)
class _Call:
    """A call that waits for its turn, or runs."""

    future: Future[Any]
    path: str
    work: Work[Any]


class EngineThread:
    """A thread with trio and an engine in it, which begins to open at once."""

    def __init__(self, open_paths: OpenPaths) -> None:
        """Starts the thread; if `open_paths` fails, so does every call."""
        self._open_paths = open_paths
        self._lock = threading.RLock()  # the garbage collector may close a file while this thread has it
        self._pid = os.getpid()
        self._calls: deque[_Call] = deque()
        self._called = trio.Event()
        self._futures: set[Future[Any]] = set()
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._closing = False
        self._ended: Exception | None = None
        """Why no call begins any more; None while calls may begin."""
        self._thread = threading.Thread(target=self._main, name="rcfs", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it takes no more calls, because it was closed, could not be opened, or broke."""
        return self._closing or self._ended is not None

    def call(self, path: str, work: Work[T]) -> T:
        """The result of `work`, which runs in the trio thread; an interrupt of this thread ends it.

        Raises:
            OSError: The error of rcfs in a class of Python, about `path`.
            ConfigError: The credentials or settings are wrong.
        """
        return result_of(self.submit(path, work))

    def submit(self, path: str, work: Work[T]) -> "Future[T]":
        """The future result of `work`, as `call`; cancelling it ends the work."""
        future: Future[T] = Future()
        if self._pid != os.getpid():
            # Its thread is the parent's, and its lock may never be free again.
            future.set_exception(translated(ClosingError("the process was forked"), path))
            return future
        with self._lock:
            if self._ended is not None:
                future.set_exception(translated(self._ended, path))
                return future
            self._futures.add(future)
            self._calls.append(_Call(future, path, work))
        future.add_done_callback(self._futures.discard)
        self._soon(self._wake)
        return future

    def close(self) -> None:
        """Ends the engine, and all calls with it; returns when it has logged out."""
        with self._lock:
            self._closing = True
        self._soon(self._scope.cancel)
        self._thread.join(_END_WITHIN_S)

    def _wake(self) -> None:
        self._called.set()

    def _soon(self, action: Callable[[], object]) -> None:
        """Does `action` in the trio thread, if that runs."""
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(action)

    def _main(self) -> None:
        ended: Exception = ClosingError("the file system was closed")
        try:
            trio.run(self._serve)
        except Exception as exc:  # noqa: BLE001 - whatever it is, those who wait for an answer hear of it
            cause = sole_cause(exc)
            ended = cause if isinstance(cause, Exception) else exc
        with self._lock:
            self._ended = ended
            left = list(self._futures)
        for future in left:
            with suppress(InvalidStateError):
                future.set_exception(translated(ended, ""))

    async def _serve(self) -> None:
        with self._scope:
            with self._lock:
                self._token = trio.lowlevel.current_trio_token()
                if self._closing:
                    return
            async with self._open_paths() as paths, trio.open_nursery() as nursery:
                while True:
                    self._called = trio.Event()
                    while self._calls:
                        nursery.start_soon(self._run, paths, self._calls.popleft())
                    await self._called.wait()

    async def _run(self, paths: Paths, call: _Call) -> None:
        with trio.CancelScope() as scope:  # noqa: ASYNC912 - the work awaits
            call.future.add_done_callback(lambda done: self._soon(scope.cancel) if done.cancelled() else None)
            try:
                result = await call.work(paths)
            except Exception as exc:  # noqa: BLE001 - it is raised where the result is awaited
                with suppress(InvalidStateError):
                    call.future.set_exception(translated(exc, call.path))
                return
            try:
                call.future.set_result(result)
            except InvalidStateError:  # The caller gave up at the last moment, and will not close it.
                if isinstance(result, Opened):
                    paths.close(result)
