"""Serving a mount, here or in the background: what `rcfs mount` and `rcfs demo` have in common."""

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from rcfs.cli._background import ReadyPipe, rcfs_command, start
from rcfs.cli._fuse_system import FuseSystem
from rcfs.cli._logfiles import log_directory, log_file
from rcfs.cli._mountpoint import prepare
from rcfs.cli._output import say, spinner, tell
from rcfs.cli._registry import MountRecord, Registry
from rcfs.cli._settings import Settings
from rcfs.errors import ConfigError


def ready_mountpoint(path: Path, settings: Settings, registry: Registry, *, is_child: bool) -> Path:
    """The resolved path of `path`, once everything is there that a mount needs.

    Where `is_child`, the parent has just seen to that, and `path` is what it came to: looking again would
    start one more process, a tenth of all the time that mounting takes.

    Raises:
        ConfigError: ``allow_other`` is wanted, but the administrator forbids it.
        FuseUnavailableError: FUSE is missing or not permitted.
        MountError: The mount point cannot be used.
    """
    if is_child:
        return path
    system = FuseSystem()
    system.check()
    if settings.allow_other and not system.allows_others():
        raise ConfigError(
            f"allow_other is forbidden here; add the line user_allow_other to {system.conf} (as root), or"
            " mount without it"
        )
    return prepare(path, settings, registry, tell)


def serve_here(
    settings: Settings,
    mountpoint: Path,
    registry: Registry,
    pipe: ReadyPipe,
    *,
    in_background: bool,
    on_mounted: Callable[[], None] = lambda: None,
) -> None:
    """Serves `mountpoint` until it is unmounted or this process is told to end.

    Args:
        settings: With credentials.
        mountpoint: A ready mount point.
        registry: Names this mount while it is up.
        pipe: Told when the mount is up.
        in_background: Whether the log goes to a file, and nothing is printed.
        on_mounted: Called when the mount is up, by the thread that serves it: it must not touch the mount.

    Raises:
        RcfsError: The mount could not be made.
    """
    from rcfs.cli._logging import log_to_file, log_to_terminal
    from rcfs.cli._serve import serve

    if in_background:
        log_to_file(log_file(settings.state_dir, mountpoint), settings.log_level)
        os.chdir("/")  # so that the file system it was started from can be unmounted
    else:
        log_to_terminal(settings.log_level)
    credentials = settings.require_credentials()
    record: MountRecord | None = None

    def on_ready() -> None:
        nonlocal record
        record = registry.add(
            mountpoint,
            credentials.server_url,
            cache_dir=settings.cache_dir,
            state_dir=settings.state_dir,
            login=credentials.identity,
        )
        pipe.ready()
        if not in_background:
            tell(f"mounted at {mountpoint}; Ctrl-C ends it")
        on_mounted()

    try:
        serve(settings, mountpoint, on_ready=on_ready)
    finally:
        if record is not None:
            registry.remove(record)


def serve_in_background(
    context: click.Context, arguments: Sequence[str], settings: Settings, mountpoint: Path
) -> None:
    """Runs rcfs with `arguments` in the background, and says what to do once the mount is up.

    Exits with the code of the background process when it fails.
    """
    errors = log_directory(settings.state_dir) / "stderr.log"
    with spinner(f"mounting {mountpoint}"):
        outcome = start(rcfs_command(*arguments, "--foreground"), errors)
    if outcome.error:
        tell(outcome.error)
        context.exit(outcome.exit_code)
    quoted = shlex.quote(str(mountpoint))
    say(f"Mounted at {mountpoint} (process {outcome.pid}).")
    say(f"  Look into it:  ls {quoted}")
    say(f"  How it does:   rcfs status   (log: {log_file(settings.state_dir, mountpoint)})")
    say(f"  Unmount it:    rcfs umount {quoted}")
