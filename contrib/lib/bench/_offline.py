"""Measures how long a known account takes to mount without the network, and its metadata operations then.

The server is a simulated account, used once and then killed, so that all answers come from the index.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bench._processes import running

T = TypeVar("T")

_MESSAGES = 300
"""They have about 1,700 paths, with about eight operations each, three times."""
_MOUNTS = 5
_STARTS_WITHIN_S = 30.0


def offline() -> int:
    """Prints the figures; 0 when every operation was answered."""
    with tempfile.TemporaryDirectory(prefix="rcfs-bench-") as name:
        folder = Path(name)
        mount = _Mount(folder)
        with running(
            [*mount.program, "simulator", "--json", f"--messages={_MESSAGES}", "--limit=light=100000"],
            log=folder / "simulator.log",
        ):
            endpoints = _endpoints(folder / "simulator.log")
            mount.log_in(endpoints)
            mount.run("mount", str(mount.path))
            _ask(mount.path)
            mount.run("umount", str(mount.path))
            online_s = mount.measure()
        offline_s = mount.measure()
        mount.run("mount", str(mount.path))
        try:
            cold, warm = _ask(mount.path), _ask(mount.path)
        finally:
            mount.run("umount", str(mount.path))
    print(
        f"mount of a known account: {online_s:.2f} s with the server, {offline_s:.2f} s without it (median)"
    )
    for label, taken in (("new to the kernel", cold), ("asked before", warm)):
        for operation, taken_s in taken.items():
            median, p99 = statistics.median(taken_s), statistics.quantiles(taken_s, n=100)[98]
            print(
                f"{label:>17}  {operation:<9} {len(taken_s):>7,}  median {median * 1e3:.3f} ms"
                f"  p99 {p99 * 1e3:.3f} ms  longest {max(taken_s) * 1e3:.1f} ms"
            )
    return 0


class _Mount:
    """A mount point with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.program = [sys.executable, "-P", "-m", "rcfs"]
        self.path = folder / "mount"
        self.path.mkdir()
        kept = {name: str(folder / name.lower()) for name in ("RCFS_CACHE_DIR", "RCFS_STATE_DIR", "HOME")}
        self._environment = {**os.environ, **kept, "RCFS_CONFIG": ""}

    def log_in(self, endpoints: dict[str, Any]) -> None:
        """Uses the credentials of a simulator."""
        self._environment |= {
            "RC_SERVER_URL": endpoints["platform_url"],
            "RC_APP_CLIENT_ID": endpoints["client_id"],
            "RC_APP_CLIENT_SECRET": endpoints["client_secret"],
            "RC_USER_JWT": endpoints["jwt"],
        }

    def run(self, *arguments: str) -> None:
        """Runs a command of rcfs to its end."""
        subprocess.run(
            [*self.program, *arguments], env=self._environment, check=True, stdout=subprocess.DEVNULL
        )

    def measure(self) -> float:
        """Median time in seconds of some runs of `rcfs mount`."""
        taken_s = []
        for _ in range(_MOUNTS):
            began = time.perf_counter()
            self.run("mount", str(self.path))
            taken_s.append(time.perf_counter() - began)
            self.run("umount", str(self.path))
        return statistics.median(taken_s)


def _endpoints(log: Path) -> dict[str, Any]:
    """The JSON that a simulator prints when it is ready."""
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while not (said := log.read_text(encoding="utf-8")).endswith("}\n"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the simulator is not ready: {said}")
        time.sleep(0.05)
    endpoints: dict[str, Any] = json.loads(said)
    return endpoints


def _ask(top: Path) -> dict[str, list[float]]:
    """The times in seconds of each kind of operation on everything below `top`."""
    taken_s: dict[str, list[float]] = defaultdict(list)

    def timed(operation: str, work: Callable[..., T], *arguments: object) -> T:
        began = time.perf_counter()
        result = work(*arguments)
        taken_s[operation].append(time.perf_counter() - began)
        return result

    # One mailbox is refused to all logins; the others were loaded.
    waiting = [path for path in top.iterdir() if path.name != ".rcfs" and not path.name.startswith("104 ")]
    while waiting:
        path = waiting.pop()
        timed("lstat", path.lstat)
        for attribute in timed("listxattr", _attributes, path):
            timed("getxattr", _attribute, path, attribute)
        if path.is_symlink():
            timed("readlink", path.readlink)
        elif path.is_dir():
            waiting += timed("readdir", _entries, path)
    return taken_s


def _attributes(path: Path) -> list[str]:
    """The listed extended attributes of `path`; an unlisted one asks the cache."""
    return os.listxattr(path, follow_symlinks=False)


def _attribute(path: Path, name: str) -> bytes:
    return os.getxattr(path, name, follow_symlinks=False)


def _entries(path: Path) -> list[Path]:
    return list(path.iterdir())
