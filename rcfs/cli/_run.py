"""Serving a mount, here or in the background: what `rcfs mount` and `rcfs demo` have in common."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import attrs
import click

from rcfs._interrupt import loading
from rcfs.cli._explain import explained
from rcfs.cli._output import announce, spinner, tell
from rcfs.config import DEFAULT_WAIT_ONLINE_S, Settings, locks_out
from rcfs.errors import ConfigError
from rcfs.host import (
    FuseSystem,
    MountRecord,
    Parent,
    Registry,
    prepare_mountpoint,
    run_in_background,
)


def ready_mountpoint(path: Path, settings: Settings, registry: Registry) -> Path:
    """The resolved path of `path`, once everything is there that a mount needs.

    Raises:
        ConfigError: ``allow_other`` is wanted, but the administrator forbids it; or not even this user could
            look into the mount.
        FuseUnavailableError: FUSE is missing or not permitted.
        MountError: The mount point cannot be used.
    """
    system = FuseSystem()
    system.check()
    if settings.allow_other and not system.allows_others():
        raise ConfigError(
            f"allow_other is forbidden here; add the line user_allow_other to {system.conf} (as root), or"
            " mount without it"
        )
    if not settings.allow_other and locks_out(uid=settings.uid, gid=settings.gid, umask=settings.umask):
        raise ConfigError(
            f"you could not enter the mount yourself, as all would belong to user {settings.uid} with umask"
            f" {settings.umask:03o}; add --allow-other, or leave --uid out"
        )
    return prepare_mountpoint(path, settings, registry, tell)


def serve_here(
    settings: Settings,
    mountpoint: Path,
    registry: Registry,
    parent: Parent | None,
    *,
    on_mounted: Callable[[], None] = lambda: None,
    simulated: bool = False,
) -> None:
    """Serves `mountpoint` until it is unmounted or this process is told to end.

    Args:
        settings: With credentials.
        mountpoint: A ready mount point.
        registry: Names this mount while it is up.
        parent: Told when the mount is up; with one, this process has left the terminal, and logs to a file.
        on_mounted: Called when the mount is up, by the thread that serves it: it must not touch the mount.
        simulated: Whether the platform is one, whose credentials other commands may have from `registry`.

    Raises:
        RcfsError: The mount could not be made.
    """
    with loading():
        from rcfs.cli._serve import serve
        from rcfs.host.logs import log_to_file, log_to_terminal

    log = settings.files.mount_log(mountpoint)
    if parent is not None:
        log_to_file(log, settings.log_level)
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
            simulated=attrs.asdict(credentials) if simulated else None,
        )
        if parent is not None:
            parent.ready(mountpoint, log)
        else:
            tell(f"mounted at {mountpoint}; Ctrl-C ends it")
        on_mounted()

    wait_online_s = settings.wait_online_s
    if wait_online_s is None:
        wait_online_s = 0.0 if parent is None else DEFAULT_WAIT_ONLINE_S

    def on_wait(reason: str) -> None:
        text = f"{reason}; waiting for the network, up to {wait_online_s:.0f} s"
        if parent is not None:
            parent.wait(text, wait_online_s)
        else:
            tell(text)

    # After an error the record stays, as after kill -9: it tells the next mount that this one was of rcfs.
    serve(settings, mountpoint, on_ready=on_ready, wait_online_s=wait_online_s, on_wait=on_wait)
    if record is not None:
        registry.remove(record)


def serve_in_background(context: click.Context, work: Callable[[Parent], None]) -> Path:
    """Does `work` in the background, and says what to do once the mount is up; where it is.

    Exits with the code of the background process when it fails.
    """
    outcome = run_in_background(work, explain=explained, tell=tell, meanwhile=spinner("mounting"))
    if outcome.mountpoint is None:
        tell(outcome.error)
        context.exit(outcome.exit_code)
    quoted = shlex.quote(str(outcome.mountpoint))
    announce(f"Mounted at {outcome.mountpoint} (process {outcome.pid}).")
    announce(f"  Look into it:  ls {quoted}")
    announce(f"  How it does:   rcfs status   (log: {outcome.log})")
    announce(f"  Unmount it:    rcfs umount {quoted}")
    return outcome.mountpoint
