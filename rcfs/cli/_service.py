"""`rcfs service`: systemd mounts an account in every session, and pulls it in the night."""

import json
import os
import pwd
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from rcfs.cli._options import MountpointText, PathText, SummarisingGroup, examples, json_option, several
from rcfs.cli._output import announce, own_name, say, say_json, warn
from rcfs.cli._run import check_mount
from rcfs.config import Settings, find_config, load_settings
from rcfs.errors import ConfigError, MountError, RcfsError
from rcfs.host import (
    MountKind,
    Registry,
    SystemFiles,
    UserUnits,
    check_apart,
    inspect_mountpoint,
    mount_unit,
    pull_units,
    rcfs_command,
    unit_name,
)

_LINGER = Path("/var/lib/systemd/linger")
"""It has a file for each user whose units start at boot. Source: loginctl(1)."""
_PULL_PREFIX = "rcfs-pull"


_places = several(
    click.option(
        "--pull", "target", type=PathText(), metavar="DIR", help="The nightly copy in DIR, not a mount."
    ),
    click.option(
        "--system",
        is_flag=True,
        help="The program for mount -t fuse.rcfs and /etc/fstab, and a link for sudo. Needs root.",
    ),
)


@click.group(
    "service",
    cls=SummarisingGroup,
    epilog=examples(
        "rcfs service install ~/ringcentral                mount it now and in every session",
        "rcfs service install --pull ~/backup --daily      copy everything, every night",
        "rcfs service status",
    ),
)
def service() -> None:
    """Start rcfs with your session, with systemd."""


@service.command(
    "install",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    epilog=examples(
        "rcfs service install ~/ringcentral                   mount it now and in every session",
        "rcfs service install ~/ringcentral --keep-purged     with options of `rcfs mount`",
        "rcfs service install --pull ~/backup --daily         copy everything, every night at two",
        "rcfs service install --pull ~/calls --type recording    with options of `rcfs pull`",
        "sudo rcfs service install --system                   for /etc/fstab: install mount.fuse.rcfs",
    ),
)
@_places
@click.option(
    "--daily", "often", flag_value="daily", default=True, help="With --pull: every night (the default)."
)
@click.option("--weekly", "often", flag_value="weekly", help="With --pull: every Sunday.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[MOUNTPOINT] [OPTION]...")
@click.pass_context
def install(
    context: click.Context, target: Path | None, *, system: bool, often: str, words: tuple[str, ...]
) -> None:
    """Make systemd mount your account at MOUNTPOINT, or copy it to DIR.

    The mount starts now and with your session. When its process dies, systemd starts it again, which replaces
    the dead mount. Each OPTION is one of `rcfs mount`, with --pull one of `rcfs pull`; to change them, run
    the command again. Variables of your shell do not count, only `rcfs login` and config.toml.
    """
    is_pull = target is not None
    if system and (is_pull or words):
        raise click.UsageError("--system installs files for all users; leave the rest out")
    if not is_pull and context.get_parameter_source("often") is ParameterSource.COMMANDLINE:
        raise click.UsageError(f"--{often} needs --pull DIR")
    if system:
        _install_system()
    elif target is not None:
        _install_pull(context, _absolute(target), often, words)
    elif words:
        _install_mount(context, words)
    else:
        raise click.UsageError("name a MOUNTPOINT, or give --pull DIR or --system")


@service.command("uninstall", epilog=examples("rcfs service uninstall ~/ringcentral"))
@_places
@click.argument("mountpoint", type=MountpointText(), required=False)
def uninstall(target: Path | None, mountpoint: Path | None, *, system: bool) -> None:
    """Undo an install: unmount, and remove what `rcfs service install` made. Copies stay."""
    if system:
        files = SystemFiles()
        _require(files.uninstall(), f"neither {files.helper} nor {files.link} is by rcfs")
        announce(f"Removed {files.helper} and the link {files.link}.")
        return
    names = _names(mountpoint, target)
    _require(UserUnits().uninstall(names), f"there is no unit {names[-1]}; `rcfs service status` lists yours")
    announce(f"Removed {' and '.join(names)}.")


