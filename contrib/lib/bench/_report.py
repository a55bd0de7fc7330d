"""The results as tables in Markdown, and their place in the README."""

from collections.abc import Callable, Sequence

from bench._plan import COLD, PHASES, REMOUNT
from bench._results import Cell, Results

BEGIN = "<!-- bench: begin; written by contrib/bench --readme -->"
END = "<!-- bench: end -->"
_NOTHING = "-"
_SHORT = ("grep -r over 2,000", "find, 10,000 messages")
"""The cases that the README has: one for each way in which people use a mount."""


def tables(results: Results) -> str:
    """All tables, then the failures, then the conditions."""
    times = [case for case in results.cases if _size(results, case) == 0]
    rates = [case for case in results.cases if _size(results, case)]
    parts = [
        "Requests (cold / again / after a remount):",
        _phase_table(results, results.cases, lambda cell: _number(cell.median_requests)),
        "Seconds (cold / again / after a remount):",
        _phase_table(results, times, lambda cell: _seconds(cell.median_s)),
        "MB/s (cold / again, from the kernel's memory / after a remount, from the disk):",
        _phase_table(results, rates, lambda cell: _number(cell.mb_per_s)),
        "Milliseconds to the first byte of a cold file (median / 95th percentile):",
        _first_byte_table(results),
        "CPU time of the daemon for a cold small file, and as a multiple of a bare pyfuse3 and httpx:",
        _cold_cpu_table(results),
        "Memory of the daemon, PSS in MB:",
        _memory_table(results),
        *_failures(results),
        "Conditions: "
        + "; ".join(f"{name}: {text}" for name, text in results.conditions.items() if text)
        + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def short_table(results: Results) -> str:
    """The requests and the seconds of the usual cases, for the README."""
    rows = []
    for case in (case for case in results.cases if case in _SHORT):
        rows += _phase_rows(results, [case], lambda cell: _number(cell.median_requests), ": requests")
        rows += _phase_rows(results, [case], lambda cell: _seconds(cell.median_s), ": seconds")
    return _table(["", *results.peers], rows) + "\n"


def in_readme(readme: str, text: str) -> str:
    """`readme` with `text` between the markers.

    Raises:
        ValueError: The markers are missing, repeated or in the wrong order.
    """
    before, found, rest = readme.partition(BEGIN + "\n")
    _old, ended, after = rest.partition(END)
    if not found or not ended or BEGIN in after or END in after:
        raise ValueError(f"the README must have one line {BEGIN} and below it one line {END}")
    return f"{before}{BEGIN}\n{text}{END}{after}"


def _phase_table(results: Results, cases: Sequence[str], figure: Callable[[Cell], str]) -> str:
    rows = _phase_rows(results, cases, figure)
    return _table(["", *results.peers], rows) if rows else ""


def _phase_rows(
    results: Results, cases: Sequence[str], figure: Callable[[Cell], str], what: str = ""
) -> list[list[str]]:
    """A row for each case, whose name ends with `what`, with the figures of all phases for each peer."""
    rows = []
    for case in cases:
        phases = [COLD, REMOUNT] if case == "mount" else PHASES
        cells = [case + what]
        for peer in results.peers:
            figures = [figure(results.cell(case, phase, peer)) for phase in phases]
            cells.append(" / ".join(figures) if set(figures) != {_NOTHING} else _NOTHING)
        rows.append(cells)
    return rows


def _first_byte_table(results: Results) -> str:
    def cell(peer: str, one_way_s: float) -> str:
        for one in results.first_bytes:
            if (one.peer, one.one_way_s) == (peer, one_way_s):
                return f"{_milliseconds(one.median_s)} / {_milliseconds(one.p95_s)}"
        return _NOTHING

    ways = dict.fromkeys(one.one_way_s for one in results.first_bytes)
    rows = [[_way(one_way_s), *(cell(peer, one_way_s) for peer in results.peers)] for one_way_s in ways]
    return _table(["", *results.peers], rows) if rows else ""


def _cold_cpu_table(results: Results) -> str:
    least = {one.peer: one.least_s for one in results.cold_cpu}
    bare_s = least.get("bare")
    rows = [
        [name, _NOTHING, _NOTHING]
        if each_s is None
        else [name, f"{each_s * 1000:.2f} ms", f"{each_s / bare_s:.1f}" if bare_s else _NOTHING]
        for name, each_s in least.items()
    ]
    return _table(["", "CPU time", "bare = 1"], rows) if rows else ""


def _memory_table(results: Results) -> str:
    def cell(peer: str, case: str) -> str:
        found = [m.pss_bytes for m in results.memory if (m.peer, m.case) == (peer, case)]
        return f"{max(found) / 1e6:.0f}" if found else _NOTHING

    cases = dict.fromkeys(one.case for one in results.memory)
    rows = [[f"after {case}", *(cell(peer, case) for peer in results.peers)] for case in cases]
    return _table(["", *results.peers], rows) if rows else ""


def _failures(results: Results) -> list[str]:
    """A list of the missing figures with their reasons; peers that failed in the same way share a line."""
    peers: dict[tuple[str, str], list[str]] = {}
    for cell in results.cells:
        if cell.error:
            peers.setdefault((f"{cell.case}, {cell.phase}", cell.error), []).append(cell.peer)
    for one in results.first_bytes:
        if one.error:
            peers.setdefault((f"first byte, {_way(one.one_way_s)}", one.error), []).append(one.peer)
    for cpu in results.cold_cpu:
        if cpu.error:
            peers.setdefault(("CPU time of a cold file", cpu.error), []).append(cpu.peer)
    lines = [f"- {what}, {' and '.join(who)}: {error}" for (what, error), who in peers.items()]
    return ["Without a figure:", "\n".join(lines)] if lines else []


def _size(results: Results, case: str) -> int:
    return max(cell.size_bytes for cell in results.cells if cell.case == case)


def _way(one_way_s: float) -> str:
    return f"{one_way_s * 1000:.0f} ms one way" if one_way_s else "on loopback"


def _number(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value * 1000:.1f}" if value < 0.01 else f"{value * 1000:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _column in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
