"""Reads a copy that anybody may have changed: it follows no link, and opens nothing outside of the copy."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from hashlib import sha256

import attrs

from rcfs.audit._values import State
from rcfs.pull import open_regular

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_BYTES = 1 << 20
_MOST_PARTS = 64
"""Deepest path that is looked at; those of a tree have six parts."""


@attrs.frozen
class _Entered:
    """A directory that a walk is in."""

    path: str
    fd: int
    rest: "Iterator[os.DirEntry[str]]"
    stack: ExitStack

    @classmethod
    def of(cls, path: str, fd: int, above: ExitStack) -> "_Entered":
        """The directory `fd`, which is closed with `above` at the latest."""
        stack = above.enter_context(ExitStack())
        stack.callback(os.close, fd)
        return cls(path, fd, stack.enter_context(os.scandir(fd)), stack)


class Places:
    """The files below one directory; for one thread at a time, and to be closed."""

    def __init__(self, fd: int) -> None:
        """For the directory `fd`, which stays the caller's."""
        self._top = fd
        self._names: list[str] = []
        self._fds: list[int] = []

    def close(self) -> None:
        """Closes the directories that are open."""
        self._leave(0)

    def digest(self, path: str) -> Iterator[tuple[State | None, str, int]]:
        """Reads a file: (None, "", bytes read) after each MiB, and last (state, SHA-256, size in bytes).

        The state is OK for a file that could be read, whatever its bytes are.
        """
        hasher, size_bytes = sha256(), 0
        try:
            fd = self._open(path)
            with open(fd, "rb", buffering=0) as reading:  # noqa: PTH123 - it is a descriptor
                while data := reading.read(_READ_BYTES):
                    hasher.update(data)
                    size_bytes += len(data)
                    if len(data) == _READ_BYTES:
                        yield None, "", len(data)
        except (FileNotFoundError, ValueError):
            yield State.MISSING, "", 0
        except OSError as exc:
            # A link or a file stands where a directory should be, or it cannot be read.
            is_gone = exc.errno == errno.ENAMETOOLONG
            yield State.MISSING if is_gone else State.REFUSED, "", 0
        else:
            yield State.OK, hasher.hexdigest(), size_bytes

    def walk(self) -> Iterator[str]:
        """The paths of all files below the directory, except links.

        A directory that cannot be read counts as a file.
        """
        with ExitStack() as top:
            entered: list[_Entered] = [_Entered.of("", os.dup(self._top), top)]
            while entered:
                directory = entered[-1]
                entry = next(directory.rest, None)
                if entry is None:
                    entered.pop().stack.close()
                    continue
                path = f"{directory.path}/{entry.name}" if directory.path else entry.name
                if entry.is_symlink():
                    continue
                if entry.is_dir(follow_symlinks=False) and len(entered) < _MOST_PARTS:
                    with suppress(OSError):
                        fd = os.open(entry.name, _DIRECTORY_FLAGS, dir_fd=directory.fd)
                        entered.append(_Entered.of(path, fd, top))
                        continue
                with suppress(FileNotFoundError):
                    entry.stat(follow_symlinks=False)  # It may be gone by now.
                    yield path

    def _open(self, path: str) -> int:
        *above, name = path.split("/")
        if len(above) >= _MOST_PARTS or any(not _is_name(each) for each in (*above, name)):
            raise OSError(errno.EINVAL, "the path leads out of the copy")
        # Files come sorted, so most are in the directory of the one before.
        common = 0
        while common < min(len(above), len(self._names)) and above[common] == self._names[common]:
            common += 1
        self._leave(common)
        for each in above[common:]:
            fd = os.open(each, _DIRECTORY_FLAGS, dir_fd=self._fds[-1] if self._fds else self._top)
            self._names.append(each)
            self._fds.append(fd)
        return open_regular(name, self._fds[-1] if self._fds else self._top)

    def _leave(self, depth: int) -> None:
        while len(self._fds) > depth:
            os.close(self._fds.pop())
            self._names.pop()


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and "\0" not in name
