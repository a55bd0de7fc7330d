"""The long tests: those of the test suite that do more when they are asked for more."""

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
"""What is asked for: every moment of the store's integrity, reads, virtual requests, and seconds; the suite
alone makes do with a tenth or less."""
_TESTS = ("tests/property", "tests/mount", "tests/scenario", "tests/unit/store")
_KNOWN_BY = (*_MORE, "tests.fakes.integrity")
"""What is said in a test that knows one of the variables, itself or by what it shares with others."""
_WITHIN_S = 3600
"""Longest single test in seconds; the suite's own limit is for tests of ordinary length."""


def soak(root: Path) -> int:
    """The exit code of pytest, run in the checkout `root` on the tests that know one of the variables.

    What is set in the environment already stays as it is.
    """
    chosen = [
        str(path)
        for folder in _TESTS
        for path in sorted((root / folder).glob("test_*.py"))
        if any(name in path.read_text(encoding="utf-8") for name in _KNOWN_BY)
    ]
    if not chosen:
        sys.stderr.write(f"contrib/bench: no test knows {' or '.join(_MORE)}\n")
        return 1
    command = [sys.executable, "-m", "pytest", f"--timeout={_WITHIN_S}", *chosen]
    return subprocess.run(command, cwd=root, env={**_MORE, **os.environ}, check=False).returncode
