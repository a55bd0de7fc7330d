"""The life of a mount."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType

import attrs
import pyfuse3
import trio

from rcfs.engine import Engine
from rcfs.engine_status import mount_status
from rcfs.errors import FuseUnavailableError, StoreError
from rcfs.files import (
    FLUSH_S,
    MAX_WAITERS,
    USUAL_CRAWLERS,
    CrawlerRule,
    FileSystem,
    SpaceMeter,
    Waits,
    live_renderer,
    tree_of,
)
from rcfs.fuse._attributes import Ownership
from rcfs.fuse._background_reads import raise_background_reads
from rcfs.fuse._dropping import DroppingOperations
from rcfs.fuse._fast_wait import faster_wait
from rcfs.fuse._listings import can_keep_listings
from rcfs.fuse._operations import Operations
from rcfs.fuse._stacks import dump_on_signal
from rcfs.fuse._suspend import answer_before_suspend
from rcfs.host import kernel_options, read_mounts
from rcfs.outbox import left_lines
from rcfs.status import ReadersStatus, Status
from rcfs.transport import keep_going

_MAX_TASKS = 500
"""Most handlers at the same time; waiting readers could use up the 99 of pyfuse3. See `MAX_WAITERS`."""

Watcher = Callable[[Engine, Callable[[], Awaitable[Status]]], Awaitable[None]]
"""Watches a mount until it is cancelled, by its engine and its present status."""


@attrs.frozen
class MountOptions:
    """How to mount."""

    mountpoint: Path
    """An empty directory, or a mount with `connection`."""
    connection: int | None = None
    """The descriptor of a mount that nobody serves yet, see `rcfs.host.connected_mount`; who made it also
    unmounts it. None: this process mounts and unmounts."""
    max_wait_s: float = 300.0
    """Longest wait of an open or read for content, in seconds."""
    allow_other: bool = False
    """Whether other users of the machine may access the mount."""
    owner: Ownership = attrs.field(factory=Ownership)
    """Owner and permissions of all files."""
    read_only: bool = False
    """Whether the mount is read-only to the kernel, so that users cannot make searches."""
    sends: bool = False
    """Whether the tree has an ``Outbox``, and what people put into it is sent."""
    list_control: bool = False
    """Whether the directory ``.rcfs`` is listed; it can always be opened."""
    fs_subtype: str = "rcfs"
    """Second half of the file system type ``fuse.<subtype>``, by which desktops recognise remote ones."""
    crawlers: CrawlerRule = USUAL_CRAWLERS
    """Programs that read without a person's wish, and how they are treated."""
    fast_wait: bool = True
    """Whether to use `FastWait` where possible."""
    keep_listings: bool = True
    """Whether the kernel may keep listings of directories, if pyfuse3 can tell it."""
    preload: bool = True
    """Whether to load mailboxes in the background before their first use."""


