"""`rcfs mount` and `rcfs umount`."""

import json
import os
import shlex
import signal
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rcfs.cli._fstab_options import MountCommand
from rcfs.cli._options import (
    MountpointText,
    PathText,
    examples,
    foreground_option,
    mount_options,
    state_dir_option,
)
from rcfs.cli._output import announce, tell, warn
from rcfs.cli._run import check_mount, manager_of, ready_mountpoint, serve_here, serve_in_background
from rcfs.cli._settings import read_settings
from rcfs.errors import MountError, RcfsError
from rcfs.filenames import StateFiles
from rcfs.host import (
    FSTYPE,
    MountRecord,
    Parent,
    Registry,
    connected_mount,
    detached_at_death,
    ended_within,
    is_automount,
    kernel_options,
    mount_at,
    mount_below,
    prepare_mountpoint,
    probe_path,
    read_mounts,
    unmount,
)

if TYPE_CHECKING:
    from rcfs.model import Send

UNMOUNT_WITHIN_S = 20.0
"""Longest wait for a mount to end, in seconds: it ends its waits at once, but may need some seconds to revoke
its login and to close the cache."""

_MOUNT_EXAMPLES = examples(
    "rcfs login                             save your credentials first",
    "mkdir ~/ringcentral",
    "rcfs mount ~/ringcentral               mount in the background",
    "rcfs mount -f --max-wait 60 /mnt/rc    stay in the foreground, log to stderr",
    "rcfs mount -o allow_other,uid=jane /mnt/rc",
)
_MOUNT_ENVIRONMENT = """\b
Environment:
  RC_SERVER_URL, RC_APP_CLIENT_ID, RC_APP_CLIENT_SECRET, RC_USER_JWT
  RCFS_CONFIG, RCFS_CACHE_DIR, RCFS_CACHE_SIZE, RCFS_STATE_DIR, RCFS_MEDIA_URL
  RCFS_READ_WRITE, RCFS_ALLOW_PURGE, RCFS_DELETE_LIMIT, RCFS_SEND"""


@click.command("mount", cls=MountCommand, epilog=f"{_MOUNT_EXAMPLES}\n\n{_MOUNT_ENVIRONMENT}")
@click.argument("mountpoint", type=PathText())
@foreground_option
@click.option(
    "--keep",
    is_flag=True,
    hidden=True,
    help="Mount, and let systemd keep the mount for `rcfs mount -f`, which then needs no fusermount3.",
)
@mount_options
@click.pass_context
def mount(
    context: click.Context, /, mountpoint: Path, *, foreground: bool, keep: bool, **options: Any
) -> None:
    """Mount your RingCentral account at MOUNTPOINT.

    MOUNTPOINT is an empty directory. The command returns when the mount is ready.
    """

    def serve(parent: Parent | None) -> None:
        manager = manager_of(parent)  # first: a mount that it has kept hangs until it has let go
        settings = read_settings(options)
        settings.require_credentials()
        kept = manager.mount is not None
        check_mount(settings, options, is_mounted=kept)
        registry = Registry(settings.state_dir)
        path = _untouched(mountpoint) if kept else ready_mountpoint(mountpoint, settings, registry)
        is_automatic = is_automount(path)
        if parent is not None:
            parent.leave_terminal(settings.files.early_errors, in_group=is_automatic)
        with detached_at_death(path) if is_automatic else nullcontext():
            serve_here(settings, path, registry, parent, manager)

    if keep:
        _mount_and_keep(mountpoint, options)
    elif foreground:
        serve(None)
    else:
        serve_in_background(context, serve)


def _mount_and_keep(mountpoint: Path, options: Mapping[str, Any]) -> None:
    """Mounts for the process that the service manager starts next, with the same `options`.

    Raises:
        RcfsError: The manager does not listen, or the mount is not possible.
    """
    settings = read_settings(options, login=False)
    check_mount(settings, options)
    path = prepare_mountpoint(mountpoint, settings, Registry(settings.state_dir), tell)
    if path != _untouched(mountpoint):
        raise MountError(f"{mountpoint} is a link to {path}; name that")
    kernel = kernel_options(
        subtype=settings.fs_subtype, allow_other=settings.allow_other, read_only=settings.read_only
    )
    connection = connected_mount(path, kernel)
    try:
        manager_of(None).keep_mount(connection)
    except OSError as exc:
        unmount(path, lazily=True)
        raise RcfsError(f"no service manager keeps the mount: {exc.strerror}") from exc


def _untouched(mountpoint: Path) -> Path:
    """`mountpoint` with all links but itself followed: nobody serves it yet, so what touches it waits."""
    path = Path(os.path.abspath(mountpoint))  # noqa: PTH100 - Path.resolve follows the last part
    return path.parent.resolve() / path.name


