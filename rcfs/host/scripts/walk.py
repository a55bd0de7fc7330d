"""Prints the attachments at and below a path in a mount, each as a JSON list of its path and its key.

Links are followed: they lead from conversations to their messages, and never in circles.
"""

import glob
import json
import os
import sys

NOTHING_THERE = 3
"""What it exits with when there is no such path."""


def main(top: str) -> None:
    """Walks `top`, or all that it matches as a shell pattern where nothing is called so."""
    tops = [top] if os.path.lexists(top) else sorted(glob.glob(top))
    if not tops:
        sys.exit(NOTHING_THERE)
    for found in tops:
        show(found)
        for folder, _directories, files in os.walk(found, followlinks=True):
            for name in files:
                show(os.path.join(folder, name))


def show(path: str) -> None:
    """Prints `path` and its key, if it is an attachment."""
    try:
        key = os.getxattr(path, "user.rcfs.key").decode()
    except OSError:
        return
    print(json.dumps([path, key]))


if __name__ == "__main__":
    main(sys.argv[1])
