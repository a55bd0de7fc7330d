"""Python's own exceptions for the errors of rcfs, which is what programs that use files expect."""

import errno
import os

from rcfs.errors import ConfigError, RcfsError
from rcfs.files import errno_of


def translated(error: Exception, path: str) -> Exception:
    """`error` as an OSError about `path`, with its words, if it is one of rcfs that is about files.

    The errno chooses the class: FileNotFoundError, PermissionError, NotADirectoryError, TimeoutError. A wrong
    configuration stays a `ConfigError`: it is about no file, and `walk` and `isdir` must not hide it.
    """
    if not isinstance(error, RcfsError) or isinstance(error, ConfigError):
        return error
    said = OSError(errno_of(error), str(error), path or None)
    said.__cause__ = error
    return said


def read_only(path: str) -> OSError:
    """The error of everything that would change the tree."""
    return OSError(errno.EROFS, "rcfs:// is read-only", path)


def is_a_directory(path: str) -> OSError:
    """The error of reading a directory."""
    return IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
