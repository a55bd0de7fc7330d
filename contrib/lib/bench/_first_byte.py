"""Measures the time to the first byte of files, in a process of its own, which a hanging mount may block.

``python -m bench._first_byte``, the paths as lines on stdin; prints a JSON array of seconds.
"""

import json
import os
import sys
import time


def main() -> None:
    """The program."""
    taken_s = []
    for path in sys.stdin.read().splitlines():
        began = time.perf_counter()
        descriptor = os.open(path, os.O_RDONLY)
        byte = os.read(descriptor, 1)
        taken_s.append(time.perf_counter() - began)
        os.close(descriptor)
        if not byte:
            raise SystemExit(f"{path} is empty")
    sys.stdout.write(json.dumps(taken_s))


if __name__ == "__main__":
    main()
