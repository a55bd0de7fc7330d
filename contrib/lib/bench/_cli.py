"""The command line of `contrib/bench`."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from bench._calls import CallsBench
from bench._calls_results import CallsResults, calls_table
from bench._conditions import circumstances, conditions
from bench._delay import delayed
from bench._exports import LARGE_CASE, ExportsResults, described, exports_table, measure, run
from bench._ledger import measure as measure_ledger
from bench._material import FileSet, Material, Texts
from bench._measure import Bench
from bench._mirror import write_mirror
from bench._nginx import Origin, nginx
from bench._offline import offline
from bench._peers import PEERS, USUAL, Peer, PeerError, old_rcfs
from bench._picture import picture
from bench._plan import Plan, ScalePlan, full, quick
from bench._processes import free_port
from bench._report import in_readme, short_table, tables
from bench._results import Results
from bench._scale import ScaleBench
from bench._scale_results import ScaleResults, scale_table
from bench._soak import soak

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""
_SCALE, _CALLS, _EXPORTS = "scale.json", "calls.json", "exports.json"
_INTERRUPTED = "contrib/bench: interrupted; everything was unmounted and ended\n"
_CALLS_PER_DAY, _CALLS_PER_USER = 40_000, 10
"""The example of the documentation of recordings: 4,000 users with ten calls a day each."""
_ATTACHMENTS = 12_000
"""Attachments for ``--exports``: four archives; four minutes of CPU time."""


def main() -> int:
    """Runs the command and returns its exit code: 1 when a figure of rcfs is missing."""
    options = _options()
    if options.soak:
        return soak(ROOT)
    if options.offline:
        return offline()
    results = ROOT / "contrib/results"
    if options.ledger:
        return _ended(lambda place: _say(measure_ledger(place, _say).described()))
    if options.readme:
        if not results.joinpath("bench.json").exists():
            sys.stderr.write("contrib/bench: there are no results yet; run contrib/bench first\n")
            return 1
        text = short_table(Results.load(results / "bench.json"))
        readme = ROOT / "README.md"
        readme.write_text(in_readme(readme.read_text(encoding="utf-8"), text), encoding="utf-8")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    if options.scale is not None:
        return _scale(results, options.scale)
    if options.calls is not None:
        return _calls(results, options.calls)
    if options.exports is not None:
        return _exports(results, options.exports)
    if options.exports_large:
        return _exports_large(results / _EXPORTS)
    plan = quick() if options.quick else full()
    peers = [PEERS[name]() for name in options.peer or USUAL]
    if options.old:
        peers.append(old_rcfs(options.old))
    try:
        measured = _measured(plan, peers)
    except KeyboardInterrupt:
        sys.stderr.write(_INTERRUPTED)
        return 130
    sys.stdout.write("\n" + tables(measured))
    if not options.quick and not options.peer and not options.old:
        write(results, measured)
        sys.stdout.write(f"Written to {results}; contrib/bench --readme takes it into README.md.\n")
    failed = [cell for cell in measured.cells if cell.error and cell.peer == "rcfs"]
    return 1 if failed else 0


def _scale(folder: Path, sizes: Sequence[int]) -> int:
    """Runs ``--scale`` and returns the exit code."""
    plan = ScalePlan(sizes=tuple(sizes)) if sizes else ScalePlan()
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rcfs-bench")
    measured = ScaleResults({**circumstances(ROOT), "account": plan.described})
    code = _ended(lambda place: ScaleBench(plan, kept, place, measured, _say).run())
    if not code:
        _put(None if sizes else folder / _SCALE, measured.to_json(), scale_table(measured))
    return code


def _calls(folder: Path, numbers: Sequence[int]) -> int:
    """Runs ``--calls`` and returns the exit code."""
    per_day = numbers[0] if numbers else _CALLS_PER_DAY
    users = numbers[1] if len(numbers) > 1 else max(1, per_day // _CALLS_PER_USER)
    measured: list[CallsResults] = []

    def run(place: Path) -> None:
        bench = CallsBench(per_day, users, place, _say)
        measured.append(CallsResults({**circumstances(ROOT), "account": bench.described}, bench.run()))

    code = _ended(run)
    for results in measured:
        _put(None if numbers else folder / _CALLS, results.to_json(), calls_table(results))
    return code


def _exports(folder: Path, numbers: Sequence[int]) -> int:
    """Runs ``--exports`` and returns the exit code."""
    attachments = numbers[0] if numbers else _ATTACHMENTS
    large = [] if numbers else ExportsResults.load(folder / _EXPORTS).large
    results = ExportsResults({**circumstances(ROOT), "account": described(attachments)}, large=large)
    code = _ended(lambda place: measure(attachments, place, results, _say))
    if not code:
        _put(None if numbers else folder / _EXPORTS, results.to_json(), exports_table(results))
    return code


def _exports_large(path: Path) -> int:
    """Runs ``--exports-large``, adds it to the results in the JSON file `path`, and returns the exit code."""
    results = ExportsResults.load(path)
    code = _ended(lambda place: results.add_large(run(LARGE_CASE, place), circumstances(ROOT)))
    if not code:
        _put(path, results.to_json(), exports_table(results))
    return code


def _say(line: str) -> None:
    print(line, flush=True)


def _ended(run: Callable[[Path], None]) -> int:
    """Runs a bench in an empty directory of its own; 0, or the exit code if it did not come to its end."""
    with tempfile.TemporaryDirectory(prefix="rcfs-bench-", ignore_cleanup_errors=True) as name:
        try:
            run(Path(name))
        except KeyboardInterrupt:
            sys.stderr.write(_INTERRUPTED)
            return 130
        except PeerError as exc:
            sys.stderr.write(f"contrib/bench: {exc}\n")
            return 1
    return 0


def _put(path: Path | None, as_json: str, table: str) -> None:
    """Prints a table, and writes it beside the JSON file `path`; None writes nothing."""
    sys.stdout.write("\n" + table)
    if path is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(as_json, encoding="utf-8")
        path.with_suffix(".md").write_text(table, encoding="utf-8")


def write(folder: Path, results: Results) -> None:
    """Writes the results to `folder` as JSON, as tables and as a picture."""
    folder.mkdir(exist_ok=True)
    folder.joinpath("bench.json").write_text(results.to_json(), encoding="utf-8")
    folder.joinpath("bench.md").write_text(tables(results), encoding="utf-8")
    folder.joinpath("bench.svg").write_text(picture(results), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="contrib/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run a tenth of it, once")
    parser.add_argument("--peer", action="append", choices=list(PEERS), help="only this one; repeatable")
    parser.add_argument("--old", metavar="PROGRAM", help="another rcfs, to be measured beside the others")
    parser.add_argument("--readme", action="store_true", help="take the last results into README.md")
    parser.add_argument(
        "--scale", nargs="*", type=int, metavar="MESSAGES", help="measure accounts of these sizes"
    )
    parser.add_argument(
        "--calls",
        nargs="*",
        type=int,
        metavar="NUMBER",
        help="measure the call log of an account with NUMBER calls a day, and NUMBER users",
    )
    parser.add_argument(
        "--exports",
        nargs="*",
        type=int,
        metavar="ATTACHMENTS",
        help="measure pulls by exports of an account with this many attachments",
    )
    parser.add_argument(
        "--exports-large", action="store_true", help="measure one of 630,000 attachments; some 20 minutes"
    )
    parser.add_argument("--soak", action="store_true", help="run the tests that can run longer, for long")
    parser.add_argument("--ledger", action="store_true", help="measure a quota ledger on a server")
    parser.add_argument("--offline", action="store_true", help="measure a known account without its server")
    return parser.parse_args()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    _end_undisturbed()
    raise KeyboardInterrupt


def _end_undisturbed() -> None:
    """Ignores signals from now on, so that unmounting and clearing up, which take a bounded time, finish."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _measured(plan: Plan, peers: Sequence[Peer]) -> Results:
    results = Results(conditions(plan, peers, ROOT))
    with (
        tempfile.TemporaryDirectory(prefix="rcfs-bench-", ignore_cleanup_errors=True) as name,
        ExitStack() as stack,
    ):
        folder = Path(name)
        near = {index: _origin(index) for index in ("api", "html", "json")}
        far = {index: _far(origin) for index, origin in near.items()}
        material = Material(folder / "material", plan.sets, plan.walks, (plan.recording, plan.recordings))
        material.write_files()
        mirrored: list[Texts | FileSet] = [*plan.walks, *plan.sets]
        for messages in mirrored:
            write_mirror(messages, near["api"].url, material.files / messages.name)
        for origin in (near["api"], far["api"]):
            material.write_records(origin.name, origin.url)
        # Records hold the URL of their server, so the far platform needs its own; files need none.
        log = stack.enter_context(nginx(folder / "nginx", material, [*near.values(), far["api"]]))
        for origin in far.values():
            stack.enter_context(delayed(origin, plan.one_way_s, folder / "delay.log"))
        mounts = folder / "mounts"
        mounts.mkdir()
        stack.callback(_end_undisturbed)  # Added last, so called first.
        Bench(
            plan=plan,
            peers=peers,
            material=material,
            log=log,
            near=near,
            far=far,
            folder=mounts,
            results=results,
            say=lambda line: print(line, flush=True),
        ).run()
    return results


def _origin(index: str) -> Origin:
    port = free_port()
    return Origin(index, f"http://127.0.0.1:{port}", port, "json" if index == "json" else "html")


def _far(near: Origin) -> Origin:
    """The same server behind a line with latency."""
    name, port = (f"{near.name}-far", free_port()) if near.name == "api" else (near.name, near.port)
    return Origin(name, f"http://127.0.0.1:{free_port()}", port, near.index)
