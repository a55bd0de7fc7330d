"""Real mounts for tests: the simulator and `rcfs mount` as processes, in directories of their own."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from tests.fakes import simulated as simulator
from tests.fakes.fork_server import can_fork_in, run_forked

COMMAND_S = 120.0
"""Longest run of a tool in these tests, and longest wait for anything else that happens in milliseconds on an
idle machine. A mount that hangs must fail a test, not the suite; a machine with other work is slow."""

FEW_CALLS = ("--calls-per-day=4", "--call-days=2")
"""Options of an account whose test names no number of calls: it has 8, with recordings of 6 MB. Among the
first calls of each user of other accounts is a meeting of 70 MB, which a walk that reads all would fetch."""

CALL_VIEWS = ("Calls", "Recordings", "Greetings")
"""The entries of an extension that load call logs and greetings when somebody looks into them."""


UNASKED = frozenset(
    {"authWsToken", "createSubscription", "updateSubscription", "readMessageStoreConfiguration"}
)
"""The requests for hints and retention, which a mount sends when it gets to them, whatever is looked at."""


def right_clock() -> str:
    """The option of a simulated account whose clock agrees with this machine's."""
    return f"--present={datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture(autouse=True)
def _needs_fuse(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("mount") is not None, "tests here are marked `mount`"


class Mounted:
    """One mount of a simulated account, made and ended with the command line."""

    def __init__(self, home: Path, server: simulator.Simulated, *options: str) -> None:
        self.path = home / "ringcentral"
        self.server = server
        self.cache = home / "cache"
        self.state = home / "state"
        # Without loads in the background: most tests assert on the requests that their own commands cause.
        own = (f"--cache-dir={self.cache}", f"--state-dir={self.state}")
        self.options = ("--no-preload", *own, *options)
        self.engine_options = (*own, *options)
        """The same for commands that mount nothing."""
        self.environment = {
            # Without what the tests themselves are told.
            **{name: value for name, value in os.environ.items() if not name.startswith("RCFS_")},
            **server.environment(),
            "HOME": str(home),
            "RCFS_CONFIG": "",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
        self.path.mkdir(exist_ok=True)

    def rcfs(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A finished run of the rcfs command, in a fork of a process that has loaded it where that can be."""
        if not can_fork_in(self.environment):
            return run([sys.executable, "-m", "rcfs", *arguments], env=self.environment, check=check)
        return checked(run_forked(arguments, self.environment, COMMAND_S), check=check)

    def mount(self) -> None:
        """Mount in the background."""
        self.rcfs("mount", *self.options, str(self.path))

    def umount(self) -> None:
        """Unmount, and wait for the end of the process."""
        self.rcfs("umount", f"--state-dir={self.state}", str(self.path))

    def remount(self) -> None:
        """Unmount and mount again."""
        self.umount()
        self.mount()

    def empty_cache(self) -> None:
        """Mount again with an empty cache, unless it is empty already."""
        if json.loads((self.path / ".rcfs" / "status.json").read_text())["cache"]["contents"]:
            self.umount()
            shutil.rmtree(self.cache)
            self.mount()

    @property
    def is_mounted(self) -> bool:
        """Whether the kernel knows the mount."""
        return f" {self.path} fuse.rcfs " in Path("/proc/self/mounts").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process that serves the mount."""
        records = list((self.state / "mounts").glob("*.json"))
        assert len(records) == 1
        return int(records[0].stem)

    def tool(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A finished run of a tool, in the mount."""
        return run(list(command), cwd=self.path, check=check)

    def attachments(self) -> dict[tuple[int, int], Path]:
        """Every attachment file by (message id, attachment id), found by its extended attributes."""
        found = {}
        for folder, _directories, files in os.walk(self.path):
            for name in files:
                path = Path(folder, name)
                key = attachment_key(path)
                if key is not None:
                    found[key] = path
        return found

    def contents(self) -> dict[str, Path]:
        """Every file whose bytes the platform has, by its key."""
        walked = (Path(folder, name) for folder, _directories, files in os.walk(self.path) for name in files)
        keys = ((content_key(path), path) for path in walked)
        return {key: path for key, path in keys if key}


def message_views(extension: Path) -> list[str]:
    """The entries of an extension except `CALL_VIEWS`."""
    return [str(path) for path in extension.iterdir() if path.name not in CALL_VIEWS]


def content_key(path: Path) -> str:
    """The key of a content; empty for other files."""
    if "user.rcfs.key" not in os.listxattr(path, follow_symlinks=False):
        return ""
    return os.getxattr(path, "user.rcfs.key").decode()


def attachment_key(path: Path) -> tuple[int, int] | None:
    """(message id, attachment id) of an attachment file; None for other files."""
    names = os.listxattr(path, follow_symlinks=False)
    if "user.rcfs.attachment_id" not in names:
        return None
    return (
        int(os.getxattr(path, "user.rcfs.message_id")),
        int(os.getxattr(path, "user.rcfs.attachment_id")),
    )


def run(
    command: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    """A finished run of `command`; its output is part of the failure when it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
        errors="replace",
    )
    return checked(done, check=check)


def checked(
    done: "subprocess.CompletedProcess[str]", *, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    """`done`, which must have ended well if `check` is true."""
    assert not check or done.returncode == 0, (
        f"{done.args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done


def eventually(condition: Callable[[], bool], within_s: float = COMMAND_S) -> None:
    """Returns when `condition` holds; there is no event to wait for in another process."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


Mounting = Callable[..., Mounted]


@contextmanager
def mounts(home: Path) -> Iterator[Mounting]:
    """Makes mounts below `home`: ``mounting(*simulator_options, options=(…))``; all end with the context."""
    numbers = count(1)
    with ExitStack() as stack:

        def mounting(*simulator_options: str, options: tuple[str, ...] = (), mount: bool = True) -> Mounted:
            has_calls = any(option.startswith("--calls") for option in simulator_options)
            calls = () if has_calls else FEW_CALLS
            server = stack.enter_context(simulator.start("--limit=heavy=1000", *calls, *simulator_options))
            place = home / f"home-{next(numbers)}"
            place.mkdir()
            mounted = Mounted(place, server, *options)
            stack.callback(_end, mounted)
            if mount:
                mounted.mount()
            return mounted

        yield mounting


def _end(mounted: Mounted) -> None:
    """Ends a mount whatever state it is in."""
    for record in (mounted.state / "mounts").glob("*.json"):
        with suppress(ProcessLookupError):
            os.kill(int(record.stem), signal.SIGKILL)
    if mounted.is_mounted:
        run(["fusermount3", "-u", "-z", str(mounted.path)])


@pytest.fixture
def mounting(tmp_path: Path) -> Iterator[Mounting]:
    """Makes mounts for one test."""
    with mounts(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def shared_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount with a fast plan, shared by the tests of a module."""
    with mounts(tmp_path_factory.mktemp("shared")) as make:
        yield make("--messages=300", "--limit=medium=100000", "--limit=light=100000")
