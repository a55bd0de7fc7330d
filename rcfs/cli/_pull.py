"""`rcfs pull`: fetches everything below some paths, into the cache or as a verified copy."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rcfs._interrupt import loading
from rcfs.cli._filter_options import Parsed, filter_options
from rcfs.cli._options import (
    PathText,
    TreePathText,
    engine_options,
    examples,
    json_option,
    keep_purged_option,
)
from rcfs.cli._treepaths import check_outside, read_places
from rcfs.config import Settings
from rcfs.errors import ConfigError
from rcfs.model import Filter

if TYPE_CHECKING:
    from rcfs.pull import Shard

_LONGEST_NAME = 64
"""Characters of the name that pulls join by."""


@click.command(
    "pull",
    epilog=examples(
        "rcfs pull                                            fetch everything into the cache",
        "rcfs pull ~/ringcentral/'101 Jane Smith'/Voicemail   fetch what a mount shows there",
        "rcfs pull '101 Jane Smith/Voicemail/2026-11'         name it by its path in the tree",
        "rcfs pull --type fax --since 30d '*/Fax'             use patterns and filters",
        "rcfs pull --type recording --since 7d --to ~/calls   copy the recordings of a week",
        "rcfs pull --to ~/backup                              make a copy, or update it",
        "rcfs pull --dry-run --to ~/backup                    see what it would fetch",
        "rcfs pull --shard 2/3 --to /net/backup               the second of three pulls that share the work",
        "rcfs pull --join nov --to /net/backup                share the work with all that joined as nov",
        "rcfs pull --via exports --since 2026-01-01           have an administrator's exports bring a year",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=TreePathText())
@click.option(
    "--to", "target", type=PathText(), metavar="DIR", help="Make or update a copy in DIR, with a manifest."
)
@click.option("--verify", is_flag=True, help="Read the files of the copy again, and repair them. Needs --to.")
@filter_options
@click.option(
    "--via",
    type=click.Choice(["auto", "attachments", "exports"]),
    default="auto",
    show_default=True,
    help="Fetch attachments the faster way, one by one, or in the archives of message store exports.",
)
@click.option(
    "--shard",
    type=Parsed("shard", lambda text, _now_s: _shard(text)),
    metavar="N/M",
    help="Take share N of M: M pulls, on M machines, take everything once.",
)
@click.option(
    "--join",
    type=Parsed("name", lambda text, _now_s: _list_name(text)),
    metavar="NAME",
    help="Share the work with pulls on other machines that join by this name. Needs [quota] ledger.",
)
@click.option(
    "-n", "--dry-run", is_flag=True, help="Show what would be fetched and how long it takes, and stop."
)
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
    wanted: Filter,
    via: str,
    shard: "Shard | None",
    join: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Fetch files into the cache, or make a copy of them.

    A PATH is a path in a mount, or a path of the tree as a mount shows it, and may be a shell pattern.
    Without a PATH, rcfs pulls the whole account. Cached files cost no request, and an interrupted pull
    resumes when you run it again. The quota sets the pace, about 40 attachments a minute and 10 recordings;
    reads in a mount go first. Files that RingCentral deletes soon come first as well.

    For administrators, a few message store exports can bring thousands of attachments. rcfs uses them if they
    are at least twice as fast, or with --via exports, and shows the choice and its reason. rcfs fetches the
    attachments of a failed export, and recordings, one by one.

    With --verify, and without a PATH and a filter, rcfs pulls what the last pull into DIR was asked for, or
    the whole account if any pull was asked for that. `rcfs audit --archive DIR` expects the same.

    Several machines can share the work by parts, each one mailbox in one month: with --shard, which needs no
    server, or with --join NAME, where each takes the next part from a list on the server of [quota] ledger;
    parts of a machine that died go to another one. They may all write into the same DIR, on NFS for example,
    with one manifest at the end; without --to each fills its cache, and the store of [cache] shared. Take a
    new NAME for each pull.

    Exits with 8 if some files could not be pulled.
    """
    if verify and target is None:
        raise click.UsageError("--verify needs a copy; give --to DIR, too")
    if shard is not None and join is not None:
        raise click.UsageError("--shard and --join are two ways to share the work; give one of them")
    if (shard is not None or join is not None) and via == "exports":
        raise click.UsageError(
            "exports bring all mailboxes; --via exports goes with neither --shard nor --join"
        )
    settings, places, records = read_places(paths, options)
    if join is not None and settings.ledger is None:
        raise ConfigError(
            "--join needs a server that all machines use; name it as ledger under [quota] in config.toml, or"
            " use --shard N/M, which needs none"
        )
    server_url = settings.require_credentials().server_url
    for place in places:
        if place.mount is not None and place.mount.server != server_url:
            raise ConfigError(
                f"{place.text} is in a mount of {place.mount.server}, but your credentials are for"
                f" {server_url}; log in to the server of the mount"
            )
    if target is not None:
        check_outside(target, records)
        _check_apart(target, settings)

    with loading():
        from rcfs.cli._pull_report import report_for
        from rcfs.cli._pull_run import Job, carry_out
        from rcfs.host.logs import log_to_file

    log_to_file(settings.files.pull_log, settings.log_level)
    job = Job(
        paths=tuple(place.parts for place in places) or ((),),
        wanted=wanted,
        target=target,
        verify=verify,
        as_pulled=verify and not paths and wanted.is_everything,
        via=via if shard is None and join is None else "attachments",
        shard=shard,
        join=join or "",
        dry_run=dry_run,
    )
    with report_for(as_json=as_json) as report:
        received = carry_out(settings, job, report)
    if received:
        context.exit(128 + received)


def _shard(text: str) -> "Shard":
    from rcfs.pull import parse_shard

    return parse_shard(text)


def _list_name(text: str) -> str:
    if not (text.isascii() and len(text) <= _LONGEST_NAME and re.fullmatch(r"[A-Za-z0-9][\w.-]*", text)):
        raise ValueError("write letters, digits, dots and dashes, such as 2026-11")
    return text


def _check_apart(target: Path, settings: Settings) -> None:
    real = target.resolve()
    for name, directory in (("cache", settings.cache_dir), ("state", settings.state_dir)):
        if real.is_relative_to(directory.resolve()) or directory.resolve().is_relative_to(real):
            raise ConfigError(
                f"{target} and the {name} directory {directory} overlap; choose another directory"
            )
