"""Arguments and options that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
from click.shell_completion import CompletionItem

from rcfs.config import (
    CRAWLER_POLICIES,
    DEFAULT_MAX_WAIT_S,
    DEFAULT_SUBTYPE,
    DEFAULT_WAIT_ONLINE_S,
    LIMIT_FORM,
    LOG_LEVELS,
)
from rcfs.model import Plan

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_Decorator = Callable[[_Decorated], _Decorated]


_SUMMARY = 1000
"""Longest summary of a command in `--help`, in characters; no sentence is as long."""


class SummarisingGroup(click.Group):
    """A group whose help says what each command does, in whole."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes what each command does, which click would end after some words."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(_SUMMARY))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class PathText(click.ParamType[Path]):
    """A path that is not looked at: `click.Path` would call stat, which never returns on a hung mount."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """`value` as a path."""
        if not str(value):
            self.fail("a path cannot be empty", param, ctx)
        return Path(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Leaves completion to the shell: directories."""
        return [CompletionItem(incomplete, type="dir")]


class Seconds(click.ParamType[float]):
    """A number of seconds; what uses it says which are allowed."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """`value` as a number."""
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number of seconds, such as 60 or 2.5", param, ctx)


class MountpointText(PathText):
    """A path where rcfs is mounted."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The mounts of rcfs that begin so and that this user can unmount; else leaves it to the shell."""
        from rcfs.host import read_mounts

        own = (
            mount.path
            for mount in read_mounts()
            if mount.fstype == f"fuse.{DEFAULT_SUBTYPE}" and os.geteuid() in (0, mount.owner)
        )
        found = {form for path in own for form in (str(path), os.path.relpath(path))}
        begun = sorted(form for form in found if form.startswith(incomplete))
        if not incomplete:
            begun = [form for form in begun if form.startswith("/")]
        return [CompletionItem(form) for form in begun] or super().shell_complete(ctx, param, incomplete)


class TreePathText(click.ParamType[str]):
    """A path in the tree, or of a file in a mount; not looked at either."""

    name = "path"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Leaves completion to the shell: files."""
        return [CompletionItem(incomplete, type="file")]


def examples(*lines: str) -> str:
    """An epilog that shows `lines` as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _several(*decorators: Callable[[Any], Any]) -> _Decorator[Any]:
    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


state_dir_option = click.option(
    "--state-dir", type=PathText(), metavar="DIR", help="Index, quota ledger, logs, registry of mounts."
)
cache_dir_option = click.option("--cache-dir", type=PathText(), metavar="DIR", help="Directory of the cache.")
cache_size_option = click.option(
    "--cache-size", metavar="SIZE", help="Cap of the cache, such as 10GiB or 500M."
)
max_content_option = click.option(
    "--max-content", metavar="SIZE", help="Largest file to fetch, such as 4GiB.  [default: 4GiB]"
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
limit_option = click.option(
    "--limit",
    multiple=True,
    metavar=LIMIT_FORM,
    help="Requests per window of a usage plan group, such as medium=40; window and penalty in seconds, each"
    f" {attrs.fields(Plan).window_s.default:.0f} if left out. Repeatable.",
)
log_level_option = click.option(
    "--log-level", type=click.Choice(LOG_LEVELS), help="Least severe level to log."
)
foreground_option = click.option(
    "-f", "--foreground", is_flag=True, help="Stay in the foreground and log to stderr."
)
keep_purged_option = click.option(
    "--keep-purged/--no-keep-purged",
    default=None,
    help="Keep what RingCentral purges, in Purged, and its cached files for ever.  [default: as last said]",
)
server_url_option = click.option("--server-url", metavar="URL", help="Server to log in to.")
engine_options = _several(
    server_url_option,
    cache_dir_option,
    cache_size_option,
    max_content_option,
    state_dir_option,
    limit_option,
    log_level_option,
)
mount_options = _several(
    server_url_option,
    cache_dir_option,
    cache_size_option,
    max_content_option,
    state_dir_option,
    click.option(
        "--max-wait",
        type=Seconds(),
        metavar="SECONDS",
        help=f"Longest wait for content inside the mount.  [default: {DEFAULT_MAX_WAIT_S:.0f}]",
    ),
    click.option(
        "--allow-other/--no-allow-other", default=None, help="Let root and other users enter the mount."
    ),
    click.option("--uid", metavar="USER", help="Whom all files belong to, a name or number.  [default: you]"),
    click.option("--gid", metavar="GROUP", help="Their group, a name or number.  [default: yours]"),
    click.option(
        "--umask",
        metavar="OCTAL",
        help="Permissions that no file has.  [default: 077, with --allow-other 022]",
    ),
    click.option(
        "--read-only/--no-read-only", default=None, help="Change nothing, not even the directory Search."
    ),
    click.option(
        "--list-control/--no-list-control",
        default=None,
        help="List the directory .rcfs, which can be opened in any case.",
    ),
    click.option(
        "-o",
        "words",
        multiple=True,
        metavar="WORD,…",
        help="The same as in /etc/fstab: allow_other,uid=jane,umask=022,ro and all other options.",
    ),
    click.option(
        "--fs-subtype", metavar="NAME", help=f"The mount's type after 'fuse.'.  [default: {DEFAULT_SUBTYPE}]"
    ),
    click.option(
        "--crawler",
        multiple=True,
        metavar="NAME",
        help="A program that gets what is cached and no more, as thumbnailers do. Repeatable.",
    ),
    click.option(
        "--crawler-policy",
        type=click.Choice(CRAWLER_POLICIES),
        help=f"Refuse crawlers, or let them have a request last.  [default: {CRAWLER_POLICIES[0]}]",
    ),
    click.option(
        "--fast-wait/--no-fast-wait",
        default=None,
        help="Wait for the kernel in a way that answers sooner.  [default: where it is possible]",
    ),
    click.option(
        "--offline/--no-offline",
        default=None,
        help="Never ask the server: serve what is known and cached, and let the rest fail at once.",
    ),
    click.option(
        "--wait-online",
        type=Seconds(),
        metavar="SECONDS",
        help="How long the first mount of an account waits for the network."
        f"  [default: {DEFAULT_WAIT_ONLINE_S:.0f}; 0 with -f]",
    ),
    click.option(
        "--preload/--no-preload",
        default=None,
        help="Load mailboxes in the background, before anybody looks into them.  [default: preload]",
    ),
    keep_purged_option,
    limit_option,
    log_level_option,
)
