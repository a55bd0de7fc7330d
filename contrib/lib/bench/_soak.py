"""The long tests: the tests of the suite that read from the environment how much to do."""

import os
import subprocess
import sys
from pathlib import Path

_MORE = {
    "RCFS_LONG": "1",
    "RCFS_RANDOM_READS": "1000000",
    "RCFS_SOAK": "1000000",
    "RCFS_SOAK_S": "600",
}
"""The amounts: every moment of the store's integrity, random reads, virtual requests, and seconds. Without
them the suite does a tenth or less."""
_TESTS = ("tests/property", "tests/mount", "tests/scenario", "tests/unit/store", "tests/unit/exports")
_KNOWN_BY = (*_MORE, "tests.fakes.integrity")
"""Texts by which to find the tests that use one of the variables, directly or through a shared module."""
_WITHIN_S = 3600
"""Longest single test in seconds; the limit of the suite is for tests of ordinary length."""


def soak(root: Path) -> int:
    """Runs pytest in the checkout `root` on the tests that use one of the variables; returns its exit code.

    Variables that are set in the environment keep their values.
    """
    chosen = [
        str(path)
        for folder in _TESTS
        for path in sorted((root / folder).glob("test_*.py"))
        if any(name in path.read_text(encoding="utf-8") for name in _KNOWN_BY)
    ]
    if not chosen:
        sys.stderr.write(f"contrib/bench: no test uses {' or '.join(_MORE)}\n")
        return 1
    command = [sys.executable, "-m", "pytest", f"--timeout={_WITHIN_S}", *chosen]
    return subprocess.run(command, cwd=root, env={**_MORE, **os.environ}, check=False).returncode
