"""`rcfs audit`: proves that the cache or a copy is complete, or says what is missing."""

from pathlib import Path
from typing import Any

import click

from rcfs._interrupt import loading
from rcfs.cli._filter_options import filter_options
from rcfs.cli._options import PathText, TreePathText, engine_options, examples, json_option
from rcfs.cli._treepaths import read_places
from rcfs.errors import PartialError
from rcfs.model import Filter


@click.command(
    "audit",
    epilog=examples(
        "rcfs audit                                       compare the cache with RingCentral",
        "rcfs audit --archive ~/backup                    compare a copy with RingCentral",
        "rcfs audit --archive ~/backup --whole            also what it was never asked for",
        "rcfs audit --archive ~/backup --offline          check a copy by itself, without a login",
        "rcfs audit --archive ~/backup '101 Jane Smith'   look at one extension only",
        "rcfs audit --type fax --since 2026-01-01 --until 2026-04-01",
        "rcfs audit --archive ~/backup --json | jq -c 'select(.event == \"finding\")'",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=TreePathText())
@click.option(
    "--archive", type=PathText(), metavar="DIR", help="Audit the copy in DIR that `rcfs pull --to` made."
)
@click.option("--offline", is_flag=True, help="Ask RingCentral nothing. With --archive, DIR alone is enough.")
@click.option(
    "--whole",
    is_flag=True,
    help="Audit the whole account, whatever was pulled into the copy.",
)
@filter_options
@click.option("-v", "--verbose", is_flag=True, help="Show all months and all findings.")
@json_option
@engine_options
@click.pass_context
def audit(
    context: click.Context,
    /,
    paths: tuple[str, ...],
    *,
    archive: Path | None,
    offline: bool,
    whole: bool,
    wanted: Filter,
    verbose: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Prove that the cache, or a copy, has all that RingCentral has.

    For each extension, kind and month the report says how many messages and attachments there are, how many
    of them are here, and what is missing, damaged, or purged since. Each file is read and checked. It takes
    one request for each mailbox, and more only if something differs. It changes nothing.

    Without a PATH and a filter, the audit of a copy expects what the last pull was asked for. It expects the
    whole account if any pull was asked for that, and with --offline what the manifest of the copy lists. The
    report names this scope. With --json, each line is an object, whose event is finding, mailbox, progress,
    or at last end. All times are in UTC, such as 2026-11-29T11:00:10Z.

    Exits with 8 if something is missing, or cannot be proven.
    """
    if whole and (archive is None or paths or not wanted.is_everything):
        raise click.UsageError("--whole needs --archive, and goes with neither a PATH nor a filter")
    with loading():
        from rcfs.cli._audit_report import report_for
        from rcfs.cli._audit_run import Job, audit_account, audit_copy
        from rcfs.tree import tree_parts

    with report_for(as_json=as_json, verbose=verbose) as report:
        if offline and archive is not None:
            places = tuple(tree_parts(text) for text in paths)
            summary, received = audit_copy(archive, places or ((),), wanted, report)
        else:
            settings, found, _records = read_places(paths, options)
            as_pulled = not whole and not paths and wanted.is_everything
            job = Job(tuple(place.parts for place in found) or ((),), wanted, archive, as_pulled, offline)
            summary, received = audit_account(settings, job, report)
        if summary is None:
            context.exit(128 + received)
        report.ended(summary)
    if not summary.is_complete:
        what = "cache" if archive is None else "copy"
        raise PartialError(f"the {what} is not proven to be complete; the report says why")
