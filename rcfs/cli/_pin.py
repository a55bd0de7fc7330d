"""`rcfs pin` and `rcfs unpin`: contents that stay in the cache."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from rcfs.cli._contents import open_cache
from rcfs.cli._options import TreePathText, engine_options, examples, json_option
from rcfs.cli._output import say
from rcfs.cli._settings import read_settings
from rcfs.cli._treepaths import places_of, settings_of
from rcfs.config import Settings
from rcfs.host import Registry

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
@click.option("--list", "listing", is_flag=True, help="Show what is pinned.")
@json_option
@engine_options
def pin(paths: tuple[str, ...], *, listing: bool, as_json: bool, **options: Any) -> None:
    """Keeps everything that is below each PATH now in the cache, however full it gets.

    What is not cached yet is not fetched, but kept from the moment that it is: `rcfs pull` fetches it.
    """
    if listing == bool(paths):
        raise click.UsageError("give a PATH, or --list")
    settings = read_settings(options)
    records = Registry(settings.state_dir).live()
    places = places_of(paths, records, settings, cache_dir=options["cache_dir"])
    settings = settings_of(settings, places)
    if listing:
        _list(settings, as_json=as_json)
        return
    from rcfs.cli._attachments import attachments_of

    keys = [found.key for found in attachments_of(settings, places)]
    with open_cache(settings) as cache:
        new = cache.pin(keys)
        cached = sum(cache.contains(key) == "yes" for key in keys)
    if as_json:
        say(json.dumps({"contents": len(keys), "new": new, "cached": cached}))
        return
    say(f"Pinned {len(keys)} contents, {new} of them new; {cached} are cached.")
    if cached < len(keys):
        say(f"The other {len(keys) - cached} are kept once they are fetched; rcfs pull does that.")


@click.command("unpin", epilog=examples("rcfs unpin '101 Jane Smith/Fax'", "rcfs unpin --all"))
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=TreePathText())
@click.option("--all", "every", is_flag=True, help="Everything, also what is no longer in the tree.")
@json_option
@engine_options
def unpin(paths: tuple[str, ...], *, every: bool, as_json: bool, **options: Any) -> None:
    """Lets everything below each PATH be evicted again, when the cache is full and others are newer."""
    if every == bool(paths):
        raise click.UsageError("give a PATH, or --all")
    settings = read_settings(options)
    from rcfs.cli._attachments import attachments_of

    records = Registry(settings.state_dir).live()
    places = places_of(paths, records, settings, cache_dir=options["cache_dir"])
    settings = settings_of(settings, places)
    keys = [] if every else [found.key for found in attachments_of(settings, places)]
    with open_cache(settings) as cache:
        removed = cache.unpin(cache.pins() if every else keys)
    say(json.dumps({"removed": removed}) if as_json else f"Unpinned {removed} contents.")


def _list(settings: Settings, *, as_json: bool) -> None:
    with open_cache(settings) as cache:
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
        name = row["path"] or f"{row['key']} (its path is not known)"
        say(f"{name}  cached: {row['cached']}")
