"""`rcfs demo`: mounts a simulated account; the simulator is a child process that ends with its mount."""

import json
import os
import select
import shlex
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import click
import platformdirs

from rcfs.cli._demo_extra import require_demo_extra
from rcfs.cli._options import (
    PathText,
    cache_dir_option,
    examples,
    foreground_option,
    keep_purged_option,
    limit_option,
    log_level_option,
)
from rcfs.cli._output import announce, own_name, warn
from rcfs.cli._run import check_mount, manager_of, ready_mountpoint, serve_here, serve_in_background
from rcfs.cli._simulator import messages_option, seed_option
from rcfs.config import Credentials, Settings, load_settings
from rcfs.errors import MountError, RcfsError
from rcfs.host import Parent, Registry, rcfs_command, run_limited

_NO_CONFIG = Path(os.devnull)
"""An empty config file: the settings of the real account are not for the simulated one."""
_SIMULATOR_WITHIN_S = 60.0
"""Longest wait for the simulator, in seconds: it makes 3,000 messages in about a second, and a million in
most of a minute."""
_SIMULATOR_ENDS_WITHIN_S = 5.0
"""Longest wait for the end of the simulator, in seconds; then it is killed."""
_TOUR_WITHIN_S = 20.0
"""Longest wait for the first mailbox, in seconds. After that the tour shows commands without a message's
path."""
_LINE_BYTES = 65536
"""Longest line of the simulator with its endpoints, in bytes: it has some hundred."""
_PORTS = range(20_000, 32_000)
"""Ports for the simulator of a demo, below those that Linux gives to connections. Source: ip(7),
ip_local_port_range."""


@click.command(
    "demo",
    epilog=examples(
        "rcfs demo                            mount at ~/ringcentral-demo",
        "rcfs demo /mnt/demo --messages 200",
        "rcfs demo -f --limit medium=4        try a small quota",
        "rcfs umount ~/ringcentral-demo",
    ),
)
@click.argument("mountpoint", type=PathText(), required=False)
@foreground_option
@messages_option
@seed_option
@keep_purged_option
@limit_option
@cache_dir_option
@log_level_option
@click.pass_context
def demo(
    context: click.Context,
    mountpoint: Path | None,
    *,
    foreground: bool,
    messages: int | None,
    seed: int | None,
    keep_purged: bool | None,
    limit: tuple[str, ...],
    cache_dir: Path | None,
    log_level: str | None,
) -> None:
    """Mount a simulated account; it needs no credentials.

    MOUNTPOINT is ~/ringcentral-demo unless you name one, and rcfs creates it. The simulated platform has the
    real request limits; --limit changes them.
    """

    def serve(parent: Parent | None) -> None:
        require_demo_extra()
        options = {"limit": limit, "log_level": log_level, "keep_purged": keep_purged}
        common = load_settings(options, os.environ, _NO_CONFIG, keyring=None, warn=warn)
        # The registry is the usual one, so that `rcfs status` and `rcfs umount` find the demo.
        registry = Registry(common.state_dir)
        settings = _demo_settings(common, cache_dir)
        check_mount(settings, options)
        path = ready_mountpoint(_created(mountpoint), settings, registry)
        if parent is not None:
            parent.leave_terminal(settings.files.early_errors)
        arguments = [f"--limit={text}" for text in limit]
        arguments += [f"--messages={messages}"] if messages is not None else []
        arguments += [f"--seed={seed}"] if seed is not None else []
        arguments += usual_ports(path)
        with running_simulator(arguments) as endpoints:
            serve_here(
                _with_endpoints(settings, endpoints),
                path,
                registry,
                parent,
                manager_of(parent),
                simulated=True,
                on_mounted=(lambda: None) if parent is not None else (lambda: _print_tour_aside(path)),
            )

    if foreground:
        serve(None)
    else:
        _print_tour(serve_in_background(context, serve))


def _demo_settings(common: Settings, cache_dir: Path | None) -> Settings:
    cache, state = platformdirs.user_cache_path("rcfs-demo"), platformdirs.user_state_path("rcfs-demo")
    if cache_dir is not None:
        cache, state = cache_dir.absolute() / "cache", cache_dir.absolute() / "state"
    return attrs.evolve(common, credentials=None, cache_dir=cache, state_dir=state)


def _with_endpoints(settings: Settings, endpoints: Mapping[str, str]) -> Settings:
    return attrs.evolve(
        settings,
        credentials=Credentials(
            server_url=endpoints["platform_url"],
            client_id=endpoints["client_id"],
            client_secret=endpoints["client_secret"],
            jwt=endpoints["jwt"],
        ),
    )


