"""Reads a directory or a file to its end.

Run as a program: ``python -m bench._read_through PATH``. It prints a JSON list: seconds to the first entry or
byte, seconds from then to the end, the number of entries or lines, and the size of the file in bytes.
"""

import json
import os
import sys
import time

_PIECE_BYTES = 1 << 17


def main() -> None:
    """Runs the program."""
    path = sys.argv[1]
    began = time.perf_counter()
    if os.path.isdir(path):  # noqa: PTH112 - the time of a Path would count, too
        with os.scandir(path) as found:
            count = int(next(found, None) is not None)
            first = time.perf_counter()
            count += sum(1 for _entry in found)
        size_bytes = 0
    else:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            piece = file.read(1)
            first = time.perf_counter()
            count = size_bytes = 0
            while piece:
                size_bytes += len(piece)
                count += piece.count(b"\n")
                piece = file.read(_PIECE_BYTES)
    print(json.dumps([first - began, time.perf_counter() - first, count, size_bytes]))


if __name__ == "__main__":
    main()
