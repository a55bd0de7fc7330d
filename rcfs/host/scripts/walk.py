"""Prints the attachments at and below a path in a mount, each as a JSON list of its path and its key.

It follows links, which lead from conversations to messages and never form a circle.
"""

import glob
import json
import os
import sys

NOTHING_THERE = 3
"""Exit code if the path does not exist."""


def main(top: str) -> None:
    """Walks `top`; if it does not exist, walks every path that matches it as a shell pattern."""
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
