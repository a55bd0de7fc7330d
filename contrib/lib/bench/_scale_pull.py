"""Measures `rcfs pull`: seconds, CPU time, peak memory, and the number of lines that tell its progress."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

import attrs

from bench._nginx import Origin
from bench._peers import Peer, PeerError, Place
from bench._processes import wait_measured


@attrs.frozen
class PullRun:
    """One run."""

    seconds: float
    """Its time."""
    cpu_s: float
    """Its CPU time in seconds."""
    rss_bytes: int
    """Its peak resident set size."""
    lines: int
    """Lines that it printed."""


def pull(peer: Peer, origin: Origin, place: Place, options: Sequence[str], within_s: float) -> PullRun:
    """Runs `rcfs pull` with `options`, as the login of `peer` at `origin`.

    Raises:
        PeerError: It failed, or took longer than `within_s`.
    """
    where = [f"--cache-dir={place.cache / 'cache'}", f"--state-dir={place.cache / 'state'}"]
    environment = {name: text.format(url=origin.url) for name, text in peer.environment.items()}
    began = time.perf_counter()
    with place.log.open("w+b") as log:
        process = subprocess.Popen(
            ["timeout", f"{within_s:.0f}", sys.executable, "-P", "-m", "rcfs", "pull", *where, *options],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        usage = wait_measured(process)
        log.seek(0)
        lines = log.read().decode("utf-8", "replace").splitlines()
    if process.returncode:
        raise PeerError(f"pull: exit {process.returncode}: {lines[-1] if lines else 'no output'}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return PullRun(time.perf_counter() - began, cpu_s, usage.ru_maxrss * 1024, len(lines))
