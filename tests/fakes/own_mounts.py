"""Runs a function in a forked child with a private mount namespace, without root.

Source: user_namespaces(7), mount_namespaces(7).
"""

import ctypes
import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_REFUSED, _FAILED = 77, 1


def in_own_mounts(work: Callable[[], object]) -> None:
    """Run `work` in a child with private mounts; skips the test where that is not permitted.

    Raises:
        AssertionError: `work` raised; its trace is on stderr.
    """
    with warnings.catch_warnings():
        # The child does not need the idle threads of other tests.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os._exit(_run(work))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == _REFUSED:
        pytest.skip("user and mount namespaces are not permitted here")
    assert code == 0, f"exit {code}; the trace is on stderr"


def mount(directory: Path, *options: str) -> None:
    """mount(8) on `directory`, within `in_own_mounts`."""
    subprocess.run(["mount", *options, str(directory)], check=True)


def _run(work: Callable[[], object]) -> int:
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(_CLONE_NEWUSER | _CLONE_NEWNS):
        return _REFUSED
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        work()
    except Exception:  # noqa: BLE001 - the child must end here
        traceback.print_exc()
        return _FAILED
    finally:
        sys.stderr.flush()
    return 0
