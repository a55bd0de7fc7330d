"""Serves a mount with the engine that some settings describe."""

import gc
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import attrs
import trio

from rcfs.assembly.engine import engine_of, open_stores
from rcfs.cli._explain import Interrupted
from rcfs.cli._manager_reports import report_to
from rcfs.cli._watching import watchers_of
from rcfs.config import Settings
from rcfs.host import ServiceManager, allow_many_files, forbid_core_dumps, share_heaps, switch_threads_soon
from rcfs.host.logs import EventLog
from rcfs.host.signals import hearing, lasting
from rcfs.transport import Recorder, keep_going

if TYPE_CHECKING:
    from rcfs.fuse import MountOptions

_NOT_STOPPED = "not stopped, because programs that use the mount would hang; Ctrl-C unmounts it"


def serve(
    settings: Settings,
    mountpoint: Path,
    *,
    on_ready: Callable[[], None],
    wait_online_s: float = 0.0,
    on_wait: Callable[[str], None] = lambda _reason: None,
    manager: ServiceManager | None = None,
) -> None:
    """Mounts the account at `mountpoint`, and returns when it is unmounted or a signal ends it.

    Args:
        settings: With credentials.
        mountpoint: An empty directory, which the caller has checked, or the mount that `manager` has kept.
        on_ready: Called once, when the tree can be listed; it must not touch the mount.
        wait_online_s: Longest wait for the network, in seconds, for an account that is not in the index.
        on_wait: Called with the reason when that wait begins.
        manager: Hears how the mount is, while it is up; None where nobody wants to.

    Raises:
        Interrupted: A signal came before the mount was up.
        RcfsError: Mounting failed.
    """
    allow_many_files()
    share_heaps()
    forbid_core_dumps()
    switch_threads_soon()
    ending = _Ending()

    async def run() -> None:
        with ending.beginning:
            watchers = await watchers_of(settings, recorder, mountpoint)
            async with engine_of(
                settings, recorder, stores, tolerant=True, wait_online_s=wait_online_s, on_wait=on_wait
            ) as engine:
                from rcfs.fuse import serve_mount

                # The 50,000 objects of the program itself stay to its end. Each time that the garbage
                # collector searched them, it stopped the event loop for 25 to 60 ms (measured 2026-11).
                gc.freeze()
                ending.mounting = True
                async with trio.open_nursery() as nursery:
                    if manager is not None:
                        report = partial(report_to, manager, engine)
                        nursery.start_soon(keep_going, recorder, "manager", report)
                    await serve_mount(
                        engine,
                        _options(settings, mountpoint, manager),
                        on_ready,
                        ending.asked,
                        started_s=time.time(),
                        watchers=watchers,
                    )
                    nursery.cancel_scope.cancel()

    recorder = Recorder(EventLog())
    with lasting(partial(recorder.note, _NOT_STOPPED)), open_stores(settings, recorder) as stores:
        Thread(target=_load_fuse).start()
        trio.run(hearing, ending.hear, run)
    if not ending.mounting and ending.first:
        raise Interrupted(ending.first)


def _load_fuse() -> None:
    """Loads the fuse room while the server checks the login; the import in `serve` waits for the rest."""
    with suppress(Exception):  # That import raises it again.
        import_module("rcfs.fuse")


def _options(settings: Settings, mountpoint: Path, manager: ServiceManager | None) -> "MountOptions":
    from rcfs.files import CrawlerPolicy, CrawlerRule
    from rcfs.fuse import MountOptions, Ownership

    return MountOptions(
        mountpoint=mountpoint,
        connection=manager.mount if manager is not None else None,
        max_wait_s=settings.max_wait_s,
        allow_other=settings.allow_other,
        owner=Ownership(
            uid=os.getuid() if settings.uid is None else settings.uid,
            gid=os.getgid() if settings.gid is None else settings.gid,
            umask=settings.umask,
        ),
        read_only=settings.read_only,
        sends=settings.send and not settings.read_only,
        list_control=settings.list_control,
        fs_subtype=settings.fs_subtype,
        fast_wait=settings.fast_wait,
        keep_listings=settings.keep_listings,
        preload=settings.preload,
        crawlers=CrawlerRule.of(
            settings.crawlers, settings.more_crawlers, CrawlerPolicy(settings.crawler_policy)
        ),
    )


@attrs.define
class _Ending:
    """How signals end a mount: by cancellation before it is up, in an orderly way after that."""

    beginning: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """The scope of the whole run; a signal before `mounting` cancels it."""
    mounting: bool = False
    """Whether the mount has begun, so that it ends by itself when `asked` is set."""
    asked: trio.Event = attrs.field(factory=trio.Event)
    first: int = 0
    """The first signal; 0 before it."""

    def hear(self, number: int) -> None:
        """Takes a signal; a terminal that closes may send two."""
        self.first = self.first or number
        self.asked.set()
        if not self.mounting:
            self.beginning.cancel()
