"""The figures of accounts of different sizes, as values that can be written as JSON and read again."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs


@attrs.define(kw_only=True)
class ScaleFigures:
    """One size; times in seconds, rates in entries per second."""

    messages: int
    """Number of messages."""
    intake_s: float
    """Time to put their records into the index, page by page, without HTTP."""
    intake_cpu_s: float
    """The same in seconds of CPU time."""
    index_bytes: int
    """Size of the index on the disk."""
    mount_s: float = 0.0
    """Time to mount without the network, with the index on the disk and not in memory."""
    mount_pss_bytes: int = 0
    """Proportional set size of the daemon after mounting."""
    find_cold: float = 0.0
    """Rate of `find` on a new mount."""
    find_cpu_s: float = 0.0
    """CPU time of the daemon for each of its entries."""
    find_warm: float = 0.0
    """The same once more."""
    list_cold: float = 0.0
    """Rate of `ls -lR` on a new mount."""
    list_warm: float = 0.0
    """The same once more."""
    walked: int = 0
    """Entries that these commands list."""
    entries: int = 0
    """Entries of the whole tree, as `find` counts them."""
    find_pss_bytes: int = 0
    """Proportional set size of the daemon after a `find` through the whole tree."""
    find_rss_bytes: int = 0
    """Resident set size then."""
    forgotten_pss_bytes: int = 0
    """Proportional set size after the kernel has dropped its caches; 0 when it is not allowed to."""
    changes: int = 0
    """Changes in all mailboxes together."""
    sync_s: float = 0.0
    """Time to sync all of them, with one request for each mailbox."""
    sync_cpu_s: float = 0.0
    """CPU time of the daemon for it."""
    common_s: float = 0.0
    """Time to find the newest messages with the most common word."""
    rare_s: float = 0.0
    """The same with a word that very few messages have."""
    pull_s: float = 0.0
    """Time of `rcfs pull --dry-run` of everything into an empty cache."""
    pull_cpu_s: float = 0.0
    """The same in seconds of CPU time."""
    pull_lines: int = 0
    """Lines that it printed."""
    pull_rss_bytes: int = 0
    """Peak resident set size of all pulls."""
    pull_again_s: float = 0.0
    """Time of a pull that copies one type of messages and finds nothing changed."""
    pull_requests: int = 0
    """Requests of that pull."""


@attrs.define
class ScaleResults:
    """A whole run."""

    conditions: dict[str, str]
    """By name."""
    sizes: list[ScaleFigures] = attrs.field(factory=list)
    """The smallest account first."""

    def to_json(self) -> str:
        """The results as JSON; `load` is the inverse."""
        return json.dumps(attrs.asdict(self), indent=1) + "\n"

    @classmethod
    def load(cls, path: Path) -> "ScaleResults":
        """The results in a file."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(document["conditions"], [ScaleFigures(**size) for size in document["sizes"]])


ROWS: Sequence[tuple[str, Callable[[ScaleFigures], str]]] = (
    ("entries in the tree", lambda size: f"{size.entries:,}"),
    ("mount, s", lambda size: f"{size.mount_s:.2f}"),
    ("memory after mounting, PSS in MB", lambda size: _megabytes(size.mount_pss_bytes)),
    (
        "memory after `find` through all, PSS / RSS in MB",
        lambda size: f"{_megabytes(size.find_pss_bytes)} / {_megabytes(size.find_rss_bytes)}",
    ),
    ("memory when the kernel has forgotten it, PSS in MB", lambda size: _megabytes(size.forgotten_pss_bytes)),
    ("`find`, entries/s (cold / warm)", lambda size: f"{size.find_cold:,.0f} / {size.find_warm:,.0f}"),
    ("`find`, µs of CPU for an entry (cold)", lambda size: f"{size.find_cpu_s * 1e6:.0f}"),
    ("`ls -lR`, entries/s (cold / warm)", lambda size: f"{size.list_cold:,.0f} / {size.list_warm:,.0f}"),
    ("sync of changes, s (CPU s)", lambda size: f"{size.sync_s:.1f} ({size.sync_cpu_s:.1f})"),
    (
        "search, ms (commonest word / rare word)",
        lambda size: f"{size.common_s * 1e3:.1f} / {size.rare_s * 1e3:.1f}",
    ),
    (
        "`pull --dry-run` of everything, s (CPU s)",
        lambda size: f"{size.pull_s:.0f} ({size.pull_cpu_s:.0f})" if size.pull_s else "-",
    ),
    (
        "`pull` again with nothing changed, s / requests",
        lambda size: f"{size.pull_again_s:.1f} / {size.pull_requests}" if size.pull_s else "-",
    ),
    ("memory of `pull`, RSS in MB at its peak", lambda size: _megabytes(size.pull_rss_bytes)),
    ("index on the disk, MB", lambda size: _megabytes(size.index_bytes)),
    ("taking in the records, s (CPU s)", lambda size: f"{size.intake_s:.0f} ({size.intake_cpu_s:.0f})"),
)
"""The lines of the table: the label, and a function that gives the figure of one size."""


def scale_table(results: ScaleResults) -> str:
    """The table in Markdown, a column for each size, then the conditions."""
    lines = [
        ["messages", *(f"{size.messages:,}" for size in results.sizes)],
        ["---", *("---:" for _size in results.sizes)],
        *([what, *map(figure, results.sizes)] for what, figure in ROWS),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    conditions = "; ".join(f"{name}: {text}" for name, text in results.conditions.items() if text)
    return f"Growth with the account:\n\n{table}\n\nConditions: {conditions}.\n"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f}" if size_bytes else "-"
