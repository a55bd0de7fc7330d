"""Prints the state of a path: errno, whether it is a directory, whether it is empty, and the real path.

It imports only modules that Python loads at every start, because json would double its time.
"""

import os
import stat
import sys


def main(path: str) -> None:
    """Writes the four fields, separated by spaces; the real path is the last, as raw bytes."""
    errno = is_directory = is_empty = 0
    try:
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
        if is_directory:
            with os.scandir(path) as entries:
                is_empty = next(entries, None) is None
    except OSError as error:
        errno = error.errno or 0
    real = os.fsencode(os.path.realpath(path))
    sys.stdout.buffer.write(b"%d %d %d %s" % (errno, is_directory, is_empty, real))


if __name__ == "__main__":
    main(sys.argv[1])
