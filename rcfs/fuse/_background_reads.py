"""How many reads the kernel sends in the background: read-ahead and buffered reads, also of other processes.

More of them wait in the kernel, so when this many reads block, every other buffered read of the mount hangs
(`max_background`, 12 unless it is raised). The user who mounted may raise it, up to `max_user_bgreq` of the
kernel, if /sys/fs/fuse/connections is mounted, as it is with systemd.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rcfs.files import MAX_READ_WAITERS
from rcfs.host import Mount, mount_at

_CONNECTIONS = Path("/sys/fs/fuse/connections")
_WANTED = 64
"""Enough for twenty large files that arrive together, with two waiting reads each, and a third more."""


def raise_background_reads(
    mountpoint: Path, mounts: Iterable[Mount], *, connections: Path = _CONNECTIONS
) -> int:
    """Lets the kernel send more reads in the background; how many reads may wait at the same time then.

    Args:
        mountpoint: The mount, which need not answer yet.
        mounts: The mount table.
        connections: What the kernel shows of FUSE mounts.
    """
    mount = mount_at(mountpoint, mounts)
    if mount is not None:
        limits = connections / str(mount.minor)
        with suppress(OSError, ValueError):
            if int((limits / "max_background").read_text()) < _WANTED:
                (limits / "max_background").write_text(f"{_WANTED}\n")
                # With more reads under way the kernel reads nothing ahead; this is the usual ratio.
                (limits / "congestion_threshold").write_text(f"{_WANTED * 3 // 4}\n")
            return _WANTED * 2 // 3  # The others stay for cached files, as with `MAX_READ_WAITERS`.
    return MAX_READ_WAITERS
