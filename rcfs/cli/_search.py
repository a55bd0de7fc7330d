"""`rcfs search`: full text over everything that is known.

Only the indices are read: of the state directory, and of the mounts that are up. Nothing is sent, no
mount is touched, and no login is needed.
"""

import json
import time
from pathlib import Path

import click

from rcfs._interrupt import loading
from rcfs.cli._options import TreePathText, examples, json_option, state_dir_option
from rcfs.cli._output import say_json, say_marked, tell
from rcfs.cli._pull import TYPES, since_of
from rcfs.cli._settings import read_settings
from rcfs.cli._treepaths import locate
from rcfs.host import Registry, as_typed

_LIMIT = 50
"""Matches that are shown unless asked otherwise: what a person reads through; the newest come first."""


@click.command(
    "search",
    epilog=examples(
        "rcfs search invoice                          in texts, transcripts, names, numbers, names of files",
        "rcfs search 'invoice bob'                    both",
        "rcfs search '\"credit note\" OR refund -spam'   a phrase, or a word, without another",
        "rcfs search 'appoint*'                       words that begin so",
        "rcfs search '+1 (555) 010-0123'              a number, however it is written",
        "rcfs search --in '101 *' --type fax --since 30d order",
        "rcfs search --json invoice | jq -r '.[].path'",
    ),
)
@click.argument("words", nargs=-1, required=True, metavar="QUERY")
@click.option("--in", "where", type=TreePathText(), metavar="PATH", help="Only an extension, or below PATH.")
@click.option(
    "--since", metavar="DATE", help="Only messages from then on: 2026-11-01 (UTC), an ISO time, or 30d."
)
@click.option(
    "--type", "types", multiple=True, type=click.Choice(tuple(TYPES)), help="Only this type. Repeatable."
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=_LIMIT, show_default=True, help="Show so many, the newest."
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
    since: str | None,
    types: tuple[str, ...],
    limit: int,
    as_json: bool,
    state_dir: Path | None,
) -> None:
    """Finds messages in the mailboxes that were loaded, the newest first; asks the server nothing.

    Exits with 1 when nothing matches. In a mount `mkdir Search/QUERY` makes a directory of what matches.
    """
    with loading():
        from rcfs.cli._matches import Query, find
        from rcfs.store import match_expression

    text = as_typed(" ".join(words))
    try:
        match_expression(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="QUERY") from exc
    since_s = None if since is None else since_of(since, time.time())
    settings = read_settings({"state_dir": state_dir}, login=False)
    records = Registry(settings.state_dir).live()
    place = None if where is None else locate(where, records)
    if place is not None and place.mount is not None:
        records, own_dir = (place.mount,), None
        state_dirs = {place.mount.state_dir or settings.state_dir}
    else:
        own_dir = settings.state_dir
        state_dirs = {settings.state_dir, *(record.state_dir for record in records if record.state_dir)}
    query = Query(text, place, since_s, frozenset(TYPES[each] for each in types), limit + 1)
    matches = sorted(find(query, sorted(state_dirs), own_dir, records), key=lambda match: match.age)
    shown = matches[:limit]
    if as_json:
        say_json(json.dumps([match.document for match in shown], indent=2, ensure_ascii=False))
    else:
        for match in shown:
            say_marked(match.parts)
    if len(matches) > limit:
        tell(f"these are the newest {limit}; --limit shows more")
    if not matches:
        context.exit(1)
