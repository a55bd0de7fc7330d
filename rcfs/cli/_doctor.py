"""`rcfs doctor`: looks at everything that a mount needs, changes nothing, and says what to do."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import click

from rcfs._interrupt import loading
from rcfs.cli._findings import Finding, State
from rcfs.cli._mount_words import MountCommand
from rcfs.cli._options import PathText, examples, json_option, mount_options
from rcfs.cli._output import error_line, say
from rcfs.config import Settings, find_config, load_settings, locks_out
from rcfs.errors import ConfigError, FuseUnavailableError, MountError, RcfsError, sole_cause
from rcfs.host import (
    FuseSystem,
    MountKind,
    Registry,
    check_apart,
    inspect_mountpoint,
    mount_below,
    read_mounts,
)
from rcfs.model import format_size, one_line

_FAR_TYPES = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs")
"""SQLite's locks and shared memory do not work over them. Source: sqlite.org/wal.html, "Disadvantages"."""
_STYLES = {State.OK: "green", State.NOTE: "yellow", State.PROBLEM: "red"}
_LOW_SPACE_BYTES = 1 << 30
"""Below 1 GiB free the cache holds little and may stop storing."""


@click.command(
    "doctor",
    cls=MountCommand,
    epilog=examples("rcfs doctor", "rcfs doctor ~/ringcentral", "rcfs doctor --json | jq '.[].state'"),
)
@click.argument("mountpoint", type=PathText(), required=False)
@mount_options
@json_option
@click.pass_context
def doctor(context: click.Context, /, mountpoint: Path | None, *, as_json: bool, **options: Any) -> None:
    """Checks FUSE, the configuration, the login, the directories and MOUNTPOINT; says what to do.

    The login is tried, with a few requests. Exits with 1 when there is a problem.
    """
    findings = list(examine(options, mountpoint, FuseSystem()))
    if as_json:
        fields = [{**attrs.asdict(finding), "state": str(finding.state)} for finding in findings]
        say(json.dumps(fields, indent=2))
    else:
        _print(findings)
    if any(finding.state is State.PROBLEM for finding in findings):
        context.exit(1)


def examine(options: dict[str, Any], mountpoint: Path | None, system: FuseSystem) -> Iterator[Finding]:
    """Everything that is checked, in the order in which a mount would need it."""
    yield _fuse(system)
    warnings: list[str] = []
    try:
        config_path = find_config(os.environ)
        settings = load_settings(options, os.environ, config_path, warn=warnings.append)
    except ConfigError as exc:
        # Without settings there is no telling which directories and server are meant.
        yield Finding(
            "configuration", State.PROBLEM, error_line(exc), "correct it, and run rcfs doctor again"
        )
        return
    there = "is well-formed" if config_path.exists() else "does not exist (it need not)"
    yield Finding("configuration", State.OK, f"{config_path} {there}")
    for line in warnings:
        yield Finding("configuration", State.NOTE, line)
    yield _allow_other(settings, system)
    yield _request_timeout(settings, system)
    yield directory_finding("cache directory", settings.cache_dir, settings.cache_size_bytes)
    yield directory_finding("state directory", settings.state_dir, _LOW_SPACE_BYTES)
    if mountpoint is not None:
        yield _mountpoint(mountpoint, settings)
    yield from _server(settings)


def _fuse(system: FuseSystem) -> Finding:
    try:
        system.check()
    except FuseUnavailableError as exc:
        detail, _, advice = error_line(exc).partition("; ")
        return Finding("FUSE", State.PROBLEM, detail, advice)
    return Finding("FUSE", State.OK, f"{system.device} can be opened, {system.fusermount} is installed")


def _allow_other(settings: Settings, system: FuseSystem) -> Finding:
    umask = settings.umask
    if not settings.allow_other and locks_out(uid=settings.uid, gid=settings.gid, umask=umask):
        detail = f"is not asked for, and uid {settings.uid} with umask {umask:03o} locks you out, too"
        return Finding("allow_other", State.PROBLEM, detail, "add --allow-other, or leave --uid out")
    permitted = system.allows_others()
    if not settings.allow_other:
        allowed = "is permitted" if permitted else "is not permitted"
        return Finding("allow_other", State.OK, f"{allowed}, and not asked for")
    if permitted and umask & 0o055 == 0o055:
        detail = f"is permitted, but umask {umask:03o} lets only the owner and root in"
        return Finding("allow_other", State.NOTE, detail, "leave --umask out, or use 022")
    if permitted:
        who = "everyone" if not umask & 0o005 else "the group" if not umask & 0o050 else "some"
        return Finding("allow_other", State.OK, f"is permitted, and umask {umask:03o} lets {who} in")
    advice = f"add the line user_allow_other to {system.conf} (as root), or mount without allow_other"
    return Finding("allow_other", State.PROBLEM, "is asked for, and not permitted", advice)


