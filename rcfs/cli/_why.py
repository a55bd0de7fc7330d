"""`rcfs why`: shows when and for which program files were fetched."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from rcfs.assembly.contents import open_cache
from rcfs.cli._options import TreePathText, engine_options, examples, json_option
from rcfs.cli._output import say, warn
from rcfs.cli._treepaths import read_places
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
    """Show when and for which program files were fetched.

    It shows every attachment, recording and greeting at or below PATH, from the history of the latest 100,000
    fetches, and the last crawler that rcfs refused the content.
    """
    from rcfs.cli._attachments import attachments_of
    from rcfs.model import iso_time
    from rcfs.store import FetchHistory

    settings, places, _records = read_places(paths, options)
    found = attachments_of(settings, places)
    keys = [each.key for each in found]
    with closing(FetchHistory.open(settings.files.history, warn)) as history:
        fetches, refusals = history.fetches(keys), history.refusals(keys)
    with open_cache(settings, warn) as cache:
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
        "remark": fetch.remark,
    }


def _refusal(refusal: "Refusal | None", iso_time: Any) -> dict[str, str] | None:
    return None if refusal is None else {"at": iso_time(refusal.at_s), "program": refusal.program}


def _lines(document: dict[str, Any]) -> Sequence[str]:
    if not (document["fetches"] or document["refused"]):
        # Most attachments of a large tree were never fetched, so each gets one line.
        return [f"{document['path']}: not in the fetch history{_kept_words(document)}"]
    lines = [document["path"]]
    for fetch in document["fetches"]:
        requests = f"{fetch['requests']} request{'s' if fetch['requests'] != 1 else ''}"
        remark = f", {fetch['remark']}" if fetch["remark"] else ""
        lines.append(
            f"  fetched {fetch['at']} for {fetch['program'] or 'an unknown program'} ({fetch['class']}),"
            f" {requests}, {format_size(fetch['size_bytes'])}{remark}"
        )
    if not document["fetches"]:
        lines.append("  not in the fetch history")
    if document["refused"]:
        lines.append(f"  refused {document['refused']['at']} to {document['refused']['program']}")
    lines.append(f"  cached: {document['cached']}")
    return lines


def _kept_words(document: Mapping[str, Any]) -> str:
    """A note for a content that is not in the history but in the cache; empty if it is not cached."""
    return "" if document["cached"] == "no" else f"; cached: {document['cached']}"
