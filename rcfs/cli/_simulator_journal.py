"""`rcfs simulator --journal URL`: what a running simulator was asked, as a table or as JSON."""

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from rcfs.cli._output import say
from rcfs.errors import ConfigError, ServerError, TransportError
from rcfs.model import is_loopback, server_origin

TIMEOUT_S = 60.0
"""Longest silence of the simulator, in seconds: two hundred thousand entries take it a few."""

SHOWN = ("limited", "in_penalty", "duplicates_in_flight", "heads", "forgotten")
"""Counts of the summary that a person is told besides the requests."""


def print_journal(url: str, *, as_json: bool) -> None:
    """Prints the summary and every entry of the journal of the simulator at `url`.

    Raises:
        ConfigError: `url` is no URL of this machine.
        TransportError: Nobody answers there.
        ServerError: It answers, but is no simulator.
    """
    try:
        origin = server_origin(url)
    except ValueError as exc:
        raise ConfigError(f"--journal: {exc}") from exc
    if not is_loopback(urlsplit(origin).hostname or ""):
        raise ConfigError(f"--journal: a simulator listens on loopback only, not on {origin}")
    summary, entries = _fetch(f"{origin}/simulator/journal/summary"), _fetch(f"{origin}/simulator/journal")
    if as_json:
        say(json.dumps({"summary": summary, "entries": entries}))
        return
    for entry in entries:
        say(_line(entry))
    counts = [f"{summary[name]} {name.replace('_', ' ')}" for name in SHOWN if summary[name]]
    say(", ".join([f"{summary['requests']} requests, {summary['content_requests']} for contents", *counts]))


def _line(entry: dict[str, Any]) -> str:
    """`entry` in columns; what it says of the path comes last, because it is the longest."""
    status = entry["status"] if entry["status"] is not None else "cut" if entry["done"] else "…"
    notes = [
        name
        for name, told in (
            (f"range={entry['range']}", entry["range"]),
            (f"fault={entry['fault']}", entry["fault"]),
            ("in-penalty", entry["in_penalty"]),
            ("duplicate", entry["duplicate_in_flight"]),
        )
        if told
    ]
    remaining = "-" if entry["remaining"] is None else entry["remaining"]
    query = f"?{entry['query']}" if entry["query"] else ""
    columns = (
        f"{entry['seq']:>6} {entry['time_s']:>10.3f} {entry['origin']:<8} {entry['group'] or '-':<6}"
        f" {remaining:>4} {status:>4} {entry['bytes_sent']:>10} {entry['method']:<6} {entry['path']}{query}"
    )
    return " ".join([columns, *notes])


def _fetch(url: str) -> Any:
    """The JSON at `url`.

    Raises:
        TransportError: Nobody answers there.
        ServerError: What answers is no simulator.
    """
    try:
        # No proxy can reach this machine's loopback, whatever the environment says.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=TIMEOUT_S) as answer:
            return json.load(answer)
    except (urllib.error.HTTPError, ValueError) as exc:
        raise ServerError(f"what answers at {url} is no simulator: {exc}") from exc
    except OSError as exc:
        raise TransportError(f"no simulator answers at {url}: {exc}") from exc
