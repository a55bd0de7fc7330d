"""The file system where there is no FUSE."""

import subprocess
import sys


def test_it_is_driven_without_pyfuse3() -> None:
    command = [sys.executable, "-m", "tests.fakes.files_alone"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("101 Jane/SMS/2026-11/")
    assert done.stdout.endswith("/text.txt\n")
