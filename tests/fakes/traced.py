"""Records the changes that a function makes to files below a directory, one system call at a time.

The function runs in a forked child under ptrace(2), which stops it after each call. So a test sees the
directory as a SIGKILL at that moment would leave it, even between the system calls of SQLite. It also learns
which data was written and which was synced, which decides the result of a power cut.
"""

import ctypes
import os
import platform
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest

_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_TRACESYSGOOD, _EXITKILL = 1, 0x100000
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_ENTRY = 1
_PATH_BYTES = 4096

_NUMBERS: Mapping[str, Mapping[int, str]] = {
    "x86_64": {
        1: "write", 2: "open", 3: "close", 18: "pwrite64", 74: "fsync", 75: "fdatasync", 76: "truncate",
        77: "ftruncate", 82: "rename", 83: "mkdir", 87: "unlink", 257: "openat", 258: "mkdirat",
        263: "unlinkat", 264: "renameat", 316: "renameat2",
    },
    "aarch64": {
        34: "mkdirat", 35: "unlinkat", 38: "renameat", 45: "truncate", 46: "ftruncate", 56: "openat",
        57: "close", 64: "write", 68: "pwrite64", 82: "fsync", 83: "fdatasync", 276: "renameat2",
    },
}  # fmt: skip
"""The calls with which Python and SQLite change files. Tests compare the outcome, so a missing call fails
them."""


@attrs.frozen
class Change:
    """One system call that has just changed or synced something below the directory."""

    kind: str
    """open, write, truncate, unlink, rename, mkdir or sync."""
    path: str
    """The path relative to the directory, as named when it was opened."""
    file: int = 0
    """Number of the opened file, the same for all opens of a name until that is unlinked or renamed."""
    offset: int = 0
    """The position of a write, or the new size of a truncate, in bytes."""
    data: bytes = b""
    """The bytes of a write."""
    target: str = ""
    """The new name of a rename."""


def changes(work: Callable[[], object], directory: Path) -> Iterator[Change]:
    """Run `work` and yield after each change that it makes below `directory`, while it is stopped.

    `work` runs in a child, so only files and pipes come out of it; it must start no thread.
    """
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        pytest.skip(f"the system calls of {platform.machine()} have other numbers")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    with warnings.catch_warnings():
        # The child does not need the idle threads of other tests.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _run(libc, work)
    try:
        _status = os.waitpid(pid, 0)[1]
        if libc.ptrace(_SETOPTIONS, pid, None, _TRACESYSGOOD | _EXITKILL):
            pytest.skip(f"ptrace is not permitted here: {os.strerror(ctypes.get_errno())}")
        yield from _Child(pid, libc, numbers, directory).follow()
        pid = 0
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _run(libc: ctypes.CDLL, work: Callable[[], object]) -> None:
    try:
        libc.ptrace(_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        code = 0
    except Exception:  # noqa: BLE001 - the child must end here
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


class _Child:
    def __init__(self, pid: int, libc: ctypes.CDLL, numbers: Mapping[int, str], directory: Path) -> None:
        self._pid = pid
        self._libc = libc
        self._numbers = numbers
        self._root = f"{directory}/"
        self._files: dict[str, int] = {}
        self._open: dict[int, tuple[int, str]] = {}
        self._positions: dict[int, int] = {}
        self._count = 0

    def follow(self) -> Iterator[Change]:
        """All changes until the child has ended.

        Raises:
            AssertionError: The child failed.
        """
        info = ctypes.create_string_buffer(96)
        name, give = "", 0
        args: tuple[int, ...] = ()
        while True:
            self._libc.ptrace(_SYSCALL, self._pid, None, give)
            _pid, status = os.waitpid(self._pid, 0)
            if not os.WIFSTOPPED(status):
                assert status == 0, "the traced function failed; see stderr"
                return
            give = 0
            if os.WSTOPSIG(status) != _SYSCALL_STOP:
                give = os.WSTOPSIG(status)
                continue
            self._libc.ptrace(_GET_SYSCALL_INFO, self._pid, len(info), ctypes.addressof(info))
            if info.raw[0] == _ENTRY:
                number, *rest = struct.unpack_from("=7Q", info.raw, 24)
                name, args = self._numbers.get(number, ""), tuple(rest)
            elif name:
                (result,) = struct.unpack_from("=q", info.raw, 24)
                if result >= 0:
                    yield from self._changes(name, args, result)

    def _changes(self, name: str, args: tuple[int, ...], result: int) -> Iterator[Change]:
        if name in ("open", "openat"):
            path, flags = args[:2] if name == "open" else args[1:3]
            yield from self._opened(path, flags, result)
        elif name == "close":
            self._open.pop(args[0], None)
        elif name in ("mkdir", "mkdirat"):
            yield from self._named("mkdir", args[name == "mkdirat"])
        elif name in ("unlink", "unlinkat"):
            for change in self._named("unlink", args[name == "unlinkat"]):
                self._files.pop(change.path, None)
                yield change
        elif name.startswith("rename"):
            source, target = args[:2] if name == "rename" else (args[1], args[3])
            for change in self._named("rename", source):
                new = self._text(target).removeprefix(self._root)
                self._files[new] = self._files.pop(change.path)
                yield attrs.evolve(change, target=new)
        elif args[0] in self._open:
            yield from self._written(name, args, result)

    def _opened(self, path: int, flags: int, fd: int) -> Iterator[Change]:
        text = self._text(path)
        if not text.startswith(self._root) or flags & os.O_DIRECTORY:
            return
        relative = text.removeprefix(self._root)
        known = relative in self._files
        if not known and not flags & os.O_CREAT:
            return  # A directory, or a file that existed before.
        if not known:
            self._count += 1
            self._files[relative] = self._count
        self._open[fd] = (self._files[relative], relative)
        self._positions[fd] = 0
        assert not flags & os.O_APPEND
        if not known or flags & os.O_TRUNC:
            yield Change("open" if not known else "truncate", relative, self._files[relative])

    def _written(self, name: str, args: tuple[int, ...], result: int) -> Iterator[Change]:
        fd = args[0]
        file, path = self._open[fd]
        if name in ("write", "pwrite64"):
            offset = args[3] if name == "pwrite64" else self._positions[fd]
            if name == "write":
                self._positions[fd] += result
            yield Change("write", path, file, offset, self._memory(args[1], result))
        elif name == "ftruncate":
            yield Change("truncate", path, file, args[1])
        elif name in ("fsync", "fdatasync"):
            yield Change("sync", path, file)

    def _named(self, kind: str, address: int) -> Iterator[Change]:
        text = self._text(address)
        if f"{text}/".startswith(self._root):
            relative = text[len(self._root) :]
            yield Change(kind, relative, self._files.get(relative, 0))

    def _memory(self, address: int, size: int) -> bytes:
        with Path(f"/proc/{self._pid}/mem").open("rb", buffering=0) as memory:
            return os.pread(memory.fileno(), size, address)

    def _text(self, address: int) -> str:
        # The kernel shortens a read that reaches into an unmapped page.
        return self._memory(address, _PATH_BYTES).partition(b"\0")[0].decode()
