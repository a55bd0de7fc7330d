"""Measures the call log of a large account: its load in virtual time, then a mount of the loaded index."""

import json
import re
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import attrs

from bench._calls_load import DAYS, NOW, PLATFORM_URL
from bench._calls_results import CallsFigures, Timed
from bench._measure import evict, run_module, run_script
from bench._nginx import Origin
from bench._peers import PeerError, Place, rcfs

_LOADS_WITHIN_S = 4 * 3600.0
_READS_WITHIN_S = 1800.0
_LOOKS, _LOOK_EVERY_S = 20, 1.0
_COMPANY = "Company"
_NUMBER = re.compile(r" (?:from|to) (\+[0-9]{7,15}) ")
_MATCHES = 1_000_000
"""Above the number of calls with one number, so that a search shows all of them."""


@attrs.define(eq=False)
class CallsBench:
    """One run."""

    per_day: int
    """Calls of all users a day; every one is recorded."""
    users: int
    """Extensions of the account."""
    folder: Path
    """An empty folder for indices and mounts."""
    say: Callable[[str], None]
    """Gets a line of progress."""

    @property
    def described(self) -> str:
        """The account for the conditions, so that a reader can repeat it."""
        return (
            f"the simulator's: {self.per_day:,} recorded calls a day for {DAYS} days, number of extensions"
            f" {self.users:,}; loaded in virtual time with the simulator in the same process; then a mount"
            " without the network"
        )

    def run(self) -> CallsFigures:
        """Measures everything.

        Raises:
            PeerError: A command has failed.
        """
        state = self.folder / "kept" / "state"
        state.mkdir(parents=True)
        return self.mount(state, self.load(state))

    def load(self, state: Path) -> CallsFigures:
        """Fills the index in the folder `state`, in a process of its own, whose peak memory is known then.

        Raises:
            PeerError: It failed.
        """
        began = time.perf_counter()
        arguments = (str(state), str(self.per_day), str(self.users))
        loaded, peak_bytes = run_module("bench._calls_load", *arguments, within_s=_LOADS_WITHIN_S)
        for month in loaded["months"]:
            self.say(f"{month['month']}: {month['calls']:,} calls, {month['requests']:,} requests")
        return CallsFigures(load=loaded, load_s=time.perf_counter() - began, load_rss_bytes=peak_bytes)

    def mount(self, state: Path, figures: CallsFigures) -> CallsFigures:
        """Mounts what is in the folder `state`, named ``state``, without the network, and reads it.

        Raises:
            PeerError: A command has failed.
        """
        place = Place(self.folder / "mount", state.parent, self.folder / "log")
        evict(place.cache)
        began = time.perf_counter()
        with rcfs("--offline").mounted(Origin("calls", PLATFORM_URL, 0), place) as pid:
            figures.mount_s = time.perf_counter() - began
            self._weigh(pid, figures, "mounting")
            own = self._owner(place)
            recordings = f"{own}/Recordings/{NOW}"
            self._read(place, figures, "recordings of an extension", recordings)
            self._read(place, figures, "recordings of no extension", f"{_COMPANY}/Recordings/{NOW}")
            self._read(place, figures, "calls of an extension as CSV", f"{own}/Calls/{NOW}.csv")
            self._weigh(pid, figures, "reading an extension")
            for ending in ("csv", "jsonl"):
                what = f"calls of the company as {ending.upper()}"
                self._read(place, figures, what, f"{_COMPANY}/Calls/{NOW}.{ending}")
                self._weigh(pid, figures, what)
            self._search(place, figures, recordings)
            figures.status = _calls_in_status(place)
            self.say(figures.status)
            self._find(place, figures)
            self._weigh(pid, figures, "`find`")
        return figures

    def _weigh(self, pid: int, figures: CallsFigures, what: str) -> None:
        figures.mount_rss_bytes[what] = _peak_bytes(pid)
        self.say(f"{what}: {figures.mount_rss_bytes[what] / 1e6:.0f} MB at the peak")

    def _read(self, place: Place, figures: CallsFigures, what: str, path: str) -> None:
        script = f'exec {sys.executable} -P -m bench._read_through "$ROOT/$WHERE"'
        _seconds, printed = run_script(script, place.mountpoint, {"WHERE": path}, _READS_WITHIN_S)
        first_s, whole_s, entries, size_bytes = json.loads(printed)
        figures.read[what] = Timed(entries=entries, size_bytes=size_bytes, first_s=first_s, whole_s=whole_s)
        self.say(f"{what}: {figures.read[what]}")

    def _search(self, place: Place, figures: CallsFigures, recordings: str) -> None:
        """Searches for the number of the first recording in a directory."""
        names = run_script('ls "$WHERE"', place.mountpoint, {"WHERE": recordings}, _READS_WITHIN_S)[1]
        found = _NUMBER.search(names)
        if found is None:
            raise PeerError(f"no recording with a number: {names[:200]!r}")
        search = f"{sys.executable} -P -m rcfs search --state-dir={place.cache / 'state'} --limit={_MATCHES}"
        figures.search_s, printed = run_script(
            f'{search} "$NUMBER" | wc -l', place.mountpoint, {"NUMBER": found[1]}, _READS_WITHIN_S
        )
        figures.search_matches = int(printed)
        self.say(f"search: {figures.search_matches:,} matches, {figures.search_s:.2f} s")

    def _find(self, place: Place, figures: CallsFigures) -> None:
        script = f"find */Recordings/{NOW} -type f | wc -l"
        figures.find_s, printed = run_script(script, place.mountpoint, {}, _READS_WITHIN_S)
        figures.all_recordings = int(printed)
        self.say(f"find: {figures.all_recordings:,} recordings, {figures.find_s:.0f} s")

    @staticmethod
    def _owner(place: Place) -> str:
        """The name of the directory of an extension that has recordings."""
        has_some = f'ls "$name/Recordings/{NOW}" | grep -q .'
        script = f'for name in [0-9]*; do {has_some} && echo "$name" && exit; done'
        return run_script(script, place.mountpoint, {}, _READS_WITHIN_S)[1]


def _calls_in_status(place: Place) -> str:
    """The lines about calls in the mount's status, which counts them when it is asked for the first time."""
    text = ""
    for _look in range(_LOOKS):
        lines = run_script("cat .rcfs/status", place.mountpoint, {}, _READS_WITHIN_S)[1].splitlines()
        begins = [number for number, line in enumerate(lines) if line[:1].strip()] + [len(lines)]
        found = [lines[begin:end] for begin, end in pairwise(begins) if lines[begin].startswith("calls ")]
        text = "\n".join(line for part in found for line in part)
        if "unknown" not in text:
            break
        time.sleep(_LOOK_EVERY_S)
    return text


def _peak_bytes(pid: int) -> int:
    """Peak resident set size of a process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    sizes = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.endswith(" kB")}
    return int(sizes["VmHWM"]) * 1024
