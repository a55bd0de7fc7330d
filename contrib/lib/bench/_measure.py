"""Measuring: mounts each peer, runs the commands, and notes times and requests.

A peer that fails costs its own figures only. Everything that was started ends with `Bench.run`, however
that ends.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from bench._material import NEEDLE, Material, Texts
from bench._nginx import AccessLog, Origin
from bench._peers import Peer, PeerError, Place, bare
from bench._plan import AGAIN, COLD, PHASES, REMOUNT, Case, Layout, Plan
from bench._processes import cpu_s, wait_measured
from bench._results import ColdCpu, FirstByte, Memory, Results

_DIES_WITHIN_S = 3.0
"""Longest wait for a command that was killed, as it may hang in its mount."""
_FIRST_BYTES_WITHIN_S = 60.0
_LISTING_WITHIN_S = 60.0
_READ_WITHIN_S = 120.0
MOUNT = "mount"
"""The name of the row for mounting itself."""


@attrs.define(eq=False)
class Bench:
    """One run; `near` and `far` are the origins by what a peer reads (`Peer.index`)."""

    plan: Plan
    """The measurements."""
    peers: Sequence[Peer]
    """The programs to compare."""
    material: Material
    """The served data."""
    log: AccessLog
    """nginx's access log."""
    near: Mapping[str, Origin]
    """The server itself."""
    far: Mapping[str, Origin]
    """The server behind a line with latency."""
    folder: Path
    """An empty folder for mounts and caches."""
    results: Results
    """The figures so far."""
    say: Callable[[str], None]
    """Gets a line of progress."""
    _began_s: float = attrs.field(factory=time.monotonic)
    _places: int = 0

    def run(self) -> None:
        """Measures everything."""
        for peer in self.peers:
            self.results.cell(MOUNT, COLD, peer.name)  # the first row
        for case in self.plan.cases():
            self._compare(case, self.peers)
        for origins, one_way_s in ((self.near, 0.0), (self.far, self.plan.one_way_s)):
            for peer in self.peers:
                self._first_bytes(peer, origins[peer.index], one_way_s)
        for peer in {each.name: each for each in (*self.peers, bare())}.values():
            self._cold_cpu(peer)
        for texts in self.plan.walks:
            entries, hits = self._counted(texts)
            able = self.peers
            for case in self.plan.walk_cases(texts, entries, hits):
                # A peer that failed on this tree is left out of the longer walks.
                able = self._compare(case, able)

    # The measurements

    def _counted(self, texts: Texts) -> tuple[int, int]:
        """Number of entries in the tree of `texts`, and of the files with the needle."""
        paths = [self.material.files / texts.name, *(self.material.files / texts.name).rglob("*")]
        return len(paths), sum(NEEDLE in path.read_text("utf-8") for path in paths if path.is_file())

    def _compare(self, case: Case, peers: Sequence[Peer]) -> Sequence[Peer]:
        """Measures a command with all peers in turn; returns the peers that had no error."""
        for _repeat in range(self.plan.repeats):
            for peer in peers:
                self._measure(peer, case)
        failed = {cell.peer for cell in self.results.cells if cell.case == case.name and cell.error}
        return [peer for peer in peers if peer.name not in failed]

    def _measure(self, peer: Peer, case: Case) -> None:
        """Runs a command in all phases, on a mount point of its own."""
        cells = {phase: self.results.cell(case.name, phase, peer.name) for phase in PHASES}
        if not self._worthwhile(cells[COLD].median_s, [cell.error for cell in cells.values()]):
            return
        phase, place = COLD, self._place(peer)
        origin = self.near[peer.index]
        try:
            self._in_time()
            for phases in ((COLD, AGAIN), (REMOUNT,)):
                phase = phases[0]
                evict(place.cache)
                with self._mounted(peer, origin, place, phase) as pid:
                    for phase in phases:
                        cell = cells[phase]
                        cell.size_bytes = case.size_bytes
                        seconds, requests = self._command(peer, case, place)
                        cell.seconds.append(seconds)
                        cell.requests.append(requests)
                        self.say(f"{peer.name}, {case.name}, {phase}: {seconds:.3f} s, {requests} requests")
                    if phase == AGAIN and case.weighs:
                        self.results.memory.append(Memory(peer.name, case.name, *memory_of(pid)))
        except PeerError as exc:
            cells[phase].error = str(exc)
            self.say(f"{peer.name}, {case.name}, {phase}: {exc}")
        finally:
            self._clear(place)

    def _first_bytes(self, peer: Peer, origin: Origin, one_way_s: float) -> None:
        """Opens some cold files of a folder that has been listed."""
        result = FirstByte(peer.name, one_way_s)
        self.results.first_bytes.append(result)
        place, layout = self._place(peer), Layout(is_rcfs=peer.index == "api")
        paths = [layout.file(self.plan.small, index) for index in range(self.plan.opened)]
        try:
            self._in_time()
            with peer.mounted(origin, place):
                # The measured time is that of the bytes: every peer may list the names first.
                listing = f'find "{paths[0].rpartition("/")[0]}" > /dev/null'
                run_script(listing, place.mountpoint, {}, _LISTING_WITHIN_S)
                result.seconds = _first_bytes([str(place.mountpoint / path) for path in paths])
            self.say(f"{peer.name}, first byte, {one_way_s:g} s one way: {result.median_s:.4f} s")
        except PeerError as exc:
            result.error = str(exc)
            self.say(f"{peer.name}, first byte, {one_way_s:g} s one way: {exc}")
        finally:
            self._clear(place)

    def _cold_cpu(self, peer: Peer) -> None:
        """Reads all small files after listing them, and notes the CPU time of the daemon."""
        small = self.plan.small
        result = ColdCpu(peer.name, small.count)
        self.results.cold_cpu.append(result)
        layout = Layout(is_rcfs=peer.index == "api")
        paths = self.folder / "paths"
        paths.write_bytes(b"".join(f"{layout.file(small, index)}\0".encode() for index in range(small.count)))
        variables = {"SMALL": layout.folder(small), "PATHS": str(paths)}
        for _repeat in range(self.plan.repeats):
            place = self._place(peer)
            try:
                self._in_time()
                with peer.mounted(self.near[peer.index], place) as pid:
                    run_script('ls -lR "$SMALL" > /dev/null', place.mountpoint, variables, _LISTING_WITHIN_S)
                    self.log.wait_quiet()
                    before_s = cpu_s(pid)
                    run_script(
                        'xargs -0 cat < "$PATHS" > /dev/null', place.mountpoint, variables, _READ_WITHIN_S
                    )
                    self.log.wait_quiet()
                    result.seconds.append(cpu_s(pid) - before_s)
                self.say(
                    f"{peer.name}, CPU time of a cold file: {result.seconds[-1] / small.count * 1e3:.2f} ms"
                )
            except PeerError as exc:
                result.error = str(exc)
                self.say(f"{peer.name}, CPU time of a cold file: {exc}")
                return
            finally:
                self._clear(place)
        self.log.take()

    # Shared by the measurements

    @contextmanager
    def _mounted(self, peer: Peer, origin: Origin, place: Place, phase: str) -> Iterator[int]:
        """The same as `Peer.mounted`; also notes the time and the requests of mounting."""
        self.log.take()
        began = time.perf_counter()
        with peer.mounted(origin, place) as pid:
            mounting = self.results.cell(MOUNT, phase, peer.name)
            mounting.seconds.append(time.perf_counter() - began)
            mounting.requests.append(len(self.log.take()))
            yield pid

    def _command(self, peer: Peer, case: Case, place: Place) -> tuple[float, int]:
        """Seconds and requests of one run of a command.

        Raises:
            PeerError: It printed something unexpected, or took too long.
        """
        truth = {
            "TRUTH": self.plan.large.peer_path(0),
            "RECORDING_TRUTH": self.plan.recording.peer_path(0),
            "RECORDINGS_TRUTH": self.plan.recordings.name,
        }
        layout = Layout(is_rcfs=peer.index == "api")
        variables = {
            **layout.variables(self.plan),
            **{name: str(self.material.files / path) for name, path in truth.items()},
        }
        seconds, printed = run_script(case.script, place.mountpoint, variables, case.within_s)
        requests = len(self.log.take())
        if printed != case.expected:
            raise PeerError(f"printed {printed[:200]!r} instead of {case.expected!r}")
        if case.verify:
            run_script(case.verify, place.mountpoint, variables, case.within_s)
        return seconds, requests

    def _worthwhile(self, first_s: float | None, errors: Sequence[str]) -> bool:
        return not any(errors) and (first_s is None or first_s <= self.plan.slow_s)

    def _in_time(self) -> None:
        if time.monotonic() - self._began_s > self.plan.peer_within_s * len(self.peers):
            raise PeerError("not measured: the time of the whole bench was over")

    def _place(self, peer: Peer) -> Place:
        self._places += 1
        home = self.folder / f"{self._places:03d}-{peer.name.replace(' ', '-')}"
        home.mkdir()
        return Place(home / "mount", home / "cache", home / "log")

    @staticmethod
    def _clear(place: Place) -> None:
        shutil.rmtree(place.cache, ignore_errors=True)


