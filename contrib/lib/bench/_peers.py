"""The programs that are compared: the command, the settings and the layout of each."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version as package_version
from pathlib import Path

import attrs

from bench._nginx import Origin
from bench._processes import ENDS_WITHIN_S, running

_MOUNTS_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.005
"""Mounting takes tens of milliseconds, and polling must add less."""


class PeerError(Exception):
    """A peer failed; the message goes into its row."""


@attrs.frozen
class Place:
    """The paths of one mount."""

    mountpoint: Path
    """An empty folder."""
    cache: Path
    """Its cache and state; empty for a cold one."""
    log: Path
    """The output of its daemon."""


@attrs.frozen
class Peer:
    """One way to mount the files."""

    name: str
    """Its name in the tables."""
    command: Callable[[Origin, Place], Sequence[str]]
    """The command that runs it in the foreground."""
    version: str
    """Its version, as it prints it."""
    settings: str
    """The settings that differ from its defaults, for the conditions."""
    environment: Mapping[str, str] = {}
    """Environment variables; ``{url}`` stands for that of the origin."""
    index: str = "html"
    """The format of listings that it reads: ``html``, ``json`` or ``api``."""

    @contextmanager
    def mounted(self, origin: Origin, place: Place) -> Iterator[int]:
        """Mounts during the block, and gives the process id of the daemon.

        Raises:
            PeerError: It could not be mounted.
        """
        for folder in (place.mountpoint, place.cache):
            folder.mkdir(parents=True, exist_ok=True)
        environment = {name: text.format(url=origin.url) for name, text in self.environment.items()}
        with running(self.command(origin, place), log=place.log, environment=environment) as process:
            try:
                _wait_mounted(place, process)
                yield process.pid
            finally:
                _unmount(place.mountpoint, process)


def is_mounted(path: Path) -> bool:
    """Whether something is mounted at `path`; does not touch the path, which might hang."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    return str(path) in {line.split(" ", 5)[4] for line in lines}


