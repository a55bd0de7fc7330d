"""`rcfs search`: full-text search in the local index.

It reads the index of the state directory and those of the mounts that are up. It sends no request, touches no
mount, and needs no login.
"""

import json
from pathlib import Path

import click

from rcfs._interrupt import loading
from rcfs.cli._filter_options import filter_options
from rcfs.cli._options import (
    TreePathText,
    examples,
    json_option,
    state_dir_option,
)
from rcfs.cli._output import say_json, say_marked, tell
from rcfs.cli._settings import read_settings
from rcfs.cli._treepaths import locate
from rcfs.host import Registry, as_typed
from rcfs.model import Filter

_LIMIT = 50
"""Default number of matches: as many as a person reads."""


@click.command(
    "search",
    epilog=examples(
        "rcfs search invoice                         in texts, transcripts, people, file names",
        "rcfs search 'invoice bob'                   both words",
        "rcfs search '\"credit note\" OR refund -spam' a phrase or a word, but not another",
        "rcfs search 'appoint*'                      words that begin with appoint",
        "rcfs search '+1 (555) 010-0123'             a number, in any form",
        "rcfs search --in '101 *' --type fax --since 30d order",
        "rcfs search --json invoice | jq -r '.[].path'",
    ),
)
@click.argument("words", nargs=-1, required=True, metavar="QUERY")
@click.option(
    "--in", "where", type=TreePathText(), metavar="PATH", help="Search only below PATH, such as an extension."
)
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    default=_LIMIT,
    show_default=True,
    help="Show at most N matches, newest first.",
)
@json_option
@state_dir_option
@click.pass_context
def search(
    context: click.Context,
    /,
    words: tuple[str, ...],
    *,
    where: str | None,
    wanted: Filter,
    limit: int,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """Search messages, without asking the server.

    It searches the mailboxes in the local index: those that a mount or a pull has loaded. Exits with 1 if
    nothing matches. In a mount, `mkdir Search/QUERY` creates a directory of the matches.
    """
    with loading():
        from rcfs.cli._matches import Query, find
        from rcfs.store import match_expression

    text = as_typed(" ".join(words))
    try:
        match_expression(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="QUERY") from exc
    settings = read_settings({"state_dir": state_dir}, login=False)
    records = Registry(settings.state_dir).live()
    place = None if where is None else locate(where, records)
    if place is not None and place.mount is not None:
        records, own_dir = (place.mount,), None
        state_dirs = {place.mount.state_dir or settings.state_dir}
    else:
        own_dir = settings.state_dir
        state_dirs = {settings.state_dir, *(record.state_dir for record in records if record.state_dir)}
    query = Query(text, place, wanted, limit + 1)
    matches = sorted(find(query, sorted(state_dirs), own_dir, records), key=lambda match: match.age)
    shown = matches[:limit]
    if as_json:
        say_json(json.dumps([match.document for match in shown], indent=2, ensure_ascii=False))
    else:
        for match in shown:
            say_marked(match.parts)
    if len(matches) > limit:
        tell(f"only the newest {limit} matches are shown; --limit shows more")
    if not matches:
        context.exit(1)