def run_module(module: str, *arguments: str, within_s: float) -> tuple[Any, int]:
    """The JSON that `module` prints when it is run as a program, and its peak memory in bytes.

    Raises:
        PeerError: It failed, or took longer than `within_s`.
    """
    command = ["timeout", f"{within_s:.0f}", sys.executable, "-P", "-m", module, *arguments]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output)
        usage = wait_measured(process)
        if process.returncode:
            raise PeerError(f"{module} ended with {process.returncode}")
        output.seek(0)
        return json.load(output), usage.ru_maxrss * 1024


def run_script(script: str, root: Path, variables: Mapping[str, str], within_s: float) -> tuple[float, str]:
    """Runs a script in `root`, and returns its time in seconds and its output.

    Raises:
        PeerError: It failed, or took longer than `within_s`.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        ["sh", "-c", f'cd "$ROOT" || exit\n{script}\n'],
        env={**os.environ, "LC_ALL": "C", **variables, "ROOT": str(root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    try:
        output, said = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        raise PeerError(f"not done within {within_s:.0f} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_DIES_WITHIN_S)
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        lines = said.strip().splitlines()
        raise PeerError(f"exit {process.returncode}: {lines[-1] if lines else 'no word'}")
    return seconds, output.strip()


def _first_bytes(paths: Sequence[str]) -> list[float]:
    """Seconds to the first byte of each file.

    Raises:
        PeerError: A file cannot be read, or reading takes too long.
    """
    listed = "\n".join(paths)
    script = f"{sys.executable} -P -m bench._first_byte <<'END'\n{listed}\nEND\n"
    _seconds, printed = run_script(script, Path("/"), {}, _FIRST_BYTES_WITHIN_S)
    taken: list[float] = json.loads(printed)
    return taken


def evict(folder: Path) -> None:
    """Makes the kernel drop its cache of the files below `folder`, so that it reads them from the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)  # The kernel keeps pages that are not on the disk yet.
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def memory_of(pid: int) -> tuple[int, int]:
    """PSS and RSS of a process in bytes.

    Raises:
        PeerError: The process has ended.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError as exc:
        raise PeerError(f"its daemon is gone: {exc.strerror}") from exc
    sizes = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.endswith(" kB")}
    return int(sizes["Pss"]) * 1024, int(sizes["Rss"]) * 1024
