"""Checks a mount point, and detaches a mount that a crash has left there.

A path may be a mount that hangs, where even `stat` never returns. So this module reads the mount table of the
kernel, and lets a separate process with a time limit touch the path itself.
"""

import errno
import os
import shlex
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import attrs

from rcfs.config import DEFAULT_SUBTYPE, Settings
from rcfs.errors import MountError
from rcfs.host._fuse_system import unmount
from rcfs.host._mountinfo import Mount, mount_at, read_mounts
from rcfs.host._processes import run_limited, script_command
from rcfs.host._registry import Registry

FSTYPE = f"fuse.{DEFAULT_SUBTYPE}"
"""Type of a mount of rcfs in the mount table, unless --fs-subtype changes it."""

_PROBE_WITHIN_S = 5.0
"""Longest wait for the answer of a path, in seconds: a stat takes microseconds, the start of Python 20 ms,
and on a busy machine some seconds."""


class MountKind(StrEnum):
    """Whether a path can be a mount point."""

    FREE = "free"
    """An empty directory, ready for a mount."""
    STALE = "stale"
    """A mount of rcfs whose process is gone; it can be replaced."""
    MOUNTED = "mounted"
    """A mount that works."""
    UNUSABLE = "unusable"
    """Anything else."""


@attrs.frozen
class MountState:
    """The state of a path, with words for a person."""

    path: Path
    """The path, resolved if it answers."""
    kind: MountKind
    """Whether the path can be a mount point."""
    detail: str
    """A sentence about it that begins with the path."""
    advice: str = ""
    """The remedy; empty when nothing needs to be done."""
    owner: int | None = None
    """The process of rcfs that has mounted the path, and lives."""


@attrs.frozen
class Probe:
    """The facts about a path that answers."""

    real: Path
    """The path with all symbolic links followed."""
    errno: int
    """0, or the error of listing it."""
    is_directory: bool
    """Whether it is a directory."""
    is_empty: bool
    """Whether it is an empty directory."""


def probe_path(path: Path) -> Probe | None:
    """The facts about `path`, from a separate process; None if it does not answer within 5 s."""
    done = run_limited(script_command("probe", str(path)), _PROBE_WITHIN_S)
    if done is None or done.returncode != 0:
        return None
    number, is_directory, is_empty, real = done.stdout.split(b" ", 3)
    return Probe(Path(os.fsdecode(real)), int(number), is_directory == b"1", is_empty == b"1")


def is_automount(path: Path) -> bool:
    """Whether a process waits for the mount at `path` that this process is to make for its automounter.

    Only processes in the automounter's group may touch `path` now: all others wait for the mount, too.
    """
    mount = mount_at(path, read_mounts())
    return mount is not None and mount.automounter == os.getpgrp()


def inspect_mountpoint(path: Path, registry: Registry) -> MountState:
    """The state of `path`; bounded in time, and without changes."""
    path = path.absolute()
    if is_automount(path):
        return MountState(path, MountKind.FREE, f"{path} is mounted at its first use")
    answer = probe_path(path)
    path = answer.real if answer is not None else path
    quoted = shlex.quote(str(path))
    mounts = read_mounts()
    mount = mount_at(path, mounts)
    if mount is not None and not _is_empty_volume(mount, answer):
        owners = [record for record in registry.records() if record.mountpoint == path]
        alive = next((record for record in owners if record.is_alive), None)
        ours = mount.fstype == FSTYPE or (mount.is_fuse and bool(owners))
        gone = answer is not None and answer.errno in (errno.ENOTCONN, errno.ECONNABORTED)
        if ours and (gone or (owners and alive is None)):
            return MountState(path, MountKind.STALE, f"{path} is a mount of rcfs whose process is gone")
        if gone or answer is None:
            detail = f"{path} is a {mount.fstype} mount that does not answer"
            return MountState(path, MountKind.UNUSABLE, detail, f"detach it: fusermount3 -u -z {quoted}")
        by = f" by process {alive.pid}" if alive is not None else ""
        advice = f"unmount it first: {'rcfs umount' if ours else 'umount'} {quoted}"
        if any(below.path == path and below.automounter is not None for below in mounts):
            advice = "its automounter does that at its first use, such as with the options in /etc/fstab"
        detail = f"{path} is already mounted{by} ({mount.fstype})"
        owner = alive.pid if alive is not None else None
        return MountState(path, MountKind.MOUNTED, detail, advice, owner)
    if answer is None:
        detail = f"{path} does not answer, perhaps because it is on a network or FUSE mount that hangs"
        return MountState(path, MountKind.UNUSABLE, detail, "choose another mount point")
    if answer.errno == errno.ENOENT:
        return MountState(path, MountKind.UNUSABLE, f"{path} does not exist", f"create it: mkdir -p {quoted}")
    if answer.errno:
        reason = os.strerror(answer.errno)
        return MountState(path, MountKind.UNUSABLE, f"{path}: {reason}", "choose another mount point")
    if not answer.is_directory:
        return MountState(path, MountKind.UNUSABLE, f"{path} is not a directory", "choose an empty directory")
    if not answer.is_empty:
        advice = "a mount would hide what it holds; choose an empty directory"
        return MountState(path, MountKind.UNUSABLE, f"{path} is not empty", advice)
    return MountState(path, MountKind.FREE, f"{path} is an empty directory")


def _is_empty_volume(mount: Mount, answer: Probe | None) -> bool:
    """Whether `mount` has nothing that a mount on it would hide, such as the volume of a container."""
    return not mount.is_fuse and mount.fstype != "autofs" and answer is not None and answer.is_empty


def prepare_mountpoint(
    path: Path, settings: Settings, registry: Registry, tell: Callable[[str], None]
) -> Path:
    """The resolved path of a mount point that is ready for a mount.

    Detaches a mount of rcfs whose process is gone, and reports it to `tell`.

    Raises:
        MountError: The path is missing, not a directory, not empty, mounted, does not answer, or overlaps
            with the cache or state directory.
    """
    state = inspect_mountpoint(path, registry)
    if state.kind is MountKind.STALE:
        problem = unmount(state.path, lazily=True)
        if problem:
            quoted = shlex.quote(str(state.path))
            raise MountError(
                f"{state.detail}, and cannot be detached ({problem}); try sudo umount -l {quoted}"
            )
        tell(f"{state.detail}; rcfs replaces it")
        state = inspect_mountpoint(state.path, registry)
    if state.kind is not MountKind.FREE:
        raise MountError(f"{state.detail}; {state.advice}" if state.advice else state.detail)
    check_apart(state.path, settings)
    return state.path


def check_apart(mountpoint: Path, settings: Settings) -> None:
    """Checks that `mountpoint` (resolved) and the cache and state directories do not contain each other.

    Raises:
        MountError: They overlap, so that rcfs would wait for itself.
    """
    for name, directory in (("cache", settings.cache_dir), ("state", settings.state_dir)):
        real = directory.resolve()
        if mountpoint.is_relative_to(real):
            raise MountError(f"{mountpoint} is in the {name} directory {real}; choose another mount point")
        if real.is_relative_to(mountpoint):
            raise MountError(f"the {name} directory {real} is in {mountpoint}; choose another mount point")
