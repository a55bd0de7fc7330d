"""The FUSE of this machine: the device, fusermount3, and the settings of the administrator."""

import os
import shutil
import subprocess
from pathlib import Path

import attrs

from rcfs.errors import FuseUnavailableError

_UNMOUNT_WITHIN_S = 10.0
"""Longest wait for an unmount, in seconds: it takes milliseconds, unless the process of the mount hangs."""


@attrs.frozen
class FuseSystem:
    """The files and the program of FUSE; the defaults are those of Linux."""

    device: Path = Path("/dev/fuse")
    conf: Path = Path("/etc/fuse.conf")
    timeout_file: Path = Path("/proc/sys/fs/fuse/default_request_timeout")
    fusermount: str = "fusermount3"

    def check(self) -> None:
        """Checks that a mount is possible.

        Raises:
            FuseUnavailableError: The device or fusermount3 is missing or not permitted.
        """
        try:
            os.close(os.open(self.device, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError:
            raise FuseUnavailableError(
                f"{self.device} is missing; load the kernel module (modprobe fuse), or start the container"
                f" with --device {self.device} --cap-add SYS_ADMIN"
            ) from None
        except OSError as exc:
            raise FuseUnavailableError(
                f"{self.device} cannot be opened ({exc.strerror}); let your user read and write it, or"
                f" start the container with --device {self.device} --cap-add SYS_ADMIN"
            ) from exc
        if shutil.which(self.fusermount) is None:
            raise FuseUnavailableError(
                f"{self.fusermount} is missing; install the package fuse3 (apt install fuse3, or dnf install)"
            )

    def allows_others(self) -> bool:
        """Whether this user may mount with allow_other."""
        if os.geteuid() == 0:
            return True
        try:
            lines = self.conf.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return False
        return any(line.strip() == "user_allow_other" for line in lines)

    def request_timeout_s(self) -> int:
        """Seconds after which the kernel aborts a mount that has not answered; 0 if it never does.

        Source: Documentation/admin-guide/sysctl/fs.rst, ``fs.fuse.default_request_timeout``.
        """
        try:
            return int(self.timeout_file.read_text(encoding="ascii"))
        except (OSError, ValueError):  # a kernel before 6.14 has no such setting
            return 0


def unmount(path: Path, *, lazily: bool) -> str:
    """Unmounts the FUSE mount at `path`; returns the error, empty on success.

    With `lazily`, the kernel detaches it at once, even with open files or without a process that serves it.
    """
    attempts = [["fusermount3", "-u", *(["-z"] if lazily else []), "--", str(path)]]
    if os.geteuid() == 0:
        # fusermount3 needs an entry in the mount table that it made itself; root does not.
        attempts.append(["umount", *(["-l"] if lazily else []), "--", str(path)])
    problem = ""
    for command in attempts:
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=_UNMOUNT_WITHIN_S)
        except FileNotFoundError:
            problem = f"{command[0]} is missing"
            continue
        except subprocess.TimeoutExpired:
            problem = f"{command[0]} did not end within {_UNMOUNT_WITHIN_S:.0f} s"
            continue
        if done.returncode == 0:
            return ""
        problem = " ".join(done.stderr.decode(errors="replace").split())
    return problem or "no reason given"
