"""Serves a mount, in this process or in the background, for `rcfs mount` and `rcfs demo`."""

import os
import shlex
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import click

from rcfs._interrupt import loading
from rcfs.cli._explain import explained
from rcfs.cli._output import announce, own_name, spinner, tell
from rcfs.cli._watching import check_watching
from rcfs.config import DEFAULT_WAIT_ONLINE_S, Settings, locks_out
from rcfs.errors import ConfigError
from rcfs.host import (
    FuseSystem,
    MountRecord,
    Parent,
    Registry,
    ServiceManager,
    prepare_mountpoint,
    run_in_background,
)


def check_mount(settings: Settings, options: Mapping[str, Any], *, is_mounted: bool = False) -> None:
    """Checks everything that a mount needs of this machine and its settings, whatever its mount point.

    Args:
        settings: The settings of the mount.
        options: The options of the command line: --read-only wins over what other sources allow.
        is_mounted: Whether another process has mounted, so that this one needs no FUSE device.

    Raises:
        ConfigError: Options contradict each other; ``allow_other`` is set, but the administrator forbids it;
            the mount would lock out this user; or a package for metrics is missing.
        FuseUnavailableError: FUSE is missing or not permitted.
    """
    changing = [name for name in ("read_write", "send") if getattr(settings, name)]
    is_option = options.get("read_only") and not any(options.get(name) for name in changing)
    if settings.read_only and changing and not is_option:
        other = max(changing, key=lambda name: bool(options.get(name))).replace("_", "-")
        raise ConfigError(
            f"--read-only and --{other} contradict each other; leave one out, also in the environment and in"
            f" config.toml, or give --no-read-only or --no-{other}"
        )
    if options.get("allow_purge") and not settings.read_write:
        raise ConfigError("--allow-purge has no effect without --read-write; add that, or leave it out")
    check_watching(settings)
    if is_mounted:
        return
    system = FuseSystem()
    system.check()
    if settings.allow_other and not system.allows_others():
        raise ConfigError(
            f"this machine does not permit --allow-other; add the line user_allow_other to {system.conf} (as"
            " root), or omit --allow-other"
        )
    if not settings.allow_other and locks_out(uid=settings.uid, gid=settings.gid, umask=settings.umask):
        raise ConfigError(
            f"you could not enter the mount yourself, because user {settings.uid} would own it with umask"
            f" {settings.umask:03o}; add --allow-other, or omit --uid"
        )


def ready_mountpoint(path: Path, settings: Settings, registry: Registry) -> Path:
    """Does what `prepare_mountpoint` does, and loads what serves the mount meanwhile.

    Raises:
        MountError: The mount point cannot be used.
    """
    with ThreadPoolExecutor(1) as pool, loading():
        # A process looks at the mount point, which takes 11 ms.
        preparing = pool.submit(prepare_mountpoint, path, settings, registry, tell)
        import rcfs.cli._mounting  # noqa: F401 - `serve_here` uses it
    return preparing.result()


def manager_of(parent: Parent | None) -> ServiceManager:
    """The service manager that started this process, which is in the foreground unless it has a `parent`.

    A process in the background is not the one that the manager started.
    """
    return ServiceManager.take(os.environ, os.getpid()) if parent is None else ServiceManager()


def serve_here(
    settings: Settings,
    mountpoint: Path,
    registry: Registry,
    parent: Parent | None,
    manager: ServiceManager,
    *,
    on_mounted: Callable[[], None] = lambda: None,
    simulated: bool = False,
) -> None:
    """Serves `mountpoint` until it is unmounted or a signal ends this process.

    Args:
        settings: With credentials.
        mountpoint: A path that `ready_mountpoint` returned, or that of the mount which `manager` has kept.
        registry: Lists this mount while it is up.
        parent: Hears when the mount is up. This process has then left the terminal, and logs to a file. None
            in the foreground.
        manager: That of `manager_of`.
        on_mounted: Called when the mount is up, in the thread that serves it, so it must not touch the mount.
        simulated: Whether the platform is simulated; `registry` then has the credentials for other commands.

    Raises:
        RcfsError: Mounting failed.
    """
    with loading():
        from rcfs.cli._mounting import serve
        from rcfs.host.logs import log_to_file, log_to_terminal

    log = settings.files.mount_log(mountpoint)
    if parent is not None:
        log_to_file(log, settings.log_level)
        os.chdir("/")  # so that the current file system can be unmounted
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
            read_write=settings.read_write and not settings.read_only,
        )
        if parent is not None:
            parent.ready(mountpoint, log)
        else:
            tell(f"mounted at {mountpoint}; Ctrl-C unmounts it")
        manager.ready()
        on_mounted()

    wait_online_s = settings.wait_online_s
    if wait_online_s is None:
        is_alone = parent is not None or manager.is_there
        wait_online_s = DEFAULT_WAIT_ONLINE_S if is_alone else 0.0

    def on_wait(reason: str) -> None:
        text = f"{reason}; waiting for the network, up to {wait_online_s:.0f} s"
        if parent is not None:
            parent.wait(text, wait_online_s)
        else:
            tell(text)
            manager.status("waiting for the network")
            manager.starting(wait_online_s)

    # After an error the record stays, as after kill -9, so that the next mount may replace this one.
    serve(
        settings,
        mountpoint,
        on_ready=on_ready,
        wait_online_s=wait_online_s,
        on_wait=on_wait,
        manager=manager if manager.is_there else None,
    )
    if record is not None:
        registry.remove(record)


def serve_in_background(context: click.Context, work: Callable[[Parent], None]) -> Path:
    """Does `work` in the background, and returns the mount point when the mount is up.

    If `work` fails, the command exits with its code.
    """
    outcome = run_in_background(work, explain=explained, tell=tell, meanwhile=spinner("mounting"))
    if outcome.mountpoint is None:
        tell(outcome.error)
        context.exit(outcome.exit_code)
    quoted = shlex.quote(str(outcome.mountpoint))
    announce(f"Mounted at {outcome.mountpoint} (process {outcome.pid}).")
    announce(f"  List it:     ls {quoted}")
    announce(f"  Check it:    {own_name()} status   (log: {outcome.log})")
    announce(f"  Unmount it:  {own_name()} umount {quoted}")
    return outcome.mountpoint
