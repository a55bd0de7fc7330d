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
from rcfs.model import DELETE_LIMIT, Plan

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_Decorator = Callable[[_Decorated], _Decorated]


_SUMMARY = 1000
"""Number of characters from which click would cut a summary: more than any has."""


class SummarisingGroup(click.Group):
    """A group whose help never cuts the summary of a command."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the summary of each command; click would cut it where the terminal is narrow."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(_SUMMARY))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class PathText(click.ParamType[Path]):
    """A path that is not touched: `click.Path` would call stat, which never returns on a hung mount."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """`value` as a path."""
        if not str(value):
            self.fail("a path must not be empty", param, ctx)
        return Path(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,
        incomplete: str,
    ) -> list[CompletionItem]:
        """Lets the shell complete directories, or files where the help says FILE."""
        return [CompletionItem(incomplete, type="file" if param.metavar == "FILE" else "dir")]


class Seconds(click.ParamType[float]):
    """A number of seconds; the settings check its bounds."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """`value` as a number."""
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number of seconds, such as 60 or 2.5", param, ctx)


class MountpointText(PathText):
    """A mount point of rcfs."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The matching mount points that this user can unmount; else lets the shell complete."""
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
    """A path in the tree or in a mount, which is not touched."""

    name = "path"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Lets the shell complete files."""
        return [CompletionItem(incomplete, type="file")]


def examples(*lines: str) -> str:
    """An epilog with one example on each of `lines`."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def several(*decorators: Callable[[Any], Any]) -> _Decorator[Any]:
    """All of these decorators as one, the first one outermost."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def _value(flag: str, metavar: str, description: str, **more: Any) -> _Decorator[Any]:
    """An option with a value."""
    return click.option(flag, metavar=metavar, help=description, **more)


def _switch(name: str, description: str) -> _Decorator[Any]:
    """An option that can be switched on and off; None when it is not given."""
    return click.option(f"--{name}/--no-{name}", default=None, help=description)


LOGIN_CHOICE = "rcfs.login"
"""Key of click's context under which the options of `choose_login` are, by name."""


