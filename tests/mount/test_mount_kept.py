"""A mount that a service manager keeps between the process that makes it and the one that serves it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounting, eventually, run

pytestmark = pytest.mark.mount

RCFS = (sys.executable, "-m", "rcfs")
SANDBOXED = 'exec 3<&{kept} {kept}<&-; export LISTEN_PID=$$; exec setpriv --no-new-privs "$@"'
"""The start of a main process: the descriptor is the third, setuid programs have no power."""


def test_a_kept_mount_is_served_without_privileges(mounting: Mounting, tmp_path: Path) -> None:
    mount = mounting("--messages=20", mount=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(COMMAND_S)
        environment = {**mount.environment, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        link = tmp_path / "link"
        link.symlink_to(mount.path)
        refused = run([*RCFS, "mount", "--keep", *mount.options, str(link)], env=environment, check=False)
        assert (refused.returncode, mount.is_mounted) == (4, False)
        assert f"is a link to {mount.path}; name that" in refused.stderr

        arguments = [*mount.options, str(mount.path)]
        run([*RCFS, "mount", "--keep", *arguments], env=environment)
        assert mount.is_mounted
        _, (kept,), _, _ = socket.recv_fds(manager, 100, 1)
        main = subprocess.Popen(
            ["bash", "-c", SANDBOXED.format(kept=kept), "-", *RCFS, "mount", "-f", *arguments],
            env={**environment, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "mount"},
            pass_fds=[kept],
            stderr=subprocess.DEVNULL,
        )
        os.close(kept)
        # Before anything can fail: systemd's copy would let the mount hang.
        assert manager.recv(100) == b"FDSTOREREMOVE=1\nFDNAME=mount"
        assert manager.recv(100) == b"READY=1"
        assert list(mount.path.iterdir())
        assert "\nNoNewPrivs:\t1\n" in Path(f"/proc/{main.pid}/status").read_text()
        main.send_signal(signal.SIGTERM)
        assert main.wait(COMMAND_S) == 0
        with pytest.raises(OSError, match="not connected"):
            list(mount.path.iterdir())
        run(["fusermount3", "-uzq", "--", str(mount.path)])
        eventually(lambda: not mount.is_mounted)