def _request_timeout(settings: Settings, system: FuseSystem) -> Finding:
    timeout_s = system.request_timeout_s()
    if timeout_s == 0:
        return Finding("kernel timeout", State.OK, "fs.fuse.default_request_timeout is not set")
    detail = f"fs.fuse.default_request_timeout is {timeout_s} s, the longest wait {settings.max_wait_s:.0f} s"
    if timeout_s > settings.max_wait_s:
        return Finding("kernel timeout", State.OK, detail)
    advice = (
        f"the kernel would abort the mount: use --max-wait {max(1, timeout_s // 2)}, or raise the setting"
    )
    return Finding("kernel timeout", State.PROBLEM, detail, advice)


def directory_finding(name: str, directory: Path, wanted_bytes: int) -> Finding:
    """How `directory` is, or the one that it would be created in; `wanted_bytes` may come to lie there."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir():
        return Finding(name, State.PROBLEM, f"{existing} is not a directory", "remove it, or choose another")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            name, State.PROBLEM, f"{existing} cannot be written", "change its mode, or choose another"
        )
    if existing == directory and directory.stat().st_mode & 0o077:
        return Finding(name, State.PROBLEM, f"others may enter {directory}", f"run: chmod 700 {directory}")
    below = mount_below(existing.resolve(), read_mounts())
    fstype = below.fstype if below is not None else "unknown"
    if fstype in _FAR_TYPES or fstype.startswith("fuse."):
        advice = "choose a directory on a local disk: SQLite needs its locks"
        return Finding(name, State.PROBLEM, f"{directory} is on {fstype}", advice)
    free_bytes = shutil.disk_usage(existing).free
    detail = f"{directory} on {fstype}, {format_size(free_bytes)} free"
    if fstype == "tmpfs":
        return Finding(name, State.NOTE, detail, "what is kept there is fetched again after a restart")
    if free_bytes < wanted_bytes:
        return Finding(name, State.NOTE, detail, f"up to {format_size(wanted_bytes)} may be needed")
    return Finding(name, State.OK, detail)


def _mountpoint(mountpoint: Path, settings: Settings) -> Finding:
    state = inspect_mountpoint(mountpoint, Registry(settings.state_dir))
    if state.kind is MountKind.STALE:
        return Finding("mount point", State.NOTE, state.detail, "rcfs mount replaces it")
    if state.kind is MountKind.MOUNTED:
        return Finding("mount point", State.NOTE, state.detail, state.advice)
    if state.kind is MountKind.UNUSABLE:
        return Finding("mount point", State.PROBLEM, state.detail, state.advice)
    try:
        check_apart(state.path, settings)
    except MountError as exc:
        return Finding("mount point", State.PROBLEM, error_line(exc))
    return Finding("mount point", State.OK, state.detail)


def _server(settings: Settings) -> Iterator[Finding]:
    try:
        credentials = settings.require_credentials()
    except ConfigError as exc:
        detail, _, advice = error_line(exc).partition(". ")
        yield Finding("credentials", State.PROBLEM, detail, advice)
        return
    yield Finding("credentials", State.OK, f"are there, for {credentials.server_url}")
    with loading():
        from rcfs.cli._probe import probe_server
        from rcfs.host.logs import log_to_terminal

    log_to_terminal("error")  # what goes wrong on the way is in the findings
    try:
        yield from probe_server(settings)
    except Exception as exc:
        error = sole_cause(exc)
        if not isinstance(error, RcfsError):
            raise
        yield Finding("server", State.PROBLEM, error_line(error))


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        line = Text.assemble(
            (f"{finding.state:<8}", _STYLES[finding.state]),
            one_line(f"{finding.name:<{width}}  {finding.detail}"),
        )
        console.print(line, soft_wrap=True)
        if finding.advice:
            console.print(Text(one_line(f"{'':<{8 + width}}  → {finding.advice}")), soft_wrap=True)
