"""`rcfs pin` and `rcfs unpin`: choose contents that stay in the cache."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from rcfs.assembly.contents import open_cache
from rcfs.cli._options import TreePathText, engine_options, examples, json_option
from rcfs.cli._output import say, warn
from rcfs.cli._treepaths import read_places
from rcfs.config import Settings

if TYPE_CHECKING:
    from rcfs.model import ContentKey


@click.command(
    "pin",
    epilog=examples(
        "rcfs pin ~/ringcentral/'101 Jane Smith'/Voicemail",
        "rcfs pin '101 Jane Smith/Fax' '102 *'",
        "rcfs pin --list",
        "rcfs pin --list --json | jq -r '.[].path'",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=TreePathText())
@click.option("--list", "listing", is_flag=True, help="List the pinned contents.")
@json_option
@engine_options
def pin(paths: tuple[str, ...], *, listing: bool, as_json: bool, **options: Any) -> None:
    """Keep what is below each PATH in the cache.

    This pins the attachments, recordings and greetings that are there now; they stay however full the cache
    gets. Pinning does not fetch them; `rcfs pull` does.
    """
    if listing == bool(paths):
        raise click.UsageError("give either a PATH or --list")
    settings, places, _records = read_places(paths, options)
    if listing:
        _list(settings, as_json=as_json)
        return
    from rcfs.cli._attachments import attachments_of

    keys = [found.key for found in attachments_of(settings, places)]
    with open_cache(settings, warn) as cache:
        new = cache.pin(keys)
        cached = sum(cache.contains(key) == "yes" for key in keys)
    if as_json:
        say(json.dumps({"contents": len(keys), "new": new, "cached": cached}))
        return
    say(f"Pinned {len(keys)} contents, {new} of them new; {cached} are in the cache.")
    if cached < len(keys):
        say(f"The other {len(keys) - cached} stay once they are fetched; run `rcfs pull` to fetch them.")


@click.command("unpin", epilog=examples("rcfs unpin '101 Jane Smith/Fax'", "rcfs unpin --all"))
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=TreePathText())
@click.option("--all", "every", is_flag=True, help="Unpin everything, even what is no longer in the tree.")
@json_option
@engine_options
def unpin(paths: tuple[str, ...], *, every: bool, as_json: bool, **options: Any) -> None:
    """Let the cache evict what is below each PATH again."""
    if every == bool(paths):
        raise click.UsageError("give either a PATH or --all")
    from rcfs.cli._attachments import attachments_of

    settings, places, _records = read_places(paths, options)
    keys = [] if every else [found.key for found in attachments_of(settings, places)]
    with open_cache(settings, warn) as cache:
        removed = cache.unpin(cache.pins() if every else keys)
    say(json.dumps({"removed": removed}) if as_json else f"Unpinned {removed} contents.")


def _list(settings: Settings, *, as_json: bool) -> None:
    with open_cache(settings, warn) as cache:
        states = {key: cache.contains(key) for key in sorted(cache.pins(), key=str)}
    paths: Mapping[ContentKey, str] = {}
    if states:
        from rcfs.cli._attachments import known_paths

        paths = known_paths(settings)
    rows = [{"path": paths.get(key), "key": str(key), "cached": state} for key, state in states.items()]
    rows.sort(key=lambda row: (row["path"] is None, row["path"] or "", row["key"]))
    if as_json:
        say(json.dumps(rows, indent=2))
        return
    for row in rows:
        name = row["path"] or f"{row['key']} (no path in the local index)"
        say(f"{name}  cached: {row['cached']}")
