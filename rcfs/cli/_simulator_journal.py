"""`rcfs simulator --journal URL`: the requests to a running simulator, as a table or as JSON."""

import json
from typing import Any

from rcfs.cli._output import say
from rcfs.cli._simulator_admin import SimulatorAdmin

SHOWN = ("limited", "in_penalty", "duplicates_in_flight", "heads", "tokens_abroad", "violations", "forgotten")
"""Counts of the summary that the table ends with, if they are not 0."""


def print_journal(url: str, *, as_json: bool) -> None:
    """Prints the summary and every entry of the journal of the simulator at `url`.

    Raises:
        ConfigError: `url` is not a URL of this machine.
        TransportError: No program listens there.
        ServerError: The program that answers is not a simulator.
    """
    admin = SimulatorAdmin(url, name="--journal")
    summary, entries = admin.ask("journal/summary"), admin.ask("journal")
    if as_json:
        say(json.dumps({"summary": summary, "entries": entries}))
        return
    for entry in entries:
        say(_line(entry))
    counts = [f"{summary[name]} {name.replace('_', ' ')}" for name in SHOWN if summary[name]]
    say(", ".join([f"{summary['requests']} requests, {summary['content_requests']} for contents", *counts]))


def _line(entry: dict[str, Any]) -> str:
    """`entry` in columns; the path and its notes come last, because they are the longest."""
    status = entry["status"] if entry["status"] is not None else "cut" if entry["done"] else "…"
    notes = [
        name
        for name, told in (
            (f"range={entry['range']}", entry["range"]),
            (f"fault={entry['fault']}", entry["fault"]),
            ("with-token", entry["has_token"] and entry["origin"] == "foreign"),
            (f"violation={entry['violation']!r}", entry["violation"]),
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