def _created(mountpoint: Path | None) -> Path:
    """The mount point, created if it is missing."""
    path = Path.home() / "ringcentral-demo" if mountpoint is None else mountpoint
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        pass  # It is checked later.
    except OSError as exc:
        raise MountError(f"{path} cannot be created: {exc.strerror}; choose another mount point") from exc
    return path


def usual_ports(mountpoint: Path) -> list[str]:
    """Options that give the simulator of `mountpoint` the same ports each time, if these are free.

    An account belongs to a server, whose address is in every record. With another port rcfs would load every
    mailbox again, and a second backup would find every file changed.
    """
    first = _PORTS[zlib.crc32(os.fsencode(mountpoint)) % (len(_PORTS) - 1)]
    wanted = {"--port": first, "--media-port": first + 1}
    return [f"{option}={port}" for option, port in wanted.items() if _is_free(port)]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Like the simulator's own socket, so that connections which have just ended do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def running_simulator(options: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """The endpoints of a simulator with `options` that runs while the block does.

    It has a session of its own, so that Ctrl-C ends the mount before its server. It ends with its stdin, so
    that it also ends when this process is killed.

    Raises:
        RcfsError: The simulator did not start; it has written the reason to stderr.
    """
    process = subprocess.Popen(
        rcfs_command("simulator", "--json", "--until-eof", *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield _endpoints(process, time.monotonic() + _SIMULATOR_WITHIN_S)
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(_SIMULATOR_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _endpoints(process: "subprocess.Popen[bytes]", deadline: float) -> Mapping[str, str]:
    assert process.stdout is not None  # noqa: S101 - Popen was called with PIPE
    descriptor = process.stdout.fileno()
    line = b""
    while not line.endswith(b"\n") and len(line) < _LINE_BYTES:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(descriptor, _LINE_BYTES) if ready else b""
        if not piece:
            how = (
                "; its error is above"
                if ready
                else f" within {_SIMULATOR_WITHIN_S:.0f} s; try fewer --messages"
            )
            raise RcfsError(f"the simulator did not start{how}")
        line += piece
    endpoints: dict[str, str] = json.loads(line)
    return endpoints


def _print_tour_aside(mountpoint: Path) -> None:
    """Prints the tour in another thread, because this one serves the mount that the tour reads."""
    threading.Thread(target=_print_tour, args=(mountpoint,), daemon=True).start()


def _print_tour(mountpoint: Path) -> None:
    """Prints the address of the simulator, and three commands to try, with paths that exist."""
    server = _server_of(mountpoint)
    if server:
        announce(f"  Watch it:    {own_name()} simulator --journal {server}   (prints the requests so far)")
        announce(f"  Disturb it:  {own_name()} simulator fault {server} reset   (lets the next request fail)")
    root = shlex.quote(str(mountpoint))
    text = _first(mountpoint, "*/SMS/*/text.txt")
    voicemail = _first(mountpoint, "*/Voicemail/*/voicemail *")
    announce("Try:")
    announce(f"  ls {shlex.quote(str(text.parent.parent))}" if text else f"  ls {root}")
    announce(f"  cat {shlex.quote(str(text))}" if text else f"  cat {root}/.rcfs/status")
    announce(f"  cp {shlex.quote(str(voicemail))} /tmp/" if voicemail else f"  cat {root}/.rcfs/quota")


def _server_of(mountpoint: Path) -> str:
    """The address of the simulator of a mount that is up; empty if the registry does not have it."""
    common = load_settings({}, os.environ, _NO_CONFIG, keyring=None, warn=lambda _line: None)
    records = Registry(common.state_dir).live()
    return next((record.server for record in records if record.mountpoint == mountpoint), "")


def _first(mountpoint: Path, pattern: str) -> Path | None:
    """A file below `mountpoint` whose path matches `pattern`; None if find has no match in time."""
    command = ["find", str(mountpoint), "-path", f"{_escaped(mountpoint)}/{pattern}", "-print0", "-quit"]
    found = run_limited(command, _TOUR_WITHIN_S)
    path = found.stdout.partition(b"\0")[0] if found is not None else b""
    return Path(os.fsdecode(path)) if path else None


def _escaped(path: Path) -> str:
    """`path` as a pattern of find that matches only itself."""
    return "".join(f"\\{character}" if character in "*?[\\" else character for character in str(path))
