"""A mount without the process that will serve it: fusermount3 makes it, and hands over the connection.

The process that then takes the connection needs no privileges, so that a service manager can take them all
away from it. The setuid program fusermount3 would not work there.
"""

import os
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from rcfs.errors import FuseUnavailableError

_MOUNT_WITHIN_S = 10.0
"""Longest wait for fusermount3, in seconds: it takes milliseconds."""


def kernel_options(*, subtype: str, allow_other: bool, read_only: bool) -> frozenset[str]:
    """The options of a mount of rcfs that the kernel knows; see mount.fuse3(8)."""
    options = {"fsname=rcfs", f"subtype={subtype}", "default_permissions", "nosuid", "nodev", "noexec"}
    if allow_other:
        options.add("allow_other")
    if read_only:
        options.add("ro")
    return frozenset(options)


def connected_mount(mountpoint: Path, options: Iterable[str]) -> int:
    """The descriptor of a new mount at `mountpoint`, an empty directory; all that touches it waits.

    It waits until a process answers the kernel, or until all copies of the descriptor are closed.

    Source: util/fusermount.c of libfuse 3.14, which sends the descriptor to the socket ``_FUSE_COMMFD``.

    Raises:
        FuseUnavailableError: The kernel or fusermount3 refused to mount.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            done = subprocess.run(
                ["fusermount3", "-o", ",".join(sorted(options)), "--", str(mountpoint)],
                env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
                timeout=_MOUNT_WITHIN_S,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise FuseUnavailableError(f"fusermount3 could not mount on {mountpoint}: {exc}") from exc
        if done.returncode:
            reason = " ".join(done.stderr.decode(errors="replace").split())
            raise FuseUnavailableError(f"fusermount3 could not mount on {mountpoint}: {reason}")
        _, (descriptor,), _, _ = socket.recv_fds(ours, 1, 1)
    return descriptor
