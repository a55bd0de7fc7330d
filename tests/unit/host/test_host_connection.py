import os
import shlex
import sys
from pathlib import Path

import pytest

from rcfs.errors import FuseUnavailableError
from rcfs.host import connected_mount, kernel_options

SENDS = """#!{python}
import os, pathlib, socket, sys
with socket.socket(fileno=int(os.environ["_FUSE_COMMFD"])) as parent:
    file = os.open(sys.argv[0] + ".args", os.O_RDWR | os.O_CREAT)
    os.write(file, " ".join(sys.argv[1:]).encode())
    socket.send_fds(parent, [b"\\0"], [file])
"""


@pytest.fixture
def fusermount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fusermount3 on PATH that hands over a file with its arguments."""
    program = tmp_path / "fusermount3"
    program.write_text(SENDS.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


def test_the_connection_of_a_mount(fusermount: Path) -> None:
    options = kernel_options(subtype="rcfs", allow_other=True, read_only=True)
    descriptor = connected_mount(Path("/mnt/my rc"), options)
    try:
        words = "allow_other,default_permissions,fsname=rcfs,nodev,noexec,nosuid,ro,subtype=rcfs"
        assert os.pread(descriptor, 1000, 0) == f"-o {words} -- /mnt/my rc".encode()
    finally:
        os.close(descriptor)


def test_a_refused_mount(fusermount: Path) -> None:
    fusermount.write_text(f"#!/bin/sh\necho {shlex.quote('no such luck')} >&2\nexit 1\n")
    with pytest.raises(FuseUnavailableError, match="could not mount on /mnt/rc: no such luck"):
        connected_mount(Path("/mnt/rc"), kernel_options(subtype="x", allow_other=False, read_only=False))
