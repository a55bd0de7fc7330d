"""The rules for names of directories that users make."""

from typing import Final

from rcfs.errors import NameTooLongError, ReadOnlyError
from rcfs.files._attributes import encoded

_MOST_NAME_BYTES: Final = 255
"""Longest name in bytes: NAME_MAX of Linux, <linux/limits.h>."""


def require_new_name(name: str, what: str) -> None:
    """Returns if a new directory may have a name; the error calls it `what`, such as "a search".

    Raises:
        ReadOnlyError: The name begins with a dot, as those that desktops make for their own purposes.
        NameTooLongError: The name is too long.
    """
    if name.startswith("."):
        raise ReadOnlyError(f"the name of {what} must not begin with a dot")
    require_length(name)


def require_length(name: str) -> None:
    """Returns if a name is short enough for every file system of Linux.

    Raises:
        NameTooLongError: It is too long.
    """
    if len(encoded(name)) > _MOST_NAME_BYTES:
        raise NameTooLongError(f"a name has at most {_MOST_NAME_BYTES} bytes")