@service.command(
    "status", epilog=examples("rcfs service status", "rcfs service status --json | jq '.[].state'")
)
@click.argument("mountpoint", type=MountpointText(), required=False)
@json_option
@click.pass_context
def status(context: click.Context, mountpoint: Path | None, *, as_json: bool) -> None:
    """Show the units that `rcfs service install` made. Exits with 1 if one of them is not up."""
    units = UserUnits()
    units.check()
    names = units.ours()
    if mountpoint is not None:
        names = tuple(name for name in names if name in _names(mountpoint, None))
        _require(
            bool(names), f"{mountpoint} has no unit; `rcfs service install {shlex.quote(str(mountpoint))}`"
        )
    found = {name: units.properties(name) for name in names}
    if as_json:
        say_json(json.dumps([_as_json(name, unit) for name, unit in found.items()], indent=2))
    elif not found:
        say("No units of rcfs; `rcfs service install MOUNTPOINT` makes one.")
    for name, unit in found.items():
        if not as_json and not name.startswith(f"{_PULL_PREFIX}-"):
            say(f"{name}: {_mount_line(unit)}")
        elif not as_json and name.endswith(".timer"):
            say(f"{name}: {_pull_line(unit, found.get(name.replace('.timer', '.service'), {}))}")
    if not all(_is_good(name, unit) for name, unit in found.items()):
        context.exit(1)


def _parsed(install: click.Context, command: click.Command, words: Sequence[str]) -> click.Context:
    """The context of `command` with the arguments `words`, which are part of the command line of `install`.

    Raises:
        UsageError: They are wrong.
    """
    try:
        return command.make_context(f"rcfs {command.name}", list(words))
    except click.UsageError as exc:
        exc.ctx = install  # or the person would read the usage of a command that was not given
        own = {name for option in install.command.params for name in option.opts}
        if isinstance(exc, click.NoSuchOption) and exc.option_name in own:
            raise click.UsageError(
                f"give {exc.option_name} first; with --pull or --system there is no MOUNTPOINT", install
            ) from exc
        raise


def _install_mount(install: click.Context, words: Sequence[str]) -> None:
    from rcfs.cli._mount import mount

    context = _parsed(install, mount, words)
    named = context.params["mountpoint"]
    place = _absolute(named)
    settings = _settings_of(install, context)
    check_mount(settings, context.params)
    units = UserUnits()
    units.check()
    (name,) = _names(place, None)
    state = inspect_mountpoint(place, Registry(settings.state_dir))
    if not (units.is_ours(name) and units.properties(name)["ActiveState"] == "active"):
        if state.kind not in (MountKind.FREE, MountKind.STALE):
            raise MountError(f"{state.detail}; {state.advice}" if state.advice else state.detail)
        check_apart(state.path, settings)
    arguments = [str(state.path) if Path(word) == named else word for word in words]
    _start(units, {name: mount_unit(rcfs_command(), arguments, str(state.path))}, name)
    announce(f"Mounted at {place}, now and with every session, by {name}.")
    _tell_more(name)


def _install_pull(install: click.Context, target: Path, often: str, words: Sequence[str]) -> None:
    from rcfs.cli._pull import pull

    _settings_of(install, _parsed(install, pull, ["--to", str(target), *words]))
    units = UserUnits()
    units.check()
    job, timer = _names(None, target)
    command = rcfs_command("pull", "--to", str(target), *words)
    texts = pull_units(command, str(target), often)
    _start(units, dict(zip((job, timer), texts, strict=True)), timer)
    announce(f"Copies the account to {target}, {often}, by {timer}.")
    announce(f"  Copy now:    systemctl --user start {job}")
    _tell_more(job)


def _install_system() -> None:
    files = SystemFiles()
    files.install()
    announce(f"Installed {files.helper} and the link {files.link}. A line of /etc/fstab:")
    announce(
        "  rcfs /home/jane/ringcentral fuse.rcfs setuid=jane,noauto,user,_netdev,x-systemd.automount 0 0"
    )
    if others := files.others():
        warn(
            f"users other than root can change {others[0]}, and root runs it for each line of /etc/fstab"
            " without setuid=; install rcfs as root, for example in /opt/rcfs"
        )


