"""`rcfs why`: when and for whom attachments were fetched."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from rcfs.cli._contents import open_cache
from rcfs.cli._options import TreePathText, engine_options, examples, json_option
from rcfs.cli._output import say, warn
from rcfs.cli._settings import read_settings
from rcfs.cli._treepaths import places_of, settings_of
from rcfs.host import Registry
from rcfs.model import format_size

if TYPE_CHECKING:
    from rcfs.store import FetchRecord, Refusal


@click.command(
    "why",
    epilog=examples(
        "rcfs why ~/ringcentral/'101 Jane Smith'/Fax",
        "rcfs why '101 Jane Smith/Voicemail/2026-11'",
        "rcfs why --json '*' | jq -r '.[].fetches[].program' | sort | uniq -c",
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=TreePathText())
@json_option
@engine_options
def why(paths: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Tells when and for which program each attachment at or below PATH was fetched.

    The record goes back 100,000 fetches. It also tells which crawler was refused the content last.
    """
    settings = read_settings(options)
    from rcfs.cli._attachments import attachments_of
    from rcfs.model import iso_time
    from rcfs.store import FetchHistory

    records = Registry(settings.state_dir).live()
    places = places_of(paths, records, settings, cache_dir=options["cache_dir"])
    settings = settings_of(settings, places)
    found = attachments_of(settings, places)
    keys = [each.key for each in found]
    with closing(FetchHistory.open(settings.files.history, warn)) as history:
        fetches, refusals = history.fetches(keys), history.refusals(keys)
    with open_cache(settings) as cache:
        states = {key: cache.contains(key) for key in keys}
    documents = [
        {
            "path": each.path,
            "key": str(each.key),
            "cached": states[each.key],
            "fetches": [_fetch(fetch, iso_time(fetch.at_s)) for fetch in fetches.get(each.key, ())],
            "refused": _refusal(refusals.get(each.key), iso_time),
        }
        for each in found
    ]
    if as_json:
        say(json.dumps(documents, indent=2))
        return
    for document in documents:
        for line in _lines(document):
            say(line)


def _fetch(fetch: "FetchRecord", at: str) -> dict[str, Any]:
    return {
        "at": at,
        "program": fetch.program,
        "class": fetch.priority,
        "requests": fetch.requests,
        "size_bytes": fetch.size_bytes,
    }


def _refusal(refusal: "Refusal | None", iso_time: Any) -> dict[str, str] | None:
    return None if refusal is None else {"at": iso_time(refusal.at_s), "program": refusal.program}


def _lines(document: dict[str, Any]) -> Sequence[str]:
    if not (document["fetches"] or document["refused"]):
        # Most of a large tree was never fetched: a line for each of it is enough.
        return [f"{document['path']}: never fetched, as far as the record goes back{_kept_words(document)}"]
    lines = [document["path"]]
    for fetch in document["fetches"]:
        requests = f"{fetch['requests']} request{'s' if fetch['requests'] != 1 else ''}"
        lines.append(
            f"  fetched {fetch['at']} for {fetch['program'] or 'an unknown program'} ({fetch['class']}),"
            f" {requests}, {format_size(fetch['size_bytes'])}"
        )
    if not document["fetches"]:
        lines.append("  not fetched, as far as the record goes back")
    if document["refused"]:
        lines.append(f"  refused {document['refused']['at']} to {document['refused']['program']}")
    lines.append(f"  cached: {document['cached']}")
    return lines


def _kept_words(document: Mapping[str, Any]) -> str:
    """What to add of a content that is cached, but not in the record; nothing when it is not cached."""
    return "" if document["cached"] == "no" else f"; cached: {document['cached']}"