async def serve_mount(
    engine: Engine,
    options: MountOptions,
    on_ready: Callable[[], None],
    end: trio.Event,
    *,
    started_s: float,
    watchers: Mapping[str, Watcher] = MappingProxyType({}),
) -> None:
    """Mounts the tree, serves it, and returns when it is unmounted: because `end` was set, or by umount(8).

    Changes of messages are sent before the mount is taken down, within `FLUSH_S`; the others stay in the
    outbox. All waits of processes end then, and open files fail with ENOTCONN. A mount
    that ends by an error or a cancellation after it was ready leaves a mount point that fails with ENOTCONN.
    A process can serve one mount.

    Args:
        engine: The account.
        options: How to mount.
        on_ready: Called as soon as the tree can be listed.
        end: Set to unmount.
        started_s: The present time in seconds since 1970-01-01 UTC; the status shows it.
        watchers: Run while the mount is up, by the name under which their errors are logged.

    Raises:
        FuseUnavailableError: The kernel or fusermount3 refused to mount.
    """
    waits = Waits()

    async def status() -> Status:
        programs = files.reader_book.status()
        readers = ReadersStatus(waits.waiting, MAX_WAITERS, programs, waits.max_readers)
        return await mount_status(engine, options.mountpoint, started_s, readers)

    files = FileSystem(
        tree_of(
            engine,
            list_control=options.list_control,
            sends=options.sends,
            uploads=engine.outbox.rules.read_write,
        ),
        engine,
        waits,
        max_wait_s=options.max_wait_s,
        crawlers=options.crawlers,
        render_live=live_renderer(engine, status),
    )
    space = SpaceMeter(engine)
    files.listen(space)
    kind = DroppingOperations if files.droppings else Operations
    keep_listings = options.keep_listings and can_keep_listings()
    operations = kind(files, owner=options.owner, space=space, keep_listings=keep_listings)
    connected = options.connection is not None
    place = f"/dev/fd/{options.connection}" if connected else str(options.mountpoint)
    kernel = kernel_options(
        subtype=options.fs_subtype, allow_other=options.allow_other, read_only=options.read_only
    )
    try:
        pyfuse3.init(operations, place, set(kernel))
    except RuntimeError as exc:
        raise FuseUnavailableError(
            f"FUSE could not mount on {options.mountpoint}; `rcfs doctor {options.mountpoint}` finds out why"
        ) from exc
    waits.max_readers = raise_background_reads(options.mountpoint, read_mounts())
    ready = ended = False
    try:
        async with trio.open_nursery() as nursery:
            jobs: list[tuple[str, Callable[[], Awaitable[None]]]] = [
                ("waits", waits.run),
                ("suspend", partial(answer_before_suspend, waits, engine.recorder)),
                ("stacks", partial(dump_on_signal, engine.recorder)),
                ("hints", engine.hints.run),
                ("exports", engine.exports.run),
                ("invalidation", operations.invalidation.run),
                ("texts", files.texts.run),
                ("look", partial(files.texts.look, files.collections.follow_text)),
                ("space", space.run),
                ("archives", files.archives.run),
            ]
            if engine.outbox.rules.read_write:
                jobs += [("outbox", engine.outbox.run), ("changing", files.changing.run)]
            if options.sends:
                jobs.append(("send", engine.sends.run))
            jobs += [("outbox", dropping.run) for dropping in files.droppings.values()]
            jobs += [(name, partial(watcher, engine, status)) for name, watcher in watchers.items()]
            if options.preload:
                jobs.append(("preload", engine.preload.run))
            for event, job in jobs:
                nursery.start_soon(keep_going, engine.recorder, event, job)
            nursery.start_soon(_end_when, end, waits, engine, files)
            nursery.start_soon(_serve, nursery.cancel_scope, options.fast_wait, end, engine, files)
            files.follow()
            engine.recorder.note("mounted", mountpoint=str(options.mountpoint))
            on_ready()
            ready = True
        ended = True
    except Exception as exc:
        engine.recorder.crash("mount", exc)
        raise
    finally:
        waits.close()
        # After an unwanted end, an empty directory would look like a tree without files, and a mirror with
        # --delete would delete its copy. Closed without unmounting, every access fails with ENOTCONN, as
        # after kill -9, and the next `rcfs mount` replaces the mount.
        unmount = ended or not ready
        pyfuse3.close(unmount=unmount)
        engine.recorder.note(
            "unmounted" if unmount else "ended without unmounting", mountpoint=str(options.mountpoint)
        )


async def _serve(
    scope: trio.CancelScope, fast_wait: bool, end: trio.Event, engine: Engine, files: FileSystem
) -> None:
    """Answers the kernel until the mount is gone, then ends everything else in `scope`."""
    with faster_wait() if fast_wait else nullcontext(enter_result=True) as possible:
        if not possible:
            engine.recorder.note("faster wait unavailable for this pyfuse3", version=pyfuse3.__version__)
        await pyfuse3.main(max_tasks=_MAX_TASKS)
    if not end.is_set():  # It was umount(8).
        await _flush(engine, files)
    scope.cancel()


async def _end_when(end: trio.Event, waits: Waits, engine: Engine, files: FileSystem) -> None:
    """Takes the mount down when `end` is set."""
    await end.wait()
    await _flush(engine, files)
    # pyfuse3.main() does not return while a handler waits, so the waits end first.
    waits.close()
    pyfuse3.terminate()


async def _flush(engine: Engine, files: FileSystem) -> None:
    """Waits until the changes of messages are sent, for `FLUSH_S` at most; never raises.

    Before that, each message that is complete in ``Outbox`` goes into the outbox on the disk, and complete
    greetings are uploaded.
    """
    async with trio.open_nursery() as nursery:
        for dropping in files.droppings.values():
            nursery.start_soon(dropping.settle)
    if not engine.outbox.rules.read_write:
        return
    try:
        await engine.outbox.flush(FLUSH_S)
    except StoreError as exc:
        engine.recorder.failure("outbox", exc)
    else:
        for line in left_lines(engine.outbox.all()):
            engine.recorder.fault("outbox", line)
