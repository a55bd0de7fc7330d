"""`rcfs refresh`: lets mounts check for new messages now.

The command opens a file below ``.rcfs`` in the mount, which no listing names. So the mount that PATH is in
gets the request, with the rights of the user, and the open returns when the mount is done or has failed.
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
"""A little longer than the mount waits itself, so that its error arrives."""
_NO_MOUNT = (errno.EOPNOTSUPP, errno.ENOTCONN)


@click.command(
    "refresh",
    epilog=examples(
        "rcfs refresh                                       all mailboxes in all mounts",
        'rcfs refresh ~/"ringcentral/101 Jane Smith"        one mailbox',
    ),
)
@click.argument("path", type=PathText(), required=False)
@state_dir_option
def refresh(path: Path | None, state_dir: Path | None) -> None:
    """Check for new messages now.

    rcfs checks the mailbox that PATH is in; without PATH, all mailboxes that were listed in a mount. It
    returns when the check is done. A mount also checks by itself: when you list a mailbox, and about every
    minute while you do.
    """
    settings = read_settings({"state_dir": state_dir}, login=False)
    live = Registry(settings.state_dir).live() if path is None else []
    paths = [record.mountpoint for record in live] if path is None else [path]
    if not paths:
        raise MountError("no mount of rcfs is up; first run `rcfs mount`")
    for one in paths:
        say(f"{one}: refreshed {_ask(one)}")


def _ask(path: Path) -> str:
    """The names of the mailboxes that the mount has refreshed.

    Raises:
        ConfigError: `path` does not exist, or is not in a mailbox.
        MountError: `path` is not in a mount of rcfs, or the mount does not answer.
        PlatformError: The mount could not refresh the mailbox.
    """
    done = run_limited(script_command("ask", str(path.absolute())), _WITHIN_S)
    if done is None or done.returncode != 0:
        raise MountError(f"the mount at {path} does not answer; `rcfs status` shows its state")
    answer = json.loads(done.stdout)
    if not answer["errno"]:
        return str(answer["said"])
    why = os.strerror(answer["errno"])
    if answer["errno"] in (errno.ENOENT, errno.ENOTDIR):
        raise ConfigError(f"{path} does not exist; check the path")
    if answer["errno"] == errno.EPROTONOSUPPORT:
        raise MountError(f"{path} is in a mount of another version of rcfs; unmount it, and mount it again")
    if answer["errno"] == errno.ENODATA:
        raise ConfigError(f"{path} is not in a mailbox; name a mailbox, or the mount point for all of them")
    error: type[RcfsError] = MountError if answer["errno"] in _NO_MOUNT else PlatformError
    said = f"is not in a mount of rcfs ({why})" if error is MountError else f"cannot be refreshed: {why}"
    raise error(f"{path} {said}")
