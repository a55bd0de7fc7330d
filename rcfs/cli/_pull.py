"""`rcfs pull`: fetches what lies below some paths, into the cache or as a verified copy."""

import time
from pathlib import Path
from typing import Any

import click

from rcfs._interrupt import loading
from rcfs.cli._options import (
    PathText,
    TreePathText,
    engine_options,
    examples,
    json_option,
    keep_purged_option,
)
from rcfs.cli._settings import read_settings
from rcfs.cli._treepaths import check_outside, places_of, settings_of
from rcfs.config import Settings, parse_since
from rcfs.errors import ConfigError
from rcfs.host import Registry

TYPES = {"sms": "SMS", "voicemail": "VoiceMail", "fax": "Fax", "pager": "Pager"}
"""The types of messages as people write them, and as the API does."""


@click.command(
    "pull",
    epilog=examples(
        "rcfs pull                                            everything, into the cache",
        "rcfs pull ~/ringcentral/'101 Jane Smith'/Voicemail    what a mount shows there",
        "rcfs pull '101 Jane Smith/Voicemail/2026-11'         the same by its path in the tree",
        "rcfs pull --type fax --since 30d '*/Fax'             patterns, and filters",
        "rcfs pull --to ~/backup                              a copy; again: only what is new",
        "rcfs pull --dry-run --to ~/backup                    what it would take",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=TreePathText())
@click.option("--to", "target", type=PathText(), metavar="DIR", help="Copy to DIR, with a manifest.")
@click.option("--verify", is_flag=True, help="With --to: read what was copied before, and repair it.")
@click.option(
    "--since", metavar="DATE", help="Only messages from then on: 2026-11-01 (UTC), an ISO time, or 30d."
)
@click.option(
    "--type", "types", multiple=True, type=click.Choice(tuple(TYPES)), help="Only this type. Repeatable."
)
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be fetched and how long it takes.")
@json_option
@engine_options
@keep_purged_option
@click.pass_context
def pull(
    context: click.Context,
    /,
    paths: tuple[str, ...],
    *,
    target: Path | None,
    verify: bool,
    since: str | None,
    types: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Fetches everything below each PATH (default: the whole account) into the cache, or copies it.

    A PATH is a path in a mount, or one of the tree as a mount shows it; it may be a shell pattern. What is
    cached already costs nothing, and a pull that was ended goes on where it was: run it again. The time it
    takes is that of the quota, about 40 attachments a minute; a person's reads go first.

    Exits with 8 when some files could not be had.
    """
    if verify and target is None:
        raise click.UsageError("--verify is for a copy: give --to DIR")
    settings = read_settings(options)
    records = Registry(settings.state_dir).live()
    places = places_of(paths, records, settings, cache_dir=options["cache_dir"])
    settings = settings_of(settings, places)
    server_url = settings.require_credentials().server_url
    for place in places:
        if place.mount is not None and place.mount.server != server_url:
            raise ConfigError(
                f"{place.text} is in a mount of {place.mount.server}; the credentials are for {server_url}"
            )
    since_s = None if since is None else since_of(since, time.time())
    if target is not None:
        check_outside(target, records)
        _check_apart(target, settings)

    with loading():
        from rcfs.cli._pull_report import report_for
        from rcfs.cli._pull_run import Job, carry_out
        from rcfs.host.logs import log_to_file
        from rcfs.pull import Filter

    log_to_file(settings.files.pull_log, settings.log_level)
    job = Job(
        paths=tuple(place.parts for place in places) or ((),),
        wanted=Filter(since_s, frozenset(TYPES[each] for each in types)),
        target=target,
        verify=verify,
        dry_run=dry_run,
    )
    with report_for(as_json=as_json) as report:
        received = carry_out(settings, job, report)
    if received:
        context.exit(128 + received)


def since_of(text: str, now_s: float) -> float:
    """The moment that ``--since`` was given as, in seconds since 1970 UTC.

    Raises:
        click.BadParameter: It is none.
    """
    try:
        return parse_since(text, now_s)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--since") from exc


def _check_apart(target: Path, settings: Settings) -> None:
    real = target.resolve()
    for name, directory in (("cache", settings.cache_dir), ("state", settings.state_dir)):
        if real.is_relative_to(directory.resolve()) or directory.resolve().is_relative_to(real):
            raise ConfigError(f"{target} and the {name} directory {directory} overlap; choose another")