@click.command("umount", epilog=examples("rcfs umount ~/ringcentral"))
@click.argument("mountpoint", type=MountpointText())
@state_dir_option
def umount(mountpoint: Path, state_dir: Path | None) -> None:
    """Unmount MOUNTPOINT, and wait until its process has ended.

    It sends the changes and messages that wait, for some seconds at most; the next mount sends the others.
    Files in Outbox that could not become messages are gone then; the command names them.
    """
    settings = read_settings({"state_dir": state_dir}, login=False)
    answer = probe_path(mountpoint.absolute())
    path = answer.real if answer is not None else mountpoint.absolute()
    record = next((one for one in Registry(settings.state_dir).live() if one.mountpoint == path), None)
    if record is None:
        _unmount_unknown(path)
        _announce_unmounted(path)
    else:
        log = StateFiles(record.state_dir or settings.state_dir).mount_log(path)
        logged = log.stat().st_size if log.exists() else 0
        end_mount(record, within_s=UNMOUNT_WITHIN_S)
        _announce_unmounted(path)
        from rcfs.cli._change import unconfirmed

        changes, sends = unconfirmed(settings, record.login)
        if changes and record.read_write:
            from rcfs.outbox import left_lines  # costs more CPU time than all the rest

            for line in left_lines(changes):
                warn(line)
        _tell_unsent(sends)
        _tell_gone(log, logged)


def _announce_unmounted(path: Path) -> None:
    below = mount_at(path, read_mounts())
    again = below is not None and below.automounter is not None
    announce(f"Unmounted {path}{'; its automounter mounts it again at its next use' if again else ''}.")


def _tell_gone(log: Path, begin: int) -> None:
    """Repeats what a mount has logged, after the byte `begin`, of files in Outbox that ended with it."""
    from rcfs.model import UNSENT

    with suppress(OSError), log.open("rb") as file:
        file.seek(begin)
        for line in file:
            with suppress(ValueError):
                logged = json.loads(line)
                if logged.get("event") == UNSENT:
                    warn(logged["detail"])


def _tell_unsent(sends: "Sequence[Send]") -> None:
    from rcfs.model import SendState

    states = [send.state for send in sends]
    waiting = states.count(SendState.WAITING) + states.count(SendState.ASKED)
    if waiting:
        messages = "1 message is" if waiting == 1 else f"{waiting:,} messages are"
        warn(f"{messages} not confirmed as sent yet; `rcfs mount --send` continues, `rcfs outbox` lists them")
    if unknown := states.count(SendState.UNKNOWN):
        messages = "1 message" if unknown == 1 else f"{unknown:,} messages"
        warn(f"{messages} may have been sent or not; `rcfs outbox` says what you can do")


def end_mount(record: MountRecord, *, within_s: float) -> None:
    """Ends the process of `record`, and returns when it has unmounted.

    Raises:
        MountError: The process belongs to another user, or has not ended within `within_s`.
    """
    quoted = shlex.quote(str(record.mountpoint))
    try:
        if not ended_within(record.pid, record.pid_start_time, signal.SIGTERM, within_s):
            raise MountError(
                f"process {record.pid} has not ended within {within_s:.0f} s; try again, or kill it:"
                f" kill -9 {record.pid}; fusermount3 -u -z {quoted}"
            )
    except PermissionError as exc:
        raise MountError(
            f"process {record.pid}, which serves {record.mountpoint}, belongs to another user; ask that user,"
            " or unmount as root"
        ) from exc
    # A process that is killed while it ends leaves its mount behind; what is below that stays in any case.
    if _is_fuse(record.mountpoint):
        problem = unmount(record.mountpoint, lazily=True)
        if problem and _is_fuse(record.mountpoint):  # else its service has just unmounted it
            raise MountError(
                f"{record.mountpoint} is still mounted ({problem}); try fusermount3 -u -z {quoted}"
            )


def _is_fuse(path: Path) -> bool:
    mounted = mount_at(path, read_mounts())
    return mounted is not None and mounted.is_fuse


def _unmount_unknown(path: Path) -> None:
    """Unmounts a mount at `path` that is not in the registry.

    Raises:
        MountError: It is not a mount of rcfs, or cannot be unmounted.
    """
    quoted = shlex.quote(str(path))
    mounted = mount_at(path, read_mounts())
    if mounted is None:
        around = mount_below(path, read_mounts())
        if around is not None and around.fstype == FSTYPE:
            top = shlex.quote(str(around.path))
            raise MountError(f"{path} is inside a mount of rcfs; to unmount that, run rcfs umount {top}")
        raise MountError(f"{path} is not mounted; `rcfs status` lists the mounts of rcfs")
    if mounted.fstype != FSTYPE:
        raise MountError(
            f"{path} is a mount of type {mounted.fstype}, not of rcfs; use umount or fusermount3 for it"
        )
    problem = unmount(path, lazily=False)
    if problem:
        raise MountError(
            f"{path} cannot be unmounted ({problem}); end the programs that use it (fuser -vm {quoted}), or"
            f" detach it: fusermount3 -u -z {quoted}"
        )
