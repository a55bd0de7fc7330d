"""Asks the mount that a path is in to check for new messages, and prints its answer as a JSON object."""

import errno
import json
import os
import sys


def ask(path: str) -> str:
    """The names of the refreshed mailboxes, from a file in the control directory of the mount.

    Raises:
        OSError: EOPNOTSUPP outside a mount of rcfs, EPROTONOSUPPORT in a mount of an older version, ENODATA
            if `path` is not in a mailbox, or the error of the mount.
    """
    path = top = os.path.realpath(path, strict=True)
    device = os.lstat(path).st_dev
    while top != "/" and os.lstat(os.path.dirname(top)).st_dev == device:
        top = os.path.dirname(top)
    control = os.path.join(top, ".rcfs")
    folder = os.path.join(control, "refresh")
    for directory, number in ((control, errno.EOPNOTSUPP), (folder, errno.EPROTONOSUPPORT)):
        if not os.path.isdir(directory):
            raise OSError(number, "")
    name = os.path.relpath(path, top).split("/")[0]
    try:
        with open(os.path.join(folder, ".all" if name == "." else name), encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        raise OSError(errno.ENODATA, "") from None


def main(path: str) -> None:
    """Prints an object with ``said``, the names of the refreshed mailboxes, and ``errno``, 0 on success."""
    try:
        answer = {"said": ask(path), "errno": 0}
    except OSError as error:
        answer = {"said": "", "errno": error.errno}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
