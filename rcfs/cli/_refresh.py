"""`rcfs refresh`: asks running mounts to look for news now.

The way into a mount is a file below its ``.rcfs``, which no listing names, and whose opening is the wish. So
it goes to the mount that PATH is in, as the user who may look into it, and comes back when it was fulfilled,
with what was refreshed or why not.
"""

import errno
import json
import os
from pathlib import Path

import click

from rcfs.cli._options import PathText, examples, state_dir_option
from rcfs.cli._output import say
from rcfs.cli._settings import read_settings
from rcfs.errors import ConfigError, MountError, PlatformError, RcfsError
from rcfs.host import Registry, run_limited, script_command

_WITHIN_S = 630.0
"""A little longer than the mount itself takes at most, which then says why."""
_NO_MOUNT = (errno.EOPNOTSUPP, errno.ENOTCONN)


@click.command(
    "refresh",
    epilog=examples(
        "rcfs refresh                                       all mailboxes of all mounts",
        'rcfs refresh ~/"ringcentral/101 Jane Smith"        one mailbox',
    ),
)
@click.argument("path", type=PathText(), required=False)
@state_dir_option
def refresh(path: Path | None, state_dir: Path | None) -> None:
    """Looks for new messages now, in the mailbox that PATH is in, or in all that were looked into.

    Mounts do that by themselves at a look, and about every minute while somebody looks; refresh returns when
    it is done.
    """
    settings = read_settings({"state_dir": state_dir}, login=False)
    live = Registry(settings.state_dir).live() if path is None else []
    paths = [record.mountpoint for record in live] if path is None else [path]
    if not paths:
        raise MountError("no mount of rcfs is up")
    for one in paths:
        say(f"{one}: refreshed {_ask(one)}")


def _ask(path: Path) -> str:
    """What the mount that `path` is in has refreshed.

    Raises:
        ConfigError: There is nothing at `path`, or nothing that could be refreshed.
        MountError: It is in no mount of rcfs, or that does not answer.
        PlatformError: The mount could not refresh it.
    """
    done = run_limited(script_command("ask", str(path.absolute())), _WITHIN_S)
    if done is None or done.returncode != 0:
        raise MountError(f"{path} does not answer")
    answer = json.loads(done.stdout)
    if not answer["errno"]:
        return str(answer["said"])
    why = os.strerror(answer["errno"])
    if answer["errno"] in (errno.ENOENT, errno.ENOTDIR):
        raise ConfigError(f"there is no {path}")
    if answer["errno"] == errno.EPROTONOSUPPORT:
        raise MountError(f"{path} is in a mount of another version of rcfs: unmount it and mount it again")
    if answer["errno"] == errno.ENODATA:
        raise ConfigError(f"{path} is in no mailbox; name one, or the mount point for all of them")
    error: type[RcfsError] = MountError if answer["errno"] in _NO_MOUNT else PlatformError
    said = f"is not in a mount of rcfs ({why})" if error is MountError else f"cannot be refreshed: {why}"
    raise error(f"{path} {said}")
