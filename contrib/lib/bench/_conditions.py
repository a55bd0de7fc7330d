"""The conditions of a measurement, which stand below its tables."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import _nginx
from bench._peers import Peer
from bench._plan import Plan


def conditions(plan: Plan, peers: Sequence[Peer], root: Path) -> dict[str, str]:
    """The conditions of a comparison by name, so that a reader can repeat it."""
    small, media, large = plan.sets
    return {
        **circumstances(root),
        "versions": ", ".join(dict.fromkeys([*(peer.version for peer in peers), _nginx.version()])),
        "settings": "; ".join(f"{peer.name}: `{peer.settings}`" for peer in peers),
        "server": "one nginx on loopback for all, an RC platform of static answers for rcfs, no quota",
        "files": f"{small.count:,} of {small.size_bytes:,} B in {small.folders} folders,"
        f" {media.count:,} of {media.size_bytes:,} B, {large.size_bytes:,} B, each in a directory"
        " with its message.json, the same tree for all; and as recordings of calls"
        f" {plan.recordings.count:,} of {plan.recordings.size_bytes:,} B, {plan.recording.size_bytes:,} B",
        "walks": "text messages with two files each, the same tree for all",
        "runs": f"median of {plan.repeats}, of 1 for what takes longer than {plan.slow_s:g} s;"
        f" first bytes of {plan.opened} files",
    }


def circumstances(root: Path) -> dict[str, str]:
    """The conditions of any measurement: date, commit, machine."""
    kernel = platform.release().partition("-")[0]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _commit(root),
        "machine": f"{os.cpu_count()} cores, {_memory_gb():.0f} GB, Linux {kernel}",
    }


def _commit(root: Path) -> str:
    """The commit; marked as dirty when the measured code differs from it."""
    git = ["git", "-C", str(root)]
    code = ["--", ":!contrib/results", ":!README.md"]
    try:
        name = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", *code], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return ""
    return name + ("-dirty" if changed else "")


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