def _start(units: UserUnits, texts: Mapping[str, str], name: str) -> None:
    try:
        units.install(texts, name)
    except RcfsError as exc:
        raise type(exc)(
            f"{exc}; `journalctl --user -eu {name}` shows why. A unit that was written is tried again every"
            " 10 s until you uninstall it"
        ) from exc


def _tell_more(name: str) -> None:
    announce(f"  Its state:   {own_name()} service status")
    announce(f"  Its log:     journalctl --user -eu {name}")
    if not (_LINGER / pwd.getpwuid(os.getuid()).pw_name).is_file():
        announce("  To start it at boot, before you log in:   loginctl enable-linger")


def _settings_of(install: click.Context, context: click.Context) -> Settings:
    """The settings that a unit would read with the options of `context`: without the variables of this shell.

    Raises:
        ConfigError: They are wrong, or credentials are missing.
        UsageError: A path is relative.
    """
    for path in context.params.values():
        if isinstance(path, Path) and not path.is_absolute() and path != context.params.get("mountpoint"):
            raise click.UsageError(f"{path}: a unit needs absolute paths", install)
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("RC_", "RCFS_"))}
    settings = load_settings(
        context.params, environ, find_config(environ, context.params.get("config")), warn=warn
    )
    if settings.credentials is None:
        why = f" ({settings.keyring_problem})" if settings.keyring_problem else ""
        raise ConfigError(
            f"no credentials are saved{why}, and a unit does not get the variables of this shell; run"
            f" `{settings.login_command}`"
        )
    return settings


def _names(mountpoint: Path | None, target: Path | None) -> tuple[str, ...]:
    if target is not None:
        name = unit_name(_absolute(target), _PULL_PREFIX)
        return (f"{name}.service", f"{name}.timer")
    if mountpoint is None:
        raise click.UsageError("name a MOUNTPOINT, or give --pull DIR or --system")
    return (f"{unit_name(_absolute(mountpoint))}.service",)


def _absolute(path: Path) -> Path:
    """`path` without a look at it: it may be a mount that hangs."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve follows links, Path.absolute keeps ".."


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise RcfsError(otherwise)


def _is_good(name: str, unit: Mapping[str, str]) -> bool:
    """Whether a mount is up; of a pull, whether its timer waits and its last run was good."""
    if name.startswith(f"{_PULL_PREFIX}-") and name.endswith(".service"):
        return unit["Result"] == "success"
    return unit["ActiveState"] == "active"


def _mount_line(unit: Mapping[str, str]) -> str:
    parts = ["up" if unit["ActiveState"] == "active" else f"{unit['ActiveState']} ({unit['SubState']})"]
    if unit["Result"] != "success":
        parts.append(unit["Result"])
    if unit.get("StatusText"):
        parts.append(unit["StatusText"])
    state = ", ".join(parts)
    restarts = "" if unit["NRestarts"] in ("", "0") else f"; restarts: {unit['NRestarts']}"
    return f"{state}{restarts}"


def _pull_line(timer: Mapping[str, str], job: Mapping[str, str]) -> str:
    if job.get("ActiveState") == "activating":
        return "runs now"
    ended = job.get("ExecMainExitTimestamp")
    last = f"last {ended}: {job['Result']}" if ended else "never ran"
    return f"next {timer['NextElapseUSecRealtime'] or 'never'}; {last}"


def _as_json(name: str, unit: Mapping[str, str]) -> dict[str, object]:
    return {
        "unit": name,
        "description": unit["Description"],
        "state": unit["ActiveState"],
        "detail": unit.get("StatusText") or unit["SubState"],
        "result": unit["Result"],
        "restarts": int(unit.get("NRestarts") or 0),
        "next": unit.get("NextElapseUSecRealtime") or None,
        "last": unit.get("ExecMainExitTimestamp") or None,
    }