def _choose(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        context.meta.setdefault(LOGIN_CHOICE, {})[parameter.name] = value


def choose_login(command: click.Command) -> None:
    """Gives `command` and all below it the options that choose a saved login; `read_settings` finds them."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            choose_login(each)
    if not any(parameter.name == "account" for parameter in command.params):
        command.params += [
            click.Option(
                ["--account"],
                metavar="NAME",
                expose_value=False,
                callback=_choose,
                help="Use the login that `rcfs login --account NAME` saves.",
            ),
            click.Option(
                ["--credentials-file"],
                metavar="FILE",
                type=PathText(),
                expose_value=False,
                callback=_choose,
                help="Keep the credentials in FILE, and not in the keyring.",
            ),
        ]


state_dir_option = _value(
    "--state-dir", "DIR", "Use DIR for the index, the quota and the logs.", type=PathText()
)
cache_dir_option = _value("--cache-dir", "DIR", "Use DIR for the cache.", type=PathText())
cache_size_option = _value("--cache-size", "SIZE", "Limit the cache to SIZE, such as 10GiB or 500M.")
max_content_option = _value("--max-content", "SIZE", "Fetch no file larger than SIZE.  [default: 4GiB]")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
limit_option = click.option(
    "--limit",
    multiple=True,
    metavar=LIMIT_FORM,
    help="Set the limit of a usage plan group: N requests per window, such as medium=40. WINDOW and PENALTY"
    f" are seconds, {attrs.fields(Plan).window_s.default:.0f} each by default. Repeatable.",
)
log_level_option = click.option(
    "--log-level", type=click.Choice(LOG_LEVELS), help="Log events of this level and above."
)
foreground_option = click.option(
    "-f", "--foreground", is_flag=True, help="Stay in the foreground, and log to stderr."
)
keep_purged_option = _switch(
    "keep-purged",
    "Keep messages that RingCentral purges, in the folder Purged, and their cached files.  [default: as last"
    " time]",
)
server_url_option = _value("--server-url", "URL", "Log in to the server at URL.")
config_option = _value(
    "--config", "FILE", "Read the settings in FILE, not in ~/.config/rcfs/config.toml.", type=PathText()
)
engine_options = several(
    config_option,
    server_url_option,
    cache_dir_option,
    cache_size_option,
    max_content_option,
    state_dir_option,
    limit_option,
    log_level_option,
)
mount_options = several(
    config_option,
    server_url_option,
    cache_dir_option,
    cache_size_option,
    max_content_option,
    state_dir_option,
    _value(
        "--max-wait",
        "SECONDS",
        f"Let a read wait at most SECONDS for content.  [default: {DEFAULT_MAX_WAIT_S:.0f}]",
        type=Seconds(),
    ),
    _switch("allow-other", "Let root and other users enter the mount."),
    _value("--uid", "USER", "Make USER the owner of all files, by name or number.  [default: you]"),
    _value("--gid", "GROUP", "Make GROUP the group of all files.  [default: yours]"),
    _value(
        "--umask", "OCTAL", "Remove these permissions from all files.  [default: 077, with --allow-other 022]"
    ),
    _switch("read-only", "Refuse all changes, even new searches in Search."),
    _switch("read-write", "Let programs mark, delete and restore messages, and set greetings."),
    _switch(
        "allow-purge",
        "With --read-write: let programs delete messages for good, in Trash. Then `rm -r` of a whole mailbox"
        " may move messages to Trash first, and purge them when it gets there.",
    ),
    _value(
        "--delete-limit",
        "N",
        f"Hold back more than N deletions in an hour until you confirm them.  [default: {DELETE_LIMIT}]",
        type=click.IntRange(0),
    ),
    _switch("send", "Send what programs put into the directory Outbox of your extension."),
    _switch("list-control", "List the directory .rcfs; it opens by name in any case."),
    click.option(
        "-o",
        "words",
        multiple=True,
        metavar="WORD,…",
        help="Take options as in /etc/fstab, such as allow_other,uid=jane,umask=022,ro.",
    ),
    _value("--fs-subtype", "NAME", f"Give the mount the type fuse.NAME.  [default: {DEFAULT_SUBTYPE}]"),
    _value(
        "--crawler",
        "NAME",
        "Let the program NAME read only cached files, as thumbnailers do. Repeatable.",
        multiple=True,
    ),
    click.option(
        "--crawler-policy",
        type=click.Choice(CRAWLER_POLICIES),
        help="Refuse a crawler that opens a file which is not cached, or fetch the file after all others."
        f"  [default: {CRAWLER_POLICIES[0]}]",
    ),
    _switch("keep-listings", "Let the kernel keep listings of directories.  [default: on, where possible]"),
    _switch("fast-wait", "Poll the kernel for a faster answer.  [default: on, where possible]"),
    _switch(
        "offline",
        "Ask the server nothing: serve the local index and the cache, and fail at once for the rest.",
    ),
    _value(
        "--wait-online",
        "SECONDS",
        "Wait at most SECONDS for the network, on the first mount of an account."
        f"  [default: {DEFAULT_WAIT_ONLINE_S:.0f}; 0 with -f]",
        type=Seconds(),
    ),
    _value(
        "--metrics",
        "HOST:PORT",
        "Tell Prometheus the state of the mount at http://HOST:PORT/metrics, such as 127.0.0.1:9817.",
    ),
    _value("--metrics-textfile", "FILE", "Write the same to FILE.prom, for node_exporter.", type=PathText()),
    _switch("notify", "Tell the desktop of new voicemails and faxes, and of failures that need you."),
    _switch(
        "bookmark",
        "Add the mount to the bookmarks of file managers while it is up, unless they show it anyway: in your"
        " home directory, or with x-gvfs-show in /etc/fstab. There, bookmark,x-gvfs-hide shows it in all.",
    ),
    _switch("preload", "Load mailboxes in the background, before you open them.  [default: preload]"),
    keep_purged_option,
    limit_option,
    log_level_option,
)
