"""`rcfs status`: shows the state of every mount."""

import json
import shlex
from pathlib import Path
from typing import Any

import click

from rcfs.cli._options import examples, json_option, state_dir_option
from rcfs.cli._output import say
from rcfs.cli._settings import read_settings
from rcfs.errors import MountError
from rcfs.host import MountRecord, Registry, run_limited

_ANSWER_WITHIN_S = 5.0
"""Longest wait for a mount, in seconds: it answers from memory in milliseconds, so one that takes longer
hangs."""


@click.command(
    "status", epilog=examples("rcfs status", "rcfs status --json | jq '.[].quota'", "watch rcfs status")
)
@state_dir_option
@json_option
@click.pass_context
def status(context: click.Context, state_dir: Path | None, *, as_json: bool) -> None:
    """Show the mounts that are up: quota, queue, cache, errors.

    It also shows a mount whose process is gone. Exits with 4 if there is such a mount, or one that does not
    answer.
    """
    settings = read_settings({"state_dir": state_dir}, login=False)
    registry = Registry(settings.state_dir)
    records, stale = registry.live(), registry.stale()
    documents = [(record, read_status(record.mountpoint)) for record in records]
    if as_json:
        silent = [document or _silent(record, "does not answer") for record, document in documents]
        say(json.dumps([*silent, *(_silent(record, "its process is gone") for record in stale)], indent=2))
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
    if stale or any(document is None for _, document in documents):
        context.exit(MountError.exit_code)


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
