"""Access to a mount: its owner, its umask, and whether it locks out the user who mounts it."""

import grp
import os
import pwd
import re
from collections.abc import Callable

_MOST_ID = (1 << 32) - 2
"""The largest id; the next one means "no change" to chown(2)."""
_UMASK = re.compile(r"(?:0o?)?([0-7]{1,3})", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)

ALONE_UMASK = 0o077
"""Default umask without ``--allow-other``: only the owner may enter."""
OTHERS_UMASK = 0o022
"""Default umask with ``--allow-other``, which would let nobody in otherwise: everyone may read."""


def parse_user(user: str | int) -> int:
    """The id of a user, given by number or name.

    Raises:
        ValueError: There is no such user.
    """
    return _id_of("user", user, lambda name: pwd.getpwnam(name).pw_uid)


def parse_user_group(group: str | int) -> int:
    """The id of a group of users, given by number or name.

    Raises:
        ValueError: There is no such group.
    """
    return _id_of("group", group, lambda name: grp.getgrnam(name).gr_gid)


def parse_umask(text: str) -> int:
    """The bits of an octal umask such as ``022``.

    Raises:
        ValueError: `text` has another form.
    """
    match = _UMASK.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a umask; write three octal digits, such as 022")
    return int(match[1], 8)


def locks_out(*, uid: int | None, gid: int | None, umask: int) -> bool:
    """Whether a mount with this owner and umask keeps out the user of this process."""
    own_uid = os.geteuid()
    if own_uid in (0, uid) or uid is None:
        return False
    in_group = gid is None or gid == os.getegid() or gid in os.getgroups()
    needed = 0o050 if in_group else 0o005
    return umask & needed != 0


def _id_of(kind: str, given: str | int, id_by_name: Callable[[str], int]) -> int:
    if isinstance(given, int) or _NUMBER.fullmatch(given.strip()):
        number = int(given)
        if not 0 <= number <= _MOST_ID:
            raise ValueError(f"{number} is out of range; an id is between 0 and {_MOST_ID}")
        return number
    try:
        return id_by_name(given)
    except (KeyError, UnicodeEncodeError):
        raise ValueError(f"there is no {kind} {given}; write a name, or a number such as 1000") from None
