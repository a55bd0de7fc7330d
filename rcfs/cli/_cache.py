"""`rcfs cache`: shows and empties the content cache."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rcfs.assembly.contents import open_cache
from rcfs.cli._options import SummarisingGroup, cache_dir_option, examples, json_option
from rcfs.cli._output import confirmed, say, warn
from rcfs.cli._settings import read_settings
from rcfs.model import format_size

if TYPE_CHECKING:
    from rcfs.store import ContentCache


@click.group(
    "cache",
    cls=SummarisingGroup,
    epilog=examples(
        "rcfs cache info",
        "rcfs cache info --json",
        "rcfs cache clear",
        "rcfs cache clear --yes     in a script",
    ),
)
def cache() -> None:
    """Show or empty the cache. Mounts may stay up."""


@cache.command("info", epilog=examples("rcfs cache info"))
@cache_dir_option
@json_option
def info(cache_dir: Path | None, *, as_json: bool) -> None:
    """Show the directory, the size and the limit of the cache."""
    with _opened(cache_dir) as content_cache:
        stats, pinned = content_cache.stats(), content_cache.pin_stats()
    if as_json:
        fields = {
            "directory": str(stats.directory),
            "size_bytes": stats.size_bytes,
            "limit_bytes": stats.limit_bytes,
            "contents": stats.contents,
            "pinned_contents": pinned.contents,
            "pinned_cached": pinned.cached,
            "pinned_bytes": pinned.size_bytes,
        }
        say(json.dumps(fields, indent=2))
        return
    say(f"Directory:  {stats.directory}")
    say(f"Contents:   {stats.contents}")
    say(f"Size:       {format_size(stats.size_bytes)} of {format_size(stats.limit_bytes)}")
    if pinned.contents:
        size = format_size(pinned.size_bytes)
        say(f"Pinned:     {pinned.contents} contents, {pinned.cached} of them cached ({size})")


@cache.command("clear", epilog=examples("rcfs cache clear", "rcfs cache clear --yes"))
@cache_dir_option
@click.option("--all", "pinned", is_flag=True, help="Delete pinned contents, too; the pins stay.")
@click.option("-y", "--yes", is_flag=True, help="Skip the question.")
@json_option
def clear(cache_dir: Path | None, *, pinned: bool, yes: bool, as_json: bool) -> None:
    """Delete the cached contents, except pinned ones.

    Reading a deleted content again costs a request.
    """
    with _opened(cache_dir) as content_cache:
        stats = content_cache.stats()
        pins = 0 if pinned else content_cache.pin_stats().cached
        size = format_size(stats.size_bytes)
        kept = f", except {pins} pinned ones" if pins else ""
        question = f"Delete {stats.contents} contents ({size}) in {stats.directory}{kept}?"
        if not confirmed(question, "clear the cache", yes=yes):
            return
        freed = content_cache.clear(pinned=pinned)
    say(json.dumps({"freed_bytes": freed}) if as_json else f"Freed {format_size(freed)}.")


def _opened(cache_dir: Path | None) -> "AbstractContextManager[ContentCache]":
    return open_cache(read_settings({"cache_dir": cache_dir}, login=False), warn)
