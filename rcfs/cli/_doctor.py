"""`rcfs doctor`: checks everything that a mount needs, and advises what to do. It changes nothing."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from rcfs._interrupt import loading
from rcfs.cli._findings import Finding, State, facts_of, problem_of
from rcfs.cli._fstab_options import MountCommand
from rcfs.cli._options import PathText, examples, json_option, mount_options
from rcfs.cli._output import error_line, say
from rcfs.cli._settings import login_choice
from rcfs.config import ACCOUNTS, Settings, find_config, load_settings, locks_out
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
"""Network file systems, where SQLite's shared memory fails. Source: sqlite.org/wal.html, "Disadvantages"."""
_COLORS = {State.OK: "green", State.NOTE: "yellow", State.PROBLEM: "red"}
_PUBLIC_NAMES = frozenset({"cache directory", "state directory", "kernel timeout", "mount point"})
"""Names of findings with several words, none of which the user has chosen."""
_LOW_SPACE_BYTES = 1 << 30
"""Free space that the state directory needs, in bytes: the index of half a million messages (measured
2026-11)."""


@click.command(
    "doctor",
    cls=MountCommand,
    epilog=examples("rcfs doctor", "rcfs doctor ~/ringcentral", "rcfs doctor --json | jq '.[].state'"),
)
@click.argument("mountpoint", type=PathText(), required=False)
@mount_options
@json_option
@click.option(
    "--report", is_flag=True, help="Print a report for a bug: versions and findings, and nothing private."
)
@click.pass_context
def doctor(
    context: click.Context,
    /,
    mountpoint: Path | None,
    *,
    as_json: bool,
    report: bool,
    **options: Any,
) -> None:
    """Check what a mount needs, and advise what to do.

    It checks FUSE, the configuration, the directories and MOUNTPOINT, and logs in with a few requests. Exits
    with 1 if it finds a problem.
    """
    findings = list(examine(options, mountpoint, FuseSystem()))
    if report:
        _print_report(findings)
    elif as_json:
        fields = [
            {"name": one.name, "state": str(one.state), "detail": one.detail, "advice": one.advice}
            for one in findings
        ]
        say(json.dumps(fields, indent=2))
    else:
        _print(findings)
    if any(finding.state is State.PROBLEM for finding in findings):
        context.exit(1)


def examine(options: dict[str, Any], mountpoint: Path | None, system: FuseSystem) -> Iterator[Finding]:
    """Checks everything, in the order in which a mount needs it."""
    yield _fuse(system)
    warnings: list[str] = []
    try:
        config_path = find_config(os.environ, options.get("config"))
        settings = load_settings({**options, **login_choice()}, os.environ, config_path, warn=warnings.append)
    except ConfigError as exc:
        # The settings name the directories and the server for all further checks.
        yield Finding(
            "configuration", State.PROBLEM, error_line(exc), "correct it, then run `rcfs doctor` again"
        )
        return
    there = "is correct" if config_path.exists() else "does not exist; that is fine"
    yield Finding("configuration", State.OK, f"{config_path} {there}")
    for line in warnings:
        yield Finding("configuration", State.NOTE, line)
    yield _allow_other(settings, system)
    yield _request_timeout(settings, system)
    yield directory_finding("cache directory", settings.cache_dir, settings.cache_size_bytes)
    yield directory_finding("state directory", settings.state_dir, _LOW_SPACE_BYTES)
    if settings.shared is not None:
        yield _shared(settings)
    if mountpoint is not None:
        yield _mountpoint(mountpoint, settings)
    if settings.ledger is not None:
        from rcfs.cli._ledger_findings import ledger_findings

        yield from ledger_findings(settings, settings.ledger)
    yield from _server(settings)


def _fuse(system: FuseSystem) -> Finding:
    try:
        system.check()
    except FuseUnavailableError as exc:
        return problem_of("FUSE", exc)
    return Finding("FUSE", State.OK, f"{system.device} can be opened, {system.fusermount} is installed")


def _allow_other(settings: Settings, system: FuseSystem) -> Finding:
    umask = settings.umask
    if not settings.allow_other and locks_out(uid=settings.uid, gid=settings.gid, umask=umask):
        detail = f"is off, and uid {settings.uid} with umask {umask:03o} locks you out, too"
        return Finding("allow_other", State.PROBLEM, detail, "add --allow-other, or omit --uid")
    permitted = system.allows_others()
    if not settings.allow_other:
        allowed = "permitted" if permitted else "not permitted"
        return Finding("allow_other", State.OK, f"is off ({allowed} on this machine)")
    if permitted and umask & 0o055 == 0o055:
        detail = f"is on, but umask {umask:03o} lets only the owner and root in"
        return Finding("allow_other", State.NOTE, detail, "omit --umask, or use 022")
    if permitted:
        who = "everyone" if not umask & 0o005 else "the group" if not umask & 0o050 else "some users"
        return Finding("allow_other", State.OK, f"is on, and umask {umask:03o} lets {who} in")
    advice = f"add the line user_allow_other to {system.conf} (as root), or omit --allow-other"
    return Finding("allow_other", State.PROBLEM, "is on, but not permitted on this machine", advice)


