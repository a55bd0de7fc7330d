"""Without the network: how long a known account takes to mount, and what metadata operations take then.

The server is a simulated account, used once and then killed. So what answers is the index alone.
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
"""Some 1,700 paths, each of which is asked some eight questions, three times."""
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
        """Be the user of a simulator."""
        self._environment |= {
            "RC_SERVER_URL": endpoints["platform_url"],
            "RC_APP_CLIENT_ID": endpoints["client_id"],
            "RC_APP_CLIENT_SECRET": endpoints["client_secret"],
            "RC_USER_JWT": endpoints["jwt"],
        }

    def run(self, *arguments: str) -> None:
        """A finished run of rcfs."""
        subprocess.run(
            [*self.program, *arguments], env=self._environment, check=True, stdout=subprocess.DEVNULL
        )

    def measure(self) -> float:
        """How long the command takes that mounts, in seconds: the median of some."""
        taken_s = []
        for _ in range(_MOUNTS):
            began = time.perf_counter()
            self.run("mount", str(self.path))
            taken_s.append(time.perf_counter() - began)
            self.run("umount", str(self.path))
        return statistics.median(taken_s)


def _endpoints(log: Path) -> dict[str, Any]:
    """What a simulator says when it is ready."""
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while not (said := log.read_text(encoding="utf-8")).endswith("}\n"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the simulator is not ready: {said}")
        time.sleep(0.05)
    endpoints: dict[str, Any] = json.loads(said)
    return endpoints


def _ask(top: Path) -> dict[str, list[float]]:
    """How long each operation took in seconds, by its kind, on everything below `top` that is known."""
    taken_s: dict[str, list[float]] = defaultdict(list)

    def timed(operation: str, work: Callable[..., T], *arguments: object) -> T:
        began = time.perf_counter()
        result = work(*arguments)
        taken_s[operation].append(time.perf_counter() - began)
        return result

    # One mailbox is refused to everybody; the others were looked into.
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
    """The extended attributes of `path`; the one that is a question to the cache is not listed."""
    return os.listxattr(path, follow_symlinks=False)


def _attribute(path: Path, name: str) -> bytes:
    return os.getxattr(path, name, follow_symlinks=False)


def _entries(path: Path) -> list[Path]:
    return list(path.iterdir())
