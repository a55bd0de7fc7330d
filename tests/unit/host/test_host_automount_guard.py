import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rcfs.host import detached_at_death

DIES = """
import os, signal, sys
from pathlib import Path
from rcfs.host import detached_at_death
with detached_at_death(Path(sys.argv[1]), Path(sys.argv[2])):
    os.kill(os.getpid(), signal.SIGKILL)
"""
AUTOMOUNT = "systemd-1 /mnt/my\\040rc autofs rw,fd=4,pgrp=1,direct 0 0\n"
MOUNT = "rcfs /mnt/my\\040rc fuse.rcfs rw,user_id=0 0 0\n"
OTHER = "rcfs /mnt/my fuse.rcfs rw,user_id=0 0 0\n"


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A FIFO into which a fusermount3 on PATH writes its arguments."""
    os.mkfifo(tmp_path / "calls")
    (tmp_path / "fusermount3").write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/calls\n')
    (tmp_path / "fusermount3").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "calls"


def test_the_mount_of_a_process_that_dies_is_detached(calls: Path, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(AUTOMOUNT + MOUNT + OTHER)
    process = subprocess.Popen([sys.executable, "-c", DIES, "/mnt/my rc", mounts])
    assert calls.read_text() == "-u -z -q -- /mnt/my rc\n"
    assert process.wait() == -signal.SIGKILL


def test_only_a_mount_is_detached_and_not_its_automount_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fusermount3").write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    (tmp_path / "fusermount3").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    mounts, mountpoint = tmp_path / "mounts", Path("/mnt/my rc")
    mounts.write_text(OTHER + AUTOMOUNT + MOUNT)
    with detached_at_death(mountpoint, mounts):
        pass
    assert not (tmp_path / "called").exists()
    mounts.write_text(OTHER + AUTOMOUNT)  # as after a refused login
    with pytest.raises(OSError, match="broken"), detached_at_death(mountpoint, mounts):
        raise OSError("broken")
    assert not (tmp_path / "called").exists()
    mounts.write_text(OTHER + AUTOMOUNT + MOUNT)
    with pytest.raises(OSError, match="broken"), detached_at_death(mountpoint, mounts):
        raise OSError("broken")
    assert (tmp_path / "called").exists()