def _request_timeout(settings: Settings, system: FuseSystem) -> Finding:
    timeout_s = system.request_timeout_s()
    if timeout_s == 0:
        return Finding("kernel timeout", State.OK, "fs.fuse.default_request_timeout is off")
    detail = (
        f"fs.fuse.default_request_timeout is {timeout_s} s, and --max-wait is {settings.max_wait_s:.0f} s"
    )
    if timeout_s > settings.max_wait_s:
        return Finding("kernel timeout", State.OK, detail, facts=detail)
    advice = (
        f"the kernel would abort the mount; use --max-wait {max(1, timeout_s // 2)}, or raise the timeout"
    )
    return Finding("kernel timeout", State.PROBLEM, detail, advice, detail)


def directory_finding(name: str, directory: Path, wanted_bytes: int) -> Finding:
    """The state of `directory`, or of its parent if it does not exist; it may need `wanted_bytes`."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir():
        return Finding(
            name, State.PROBLEM, f"{existing} is not a directory", "remove it, or choose another directory"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            name,
            State.PROBLEM,
            f"you may not write to {existing}",
            "change its mode, or choose another directory",
        )
    if existing == directory and directory.stat().st_mode & 0o077:
        return Finding(name, State.PROBLEM, f"others may enter {directory}", f"run: chmod 700 {directory}")
    below = mount_below(existing.resolve(), read_mounts())
    fstype = below.fstype if below is not None else "unknown"
    if fstype in _FAR_TYPES or fstype.startswith("fuse."):
        advice = "choose a directory on a local disk; SQLite needs its locks"
        return Finding(name, State.PROBLEM, f"{directory} is on {fstype}", advice, f"on {fstype}")
    free_bytes = shutil.disk_usage(existing).free
    facts = f"on {fstype}, {format_size(free_bytes)} free"
    detail = f"{directory} {facts}"
    if fstype == "tmpfs":
        return Finding(
            name, State.NOTE, detail, "a reboot empties it, so rcfs fetches everything again", facts
        )
    if free_bytes < wanted_bytes:
        return Finding(name, State.NOTE, detail, f"rcfs may need up to {format_size(wanted_bytes)}", facts)
    return Finding(name, State.OK, detail, facts=facts)


def _shared(settings: Settings) -> Finding:
    from rcfs.objects import ObjectStoreError, open_objects, probe_objects

    try:
        objects = open_objects(settings.shared or "", settings.shared_options)
        lack = probe_objects(objects)
    except ConfigError as exc:
        return problem_of("shared store", exc)
    except ObjectStoreError as exc:
        advice = "check its address, its credentials and the right to write; rcfs works without it meanwhile"
        return Finding("shared store", State.PROBLEM, error_line(exc), advice)
    if lack:
        return Finding("shared store", State.NOTE, f"{objects.place}: {lack}", "use another store")
    return Finding("shared store", State.OK, f"{objects.place} can be read and written, and keeps conditions")


def _mountpoint(mountpoint: Path, settings: Settings) -> Finding:
    state = inspect_mountpoint(mountpoint, Registry(settings.state_dir))
    if state.kind is MountKind.STALE:
        return Finding("mount point", State.NOTE, state.detail, "`rcfs mount` replaces it")
    if state.kind is MountKind.MOUNTED:
        if state.owner is not None:  # it is what the user asks about, so there is nothing to unmount
            return Finding("mount point", State.OK, state.detail)
        return Finding("mount point", State.NOTE, state.detail, state.advice)
    if state.kind is MountKind.UNUSABLE:
        return Finding("mount point", State.PROBLEM, state.detail, state.advice)
    try:
        check_apart(state.path, settings)
    except MountError as exc:
        return Finding("mount point", State.PROBLEM, error_line(exc))
    return Finding("mount point", State.OK, state.detail)


def _server(settings: Settings) -> Iterator[Finding]:
    for name, place in ACCOUNTS.places(lambda _line: None).items():
        if name != settings.account:
            yield Finding(f"account {name}", State.OK, f"its credentials are in {place}")
    try:
        credentials = settings.require_credentials()
    except ConfigError as exc:
        yield problem_of("credentials", exc)
        return
    detail = f"are complete, for {credentials.server_url}, from {settings.credentials_place}"
    if credentials.user:
        from rcfs.store import grant_path

        grant = grant_path(settings.files.sessions, credentials.identity)
        detail += f"; the login with a browser continues from {grant}"
    yield Finding("credentials", State.OK, detail)
    with loading():
        from rcfs.cli._probe import probe_server
        from rcfs.host.logs import log_to_terminal

    log_to_terminal("error")  # the findings tell what goes wrong
    try:
        yield from probe_server(settings)
    except Exception as exc:
        error = sole_cause(exc)
        if not isinstance(error, RcfsError):
            raise
        yield Finding("server", State.PROBLEM, error_line(error), facts=facts_of(error))


def _print_report(findings: list[Finding]) -> None:
    """Prints the report: of a finding its state, its facts and its name, where users choose no part of it."""
    from rcfs.cli._versions import versions

    for name, version in versions():
        say(f"{name:<18}{version}")
    for one in findings:
        name = one.name if one.name in _PUBLIC_NAMES else one.name.split()[0]
        say(f"{name:<18}{' '.join(filter(None, (one.state, one.facts)))}")


def _print(findings: list[Finding]) -> None:
    color = False if os.environ.get("NO_COLOR") else None  # None: if stdout is a terminal
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        state = click.style(f"{finding.state:<8}", fg=_COLORS[finding.state])
        click.echo(state + one_line(f"{finding.name:<{width}}  {finding.detail}"), color=color)
        if finding.advice:
            say(one_line(f"{'':<{8 + width}}  → {finding.advice}"))
