"""Who may look into a mount: its owner, its umask, and whether others are let in at all."""

import grp
import os
import pwd
import re

_MOST_ID = (1 << 32) - 2
"""The largest id; the next one means "no change" to chown(2)."""
_UMASK = re.compile(r"(?:0o?)?([0-7]{1,3})", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)

ALONE_UMASK = 0o077
"""The owner alone."""
OTHERS_UMASK = 0o022
"""Everyone may look; it comes with ``--allow-other``, which would let nobody in otherwise."""


def parse_user(user: str | int) -> int:
    """The id of a user, given by number or name.

    Raises:
        ValueError: There is no such user.
    """
    number = _number(user)
    if number is not None:
        return number
    try:
        return pwd.getpwnam(str(user)).pw_uid
    except (KeyError, UnicodeEncodeError):
        raise ValueError(f"there is no user {user}; write a name, or a number such as 1000") from None


def parse_user_group(group: str | int) -> int:
    """The id of a group of users, given by number or name.

    Raises:
        ValueError: There is no such group.
    """
    number = _number(group)
    if number is not None:
        return number
    try:
        return grp.getgrnam(str(group)).gr_gid
    except (KeyError, UnicodeEncodeError):
        raise ValueError(f"there is no group {group}; write a name, or a number such as 1000") from None


def parse_umask(text: str) -> int:
    """The bits of an octal umask such as ``022``.

    Raises:
        ValueError: `text` is none.
    """
    match = _UMASK.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no umask; write three octal digits, such as 022")
    return int(match[1], 8)


def locks_out(*, uid: int | None, gid: int | None, umask: int) -> bool:
    """Whether a mount with that owner and umask does not let in the user of this process."""
    own_uid = os.geteuid()
    if own_uid in (0, uid) or uid is None:
        return False
    in_group = gid is None or gid == os.getegid() or gid in os.getgroups()
    needed = 0o050 if in_group else 0o005
    return umask & needed != 0


def _number(text: str | int) -> int | None:
    if isinstance(text, str) and not _NUMBER.fullmatch(text.strip()):
        return None
    number = int(text)
    if not 0 <= number <= _MOST_ID:
        raise ValueError(f"{number} is out of range; an id is between 0 and {_MOST_ID}")
    return number
