"""The figures of the call log of a large account, as values that can be written as JSON."""

import json
from collections.abc import Sequence
from typing import Any

import attrs


@attrs.define(kw_only=True)
class Timed:
    """Something that was read."""

    entries: int
    """Entries, or lines."""
    size_bytes: int = 0
    """Bytes, if it is a file."""
    first_s: float
    """Seconds to the first entry or byte on a new mount."""
    whole_s: float
    """Seconds to all of it, from then on."""


@attrs.define(kw_only=True)
class CallsFigures:
    """One run; times in seconds, sizes in bytes."""

    load: dict[str, Any]
    """The `bench._calls_load.Loaded`."""
    load_s: float
    """Time of the whole load on the clock of the machine, with the simulator's."""
    load_rss_bytes: int
    """Peak memory of its process: rcfs and the simulator."""
    mount_s: float = 0.0
    """Time to mount without the network, with the index on the disk and not in memory."""
    read: dict[str, Timed] = attrs.field(factory=dict)
    """By what was read."""
    search_s: float = 0.0
    """Time of `rcfs search` of a number."""
    search_matches: int = 0
    """Calls that it found."""
    all_recordings: int = 0
    """Recordings of a month that `find` lists in the directories of all extensions."""
    find_s: float = 0.0
    """Its time."""
    mount_rss_bytes: dict[str, int] = attrs.field(factory=dict)
    """Peak memory of the mount so far, by what it had done last."""
    status: str = ""
    """The lines about calls in its status."""


@attrs.define
class CallsResults:
    """A run and its conditions."""

    conditions: dict[str, str]
    """By name."""
    figures: CallsFigures

    def to_json(self) -> str:
        """The results as JSON."""
        return json.dumps(attrs.asdict(self), indent=1) + "\n"


def calls_table(results: CallsResults) -> str:
    """The figures as a table in Markdown, then the status and the conditions."""
    figures = results.figures
    rows = [*_load_rows(figures), *_mount_rows(figures)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in [("what", "figure"), ("---", "---:"), *rows])
    conditions = "; ".join(f"{name}: {text}" for name, text in results.conditions.items() if text)
    status = f"The mount's status says:\n\n```\n{figures.status}\n```"
    return f"The call log of a large account:\n\n{table}\n\n{status}\n\nConditions: {conditions}.\n"


def _load_rows(figures: CallsFigures) -> Sequence[tuple[str, str]]:
    load = figures.load
    what = "calls / Heavy requests / minutes / share of the budget"
    return (
        *((f"first look into {month['month']}: {what}", _looked(month)) for month in load["months"]),
        (
            f"Heavy requests while somebody looks for {load['looked_s'] / 60:.0f} min afterwards",
            f"{load['look_requests']:,}",
        ),
        ("requests that were refused (429)", f"{load['refused']:,}"),
        ("index on the disk, MB", _megabytes(load["index_bytes"])),
        ("loading, s of this machine, simulator included", f"{figures.load_s:,.0f}"),
        (
            "peak memory of the load, MB (of which the simulator had before)",
            f"{_megabytes(figures.load_rss_bytes)} ({_megabytes(load['idle_bytes'])})",
        ),
    )


def _looked(month: dict[str, Any]) -> str:
    minutes = month["seconds"] / 60
    return f"{month['calls']:,} / {month['requests']:,} / {minutes:.0f} / {month['share']:.0%}"


def _mount_rows(figures: CallsFigures) -> Sequence[tuple[str, str]]:
    return (
        ("mount, s", f"{figures.mount_s:.2f}"),
        *((f"{what}: {_units(timed)}", _seconds(timed)) for what, timed in figures.read.items()),
        (
            f"`rcfs search` of a number: {figures.search_matches:,} matches, s",
            f"{figures.search_s:.2f}",
        ),
        (f"`find` of all {figures.all_recordings:,} recordings of a month, s", f"{figures.find_s:.0f}"),
        *(
            (f"peak memory of the mount after {what}, MB", _megabytes(size))
            for what, size in figures.mount_rss_bytes.items()
        ),
    )


def _units(timed: Timed) -> str:
    if timed.size_bytes:
        return f"{timed.entries:,} lines, {timed.size_bytes / 1e6:,.1f} MB, s to the first byte / all"
    return f"{timed.entries:,} entries, s to the first / all"


def _seconds(timed: Timed) -> str:
    return f"{timed.first_s:.3f} / {timed.whole_s:.3f}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f}"
