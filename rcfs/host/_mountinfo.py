"""The mount table of the kernel, which can be read even if a mount hangs."""

import re
from collections.abc import Iterable
from pathlib import Path

import attrs

_MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")
_OWNER = re.compile(rb"(?:^|,)user_id=(\d+)")
"""The option of the last field that names the user who may unmount. Source: filesystems/fuse.rst of Linux."""
_AUTOMOUNTER = re.compile(rb"(?:^|,)pgrp=(\d+)")
"""The option of autofs with the process group of its daemon. Source: filesystems/autofs.rst of Linux."""


@attrs.frozen
class Mount:
    """One line of mountinfo."""

    path: Path
    """Its mount point."""
    fstype: str
    """Its type, such as ``ext4`` or ``fuse.rcfs``."""
    owner: int | None = None
    """The user who mounted it, for a FUSE mount."""
    minor: int = 0
    """Minor number of its device; for a FUSE mount, the name of its directory in /sys/fs/fuse/connections."""
    automounter: int | None = None
    """The process group that mounts here at the first use, for autofs; all other processes wait for it."""

    @property
    def is_fuse(self) -> bool:
        """Whether it is a FUSE mount."""
        return self.fstype in ("fuse", "fuseblk") or self.fstype.startswith("fuse.")


def read_mounts(source: Path = _MOUNTINFO) -> tuple[Mount, ...]:
    """All mounts that this process sees, oldest first.

    Source: proc(5), "/proc/[pid]/mountinfo": field 3 is the device, field 5 the mount point, with space,
    tab, newline and backslash in octal; the type is the first field after a lone hyphen.
    """
    mounts = []
    for line in source.read_bytes().splitlines():
        fields = line.split(b" ")
        path = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
        fstype = fields[fields.index(b"-", 6) + 1]
        owner = _OWNER.search(fields[-1])
        automounter = _AUTOMOUNTER.search(fields[-1]) if fstype == b"autofs" else None
        mounts.append(
            Mount(
                Path(path.decode(errors="surrogateescape")),
                fstype.decode(),
                owner=int(owner[1]) if owner else None,
                minor=int(fields[2].partition(b":")[2]),
                automounter=int(automounter[1]) if automounter else None,
            )
        )
    return tuple(mounts)


def mount_at(path: Path, mounts: Iterable[Mount]) -> Mount | None:
    """The mount with the mount point `path`, the uppermost of several; None if nothing is mounted there."""
    found = None
    for mount in mounts:
        if mount.path == path:
            found = mount
    return found


def mount_below(path: Path, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that holds `path`; None if `mounts` has no root."""
    holding = [mount for mount in mounts if path.is_relative_to(mount.path)]
    return max(holding, key=lambda mount: len(mount.path.parts), default=None)