def _wait_mounted(place: Place, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _MOUNTS_WITHIN_S
    while not is_mounted(place.mountpoint):
        if process.poll() is not None:
            said = place.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise PeerError(f"ended with {process.returncode}: {said[-1] if said else 'no word'}")
        if time.monotonic() > deadline:
            raise PeerError(f"not mounted within {_MOUNTS_WITHIN_S:.0f} s")
        time.sleep(_LOOK_EVERY_S)


def _unmount(path: Path, process: "subprocess.Popen[bytes]") -> None:
    """Unmounts regularly, so that caches are written; lazily if the mount is in use or hangs."""
    if is_mounted(path):
        subprocess.run(["fusermount3", "-u", str(path)], check=False, capture_output=True)
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if is_mounted(path):
        subprocess.run(["fusermount3", "-u", "-z", str(path)], check=False, capture_output=True)


CREDENTIAL = "bench"
"""App id, app secret and JWT of the login of rcfs."""


_THIS = (sys.executable, "-P", "-m", "rcfs")
"""The program of this checkout."""


def rcfs(*settings: str, name: str = "rcfs") -> Peer:
    """The rcfs of this checkout, with these options of `rcfs mount`."""
    version = f"rcfs {package_version('rcfs')}, pyfuse3 {package_version('pyfuse3')}"
    return _rcfs(name, _THIS, settings, version, {})


def old_rcfs(program: str) -> Peer:
    """Another rcfs, with its own Python; `program` is its path."""
    version = f"{OLD}: {_said(program, '--version', 'rcfs')}"
    # The modules of this checkout are not its own.
    return _rcfs(OLD, (program,), (), version, {"PYTHONPATH": ""})


def _rcfs(
    name: str,
    program: Sequence[str],
    settings: Sequence[str],
    version: str,
    environment: Mapping[str, str],
) -> Peer:
    def command(_origin: Origin, place: Place) -> Sequence[str]:
        cache, state = place.cache / "cache", place.cache / "state"
        # Without loading in the background, so that each command counts all requests that it causes.
        options = ["--no-preload", f"--cache-dir={cache}", f"--state-dir={state}"]
        return [*program, "mount", "-f", *settings, *options, str(place.mountpoint)]

    return Peer(
        name=name,
        command=command,
        version=version,
        settings=" ".join(settings) or "nothing set",
        environment={
            "RC_SERVER_URL": "{url}",
            "RC_APP_CLIENT_ID": CREDENTIAL,
            "RC_APP_CLIENT_SECRET": CREDENTIAL,
            "RC_USER_JWT": CREDENTIAL,
            "RCFS_CONFIG": os.devnull,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            **environment,
        },
        index="api",
    )


def rclone(mode: str) -> Peer:
    """`rclone mount` with the VFS cache mode `full` or `off`."""
    # Listings and attributes never expire, because nothing changes; fingerprints need no times.
    settings = ["--dir-cache-time=8760h", "--attr-timeout=1h", "--poll-interval=0", "--vfs-fast-fingerprint"]
    settings += [f"--vfs-cache-mode={mode}", "--vfs-cache-max-age=8760h"]

    def command(origin: Origin, place: Place) -> Sequence[str]:
        url = f"--http-url={origin.url}/"
        where = ["--config=", f"--cache-dir={place.cache}", "--read-only"]
        return ["rclone", "mount", ":http:", str(place.mountpoint), url, *where, *settings]

    return Peer(f"rclone {mode}", command, _said("rclone", "version", "rclone v"), " ".join(settings))


def httpdirfs() -> Peer:
    """`httpdirfs` with its cache."""
    # Its own check finds wrongly that nginx does not support ranges. Neither the size of its segments nor the
    # number of connections nor a missing cache changes the 0.1 s that it takes for every file.
    settings = ["--cache", "--no-range-check", "-o", "kernel_cache,attr_timeout=3600,entry_timeout=3600"]

    def command(origin: Origin, place: Place) -> Sequence[str]:
        where = ["--cache-location", str(place.cache)]
        return ["httpdirfs", "-f", *settings, *where, f"{origin.url}/", str(place.mountpoint)]

    version = _said("httpdirfs", "--version", "HTTPDirFS version")
    return Peer("httpdirfs", command, version, " ".join(settings))


def naive() -> Peer:
    """One Range request per read(): `bench._naive`."""

    def command(origin: Origin, place: Place) -> Sequence[str]:
        return [sys.executable, "-P", "-m", "bench._naive", f"{origin.url}/", str(place.mountpoint)]

    return Peer("naive", command, f"pyfuse3 {package_version('pyfuse3')}", "no cache", index="json")


def bare() -> Peer:
    """A bare file system over httpx: `bench._bare`."""

    def command(origin: Origin, place: Place) -> Sequence[str]:
        return [sys.executable, "-P", "-m", "bench._bare", f"{origin.url}/", str(place.mountpoint)]

    version = f"pyfuse3 {package_version('pyfuse3')}, httpx {package_version('httpx')}"
    return Peer("bare", command, version, "no cache", index="json")


OLD = "rcfs old"
"""The name of `old_rcfs`."""

USUAL = ("rcfs", "rcfs plain", "rclone full", "rclone off", "httpdirfs", "naive")
"""The programs that are compared by default, in the order of the tables."""

PEERS: Mapping[str, Callable[[], Peer]] = {
    "rcfs": rcfs,
    "rcfs slow wait": lambda: rcfs("--no-fast-wait", name="rcfs slow wait"),
    "rcfs plain": lambda: rcfs("--no-keep-listings", name="rcfs plain"),
    "rclone full": lambda: rclone("full"),
    "rclone off": lambda: rclone("off"),
    "httpdirfs": httpdirfs,
    "naive": naive,
    "bare": bare,
}
"""All programs, by name."""


def _said(program: str, argument: str, beginning: str) -> str:
    """The line of a program's version output that starts with `beginning`; else the program's name."""
    try:
        done = subprocess.run([program, argument], capture_output=True, text=True, check=False)
    except OSError:
        return f"{program} (missing)"
    lines = (done.stdout + done.stderr).splitlines()
    return next((line for line in lines if line.startswith(beginning)), program)
