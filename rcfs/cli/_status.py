"""`rcfs status`: shows the state of every mount, once or again and again."""

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click

from rcfs.cli._options import Seconds, examples, json_option, state_dir_option
from rcfs.cli._output import say
from rcfs.cli._settings import read_settings
from rcfs.errors import ConfigError, MountError
from rcfs.host import MountRecord, Registry, run_limited

_ANSWER_WITHIN_S = 5.0
"""Longest wait for a mount, in seconds: it answers from memory in milliseconds, so one that takes longer
hangs."""
_EVERY_S = 2.0
"""Time between two looks of ``--watch``, as watch(1) has it."""
_LEAST_S = 0.2
"""Shortest time between them: a look starts a process for each mount."""
_CLEAR = "\033[H\033[2J\033[3J"
"""Clears a terminal."""


@click.command(
    "status",
    epilog=examples("rcfs status", "rcfs status --json | jq '.[].quota'", "rcfs status --watch", "rcfs top"),
)
@click.option(
    "--watch",
    "every_s",
    is_flag=False,
    flag_value=_EVERY_S,
    type=Seconds(),
    metavar="[SECONDS]",
    help=f"Show it again every SECONDS, until Ctrl-C.  [default: {_EVERY_S:.0f}]",
)
@state_dir_option
@json_option
@click.pass_context
def status(context: click.Context, state_dir: Path | None, *, every_s: float | None, as_json: bool) -> None:
    """Show the mounts that are up: quota, queue, cache, errors.

    It also shows a mount whose process is gone. Exits with 4 if there is such a mount, or one that does not
    answer.
    """
    if every_s is not None and not every_s >= _LEAST_S:
        raise ConfigError(f"--watch: SECONDS must be at least {_LEAST_S}")
    settings = read_settings({"state_dir": state_dir}, login=False)
    registry = Registry(settings.state_dir)
    if every_s is None:
        if not _show(registry, as_json=as_json):
            context.exit(MountError.exit_code)
        return
    while True:
        _begin_again(as_json=as_json)
        _show(registry, as_json=as_json, on_one_line=True)
        sys.stdout.flush()
        time.sleep(every_s)


def _begin_again(*, as_json: bool) -> None:
    """Separates a look from the one before: on a terminal it takes the place of that one."""
    if sys.stdout.isatty():
        sys.stdout.write(_CLEAR)
    elif not as_json:
        say(time.strftime("--- %Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def _show(registry: Registry, *, as_json: bool, on_one_line: bool = False) -> bool:
    """Prints the state of all mounts, JSON on one line if wanted; whether all of them answer."""
    records, stale = registry.live(), registry.stale()
    documents = [(record, read_status(record.mountpoint)) for record in records]
    if as_json:
        silent = [document or _silent(record, "does not answer") for record, document in documents]
        gone = [_silent(record, "its process is gone") for record in stale]
        say(json.dumps([*silent, *gone], indent=None if on_one_line else 2))
    elif not documents and not stale:
        say("No mount of rcfs is up.")
    else:
        from rcfs.status import render_status, status_from_json

        for record, document in documents:
            if document is None:
                say(
                    f"{record.mountpoint} does not answer (process {record.pid}, since {record.started});"
                    f" try again, or end it: rcfs umount {shlex.quote(str(record.mountpoint))}"
                )
            else:
                say(render_status(status_from_json(document)).rstrip("\n"))
        for record in stale:
            say(
                f"{record.mountpoint} is still mounted, but its process {record.pid} (since {record.started})"
                f" is gone; unmount it: rcfs umount {shlex.quote(str(record.mountpoint))}"
            )
    return not stale and all(document is not None for _, document in documents)


def read_status(mountpoint: Path) -> dict[str, Any] | None:
    """The status document of the mount at `mountpoint`; None when it does not answer in time."""
    done = run_limited(["cat", "--", str(mountpoint / ".rcfs" / "status.json")], _ANSWER_WITHIN_S)
    if done is None or done.returncode != 0:
        return None
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _silent(record: MountRecord, error: str) -> dict[str, Any]:
    return {
        "mountpoint": str(record.mountpoint),
        "pid": record.pid,
        "server": record.server,
        "started": record.started,
        "error": error,
    }
