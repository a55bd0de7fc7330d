"""The kernel's list of mounts, which never waits for a mount that hangs."""

import re
from collections.abc import Iterable
from pathlib import Path

import attrs

_MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")
_OWNER = re.compile(rb"(?:^|,)user_id=(\d+)")
"""Among the last field's options; what the kernel lets unmount it. Source: its filesystems/fuse.rst."""


@attrs.frozen
class Mount:
    """One line of mountinfo."""

    path: Path
    """Where it is mounted."""
    fstype: str
    """Its type, such as ``ext4`` or ``fuse.rcfs``."""
    owner: int | None = None
    """The user who mounted it, for a FUSE mount."""

    @property
    def is_fuse(self) -> bool:
        """Whether a user's process serves it."""
        return self.fstype in ("fuse", "fuseblk") or self.fstype.startswith("fuse.")


def read_mounts(source: Path = _MOUNTINFO) -> tuple[Mount, ...]:
    """All mounts that this process sees, in the order in which they were made.

    Source: proc(5), "/proc/[pid]/mountinfo": field 5 is the mount point, with space, tab, newline and
    backslash in octal; the type is the first field after a lone hyphen.
    """
    mounts = []
    for line in source.read_bytes().splitlines():
        fields = line.split(b" ")
        path = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
        fstype = fields[fields.index(b"-", 6) + 1]
        owner = _OWNER.search(fields[-1])
        mounts.append(
            Mount(
                Path(path.decode(errors="surrogateescape")),
                fstype.decode(),
                owner=int(owner[1]) if owner else None,
            )
        )
    return tuple(mounts)


def mount_at(path: Path, mounts: Iterable[Mount]) -> Mount | None:
    """The mount whose mount point is `path`, the uppermost of several; None when there is none."""
    found = None
    for mount in mounts:
        if mount.path == path:
            found = mount
    return found


def mount_below(path: Path, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that holds `path`; None when the list has not even a root."""
    holding = [mount for mount in mounts if path.is_relative_to(mount.path)]
    return max(holding, key=lambda mount: len(mount.path.parts), default=None)
