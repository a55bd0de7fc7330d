"""The figures of a comparison, as values that can be written as JSON and read again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import attrs


@attrs.define
class Cell:
    """One command of one peer in one phase."""

    case: str
    """Name of the command."""
    phase: str
    """One of `bench._plan.PHASES`."""
    peer: str
    """Name of the peer."""
    seconds: list[float] = attrs.field(factory=list)
    """Time of each run."""
    requests: list[int] = attrs.field(factory=list)
    """Requests of each run."""
    size_bytes: int = 0
    """Bytes that it reads, if its throughput is of interest; else 0."""
    error: str = ""
    """The reason why figures are missing; empty when none is."""

    @property
    def median_s(self) -> float | None:
        """Median time in seconds; None without a figure."""
        return median(self.seconds) if self.seconds else None

    @property
    def mb_per_s(self) -> float | None:
        """Throughput in MB/s (10^6 bytes); None without a figure, or if it is not of interest."""
        return self.size_bytes / self.median_s / 1e6 if self.size_bytes and self.median_s else None

    @property
    def median_requests(self) -> int | None:
        """Median number of requests; None without a figure."""
        return round(median(self.requests)) if self.requests else None


@attrs.define
class FirstByte:
    """Time to the first byte of files that are not cached."""

    peer: str
    """Name of the peer."""
    one_way_s: float
    """One-way latency in seconds; 0 for loopback."""
    seconds: list[float] = attrs.field(factory=list)
    """Time of each file."""
    error: str = ""
    """The reason why figures are missing."""

    @property
    def median_s(self) -> float | None:
        """Median in seconds; None without a figure."""
        return median(self.seconds) if self.seconds else None

    @property
    def p95_s(self) -> float | None:
        """95th percentile in seconds; None with fewer than two figures."""
        return quantiles(self.seconds, n=20, method="inclusive")[-1] if len(self.seconds) > 1 else None


@attrs.define
class Memory:
    """Memory of a daemon after a command."""

    peer: str
    """Name of the peer."""
    case: str
    """The command, which has run twice before."""
    pss_bytes: int
    """Proportional set size."""
    rss_bytes: int
    """Resident set size."""


@attrs.define
class ColdCpu:
    """CPU time of a daemon for small files that are not cached."""

    peer: str
    """Name of the peer."""
    files: int
    """Number of files that were read, after their names were listed."""
    seconds: list[float] = attrs.field(factory=list)
    """CPU time of each run."""
    error: str = ""
    """The reason why figures are missing."""

    @property
    def least_s(self) -> float | None:
        """CPU time for one file in seconds, of the run with the least; None without a figure.

        The least, because other processes only ever add to it: they empty the processor's caches.
        """
        return min(self.seconds) / self.files if self.seconds else None


@attrs.define
class Results:
    """A whole run."""

    conditions: dict[str, str]
    """Versions, machine, date and settings, by name."""
    cells: list[Cell] = attrs.field(factory=list)
    """Commands."""
    first_bytes: list[FirstByte] = attrs.field(factory=list)
    """Times to the first byte."""
    memory: list[Memory] = attrs.field(factory=list)
    """Memory."""
    cold_cpu: list[ColdCpu] = attrs.field(factory=list)
    """CPU times of cold files."""

    def cell(self, case: str, phase: str, peer: str) -> Cell:
        """The cell of that name; creates it if it is missing."""
        for cell in self.cells:
            if (cell.case, cell.phase, cell.peer) == (case, phase, peer):
                return cell
        self.cells.append(Cell(case, phase, peer))
        return self.cells[-1]

    @property
    def peers(self) -> Sequence[str]:
        """Names of the peers in the order in which they were measured."""
        return tuple(dict.fromkeys(cell.peer for cell in self.cells))

    @property
    def cases(self) -> Sequence[str]:
        """Names of the commands in the order in which they were measured."""
        return tuple(dict.fromkeys(cell.case for cell in self.cells))

    def to_json(self) -> str:
        """The results as JSON; `from_json` is the inverse."""
        return json.dumps(attrs.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Results":
        """The results that `to_json` wrote as `text`."""
        document: Mapping[str, Any] = json.loads(text)
        return cls(
            dict(document["conditions"]),
            [Cell(**cell) for cell in document["cells"]],
            [FirstByte(**one) for one in document["first_bytes"]],
            [Memory(**one) for one in document["memory"]],
            [ColdCpu(**one) for one in document.get("cold_cpu", ())],
        )

    @classmethod
    def load(cls, path: Path) -> "Results":
        """The results in a file."""
        return cls.from_json(path.read_text(encoding="utf-8"))
