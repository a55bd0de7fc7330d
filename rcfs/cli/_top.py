"""`rcfs top`: a live view of a mount."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rcfs.cli._options import MountpointText, Seconds, examples, state_dir_option
from rcfs.cli._settings import read_settings
from rcfs.cli._status import read_status
from rcfs.errors import ConfigError, MountError, install_command
from rcfs.host import Registry, run_limited

if TYPE_CHECKING:
    from rcfs.status import Status

_EVERY_S = 1.0
_LEAST_S = 0.2
"""Shortest time between two looks, each of which starts a process."""
_ACTS_WITHIN_S = 5.0
"""Longest wait for the mount to refuse or release a reader, which takes milliseconds."""


@click.command("top", epilog=examples("rcfs top", "rcfs top ~/ringcentral --every 5"))
@click.argument("mountpoint", type=MountpointText(), required=False)
@click.option(
    "--every",
    "every_s",
    type=Seconds(),
    default=_EVERY_S,
    metavar="SECONDS",
    help=f"Look every SECONDS.  [default: {_EVERY_S:.0f}]",
)
@state_dir_option
def top(mountpoint: Path | None, state_dir: Path | None, every_s: float) -> None:
    """Watch a mount live: quota, queue, readers, loads, outbox.

    Without MOUNTPOINT, it is the mount that began last. Keys: s sorts the readers, r refuses the reader under
    the cursor (it gets EBUSY until you press r again), p pauses, q quits.
    """
    if every_s < _LEAST_S:
        raise ConfigError(f"--every: SECONDS must be at least {_LEAST_S}")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("`rcfs top` needs a terminal; use `rcfs status --watch` in a pipe")
    settings = read_settings({"state_dir": state_dir}, login=False)
    if mountpoint is None:
        records = Registry(settings.state_dir).live()
        if not records:
            raise MountError("no mount of rcfs is up; first run `rcfs mount`")
        mountpoint = max(records, key=lambda record: record.started).mountpoint
    path = mountpoint.absolute()
    if read_status(path) is None:
        raise MountError(f"no mount of rcfs answers at {path}; `rcfs status` lists the mounts")
    try:
        from rcfs.watch.top import Top
    except ModuleNotFoundError as exc:
        raise ConfigError(
            f"`rcfs top` needs the package textual, which is not installed; run: {install_command('top')}"
        ) from exc
    Top(lambda: _look(path), lambda action, pid: _act(path, action, pid), every_s=every_s).run()


def _look(mountpoint: Path) -> "Status | None":
    from rcfs.status import status_from_json

    document = read_status(mountpoint)
    return None if document is None else status_from_json(document)


def _act(mountpoint: Path, action: str, pid: int) -> str:
    """Refuses or releases a process of the mount; a line about that.

    Raises:
        MountError: The mount does not.
    """
    done = run_limited(["cat", "--", str(mountpoint / ".rcfs" / action / str(pid))], _ACTS_WITHIN_S)
    if done is None:
        raise MountError("the mount does not answer")
    if done.returncode != 0:
        raise MountError(f"process {pid} has ended, or belongs to another user")
    return done.stdout.decode(errors="replace").strip()
