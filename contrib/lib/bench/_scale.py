"""Measures times and memory of mounts and pulls of accounts of different sizes.

Only syncs go through HTTP; `bench._scale_material` fills the index without it.
"""

import json
import math
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from statistics import median

import attrs

from bench._material import Material
from bench._measure import evict, memory_of, run_script
from bench._nginx import Origin, nginx
from bench._peers import CREDENTIAL, Peer, PeerError, Place, rcfs
from bench._plan import ScalePlan
from bench._processes import free_port
from bench._scale_material import (
    CHANGES_PER_MAILBOX,
    INDEX,
    Filled,
    account_of,
    filled,
    login_of,
    write_platform,
)
from bench._scale_pull import pull
from bench._scale_results import ScaleFigures, ScaleResults
from rcfs.model import extension_from
from rcfs.simulator import SimAccount
from rcfs.tree import build_root

_DROP_DENTRIES = "2"
"""Dentries and inodes. Source: the kernel's Documentation/admin-guide/sysctl/vm.rst, drop_caches."""
_LOOKS, _LOOK_EVERY_S = 120, 1.0
"""Polls, and seconds between them, until the kernel has told the daemon of all forgotten inodes, which takes
half a minute for five million."""
_ANSWERS_WITHIN_S = 30.0
_NEWEST = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?"


@attrs.define(eq=False)
class ScaleBench:
    """One run."""

    plan: ScalePlan
    """The measurements."""
    kept: Path
    """The folder that keeps filled indices for the next run."""
    folder: Path
    """An empty folder for mounts."""
    results: ScaleResults
    """The figures so far."""
    say: Callable[[str], None]
    """Gets a line of progress."""

    def run(self) -> None:
        """Measures all sizes.

        Raises:
            PeerError: A command of rcfs has failed.
        """
        for messages in self.plan.sizes:
            account = account_of(messages, self.plan.mailboxes)
            self.say(f"{messages:,} messages: the index")
            index = filled(account, self.kept)
            figures = ScaleFigures(
                messages=sum(index.mailboxes.values()),
                intake_s=index.seconds,
                intake_cpu_s=index.cpu_s,
                index_bytes=(index.folder / INDEX).stat().st_size,
            )
            figures.common_s, figures.rare_s = map(self._search, (index, index), (index.common, index.rare))
            home = self.folder / str(messages)
            self._mount(account, index, figures, home / "mounted")
            self._pull(account, index, figures, home / "pulled")
            self.results.sizes.append(figures)
            shutil.rmtree(home)

    def _search(self, index: Filled, word: str) -> float:
        """Median time in seconds to find the newest messages with `word`."""
        with closing(sqlite3.connect(index.folder / INDEX)) as connection:
            taken = []
            for _time in range(self.plan.asked):
                began = time.perf_counter()
                connection.execute(_NEWEST, (word, self.plan.found)).fetchall()
                taken.append(time.perf_counter() - began)
        return median(taken)

    def _mount(self, account: SimAccount, index: Filled, figures: ScaleFigures, home: Path) -> None:
        origin, material, place, records = self._prepared(account, index, home, changes=True)
        walked = self._walked(index, records)
        offline, online = rcfs("--offline"), rcfs()
        with self._mounted(offline, origin, place, figures) as pid:
            figures.mount_pss_bytes, _rss = memory_of(pid)
            began_cpu_s = _cpu_s(pid)
            figures.find_cold = self._rate("find", place, walked, figures)
            figures.find_cpu_s = (_cpu_s(pid) - began_cpu_s) / figures.walked
            figures.find_warm = self._rate("find", place, walked, figures)
        with self._mounted(offline, origin, place, figures):
            figures.list_cold = self._rate("ls -lR", place, walked, figures)
            figures.list_warm = self._rate("ls -lR", place, walked, figures)
        with self._mounted(offline, origin, place, figures) as pid:
            figures.entries, seconds = self._count("find", place, ["."])
            figures.find_pss_bytes, figures.find_rss_bytes = memory_of(pid)
            self.say(f"find through all: {figures.entries:,} entries, {seconds:.0f} s")
            if _drop_dentries():
                _wait_forgotten(place)
                figures.forgotten_pss_bytes, _rss = memory_of(pid)
        with nginx(home / "nginx", material, [origin]), self._mounted(online, origin, place, figures) as pid:
            self._sync(pid, place, figures)

    def _pull(self, account: SimAccount, index: Filled, figures: ScaleFigures, home: Path) -> None:
        """Surveys everything, then copies the texts of a type without attachments, twice."""
        origin, material, place, _records = self._prepared(account, index, home, changes=False)
        to_copy = ("--type=pager", f"--to={home / 'copy'}")
        with nginx(home / "nginx", material, [origin]) as log:
            runs = []
            for options in (("--dry-run",), to_copy, to_copy):
                log.take()
                runs.append(pull(rcfs(), origin, place, options, self.plan.within_s))
                figures.pull_requests = len(log.take())
                self.say(f"pull {options[0]}: {runs[-1]}")
        whole, _first, again = runs
        figures.pull_s, figures.pull_cpu_s, figures.pull_lines = whole.seconds, whole.cpu_s, whole.lines
        figures.pull_rss_bytes = max(run.rss_bytes for run in runs)
        figures.pull_again_s = again.seconds

    @staticmethod
    def _prepared(
        account: SimAccount, index: Filled, home: Path, *, changes: bool
    ) -> tuple[Origin, Material, Place, Sequence[str]]:
        """The platform, its files, a state folder with `index`, and the records of the extensions."""
        port = free_port()
        origin = Origin("scale", f"http://127.0.0.1:{port}", port)
        material = Material(home / "material", (), ())
        records = write_platform(account, material, origin.name, origin.url, changes=changes)
        place = Place(home / "mount", home / "kept", home / "log")
        login = login_of(CREDENTIAL, CREDENTIAL, origin.url)
        index.copy_to(place.cache / "state", login, records)
        return origin, material, place, records

    @contextmanager
    def _mounted(self, peer: Peer, origin: Origin, place: Place, figures: ScaleFigures) -> Iterator[int]:
        """The same as `Peer.mounted`; also notes the time of the first mount."""
        evict(place.cache)
        began = time.perf_counter()
        with peer.mounted(origin, place) as pid:
            figures.mount_s = figures.mount_s or time.perf_counter() - began
            yield pid

    def _walked(self, index: Filled, records: Sequence[str]) -> Sequence[str]:
        """The directories of the mailboxes that the timed commands walk through."""
        found = (extension_from(json.loads(record)) for record in records)
        root = build_root((extension for extension in found if extension is not None), fallback_s=0.0)
        chosen, messages = [], 0
        for extension_id, size in sorted(index.mailboxes.items(), key=itemgetter(1)):
            messages += size
            name = root.name_of(int(extension_id))
            if messages > self.plan.walked or name is None:
                break
            chosen.append(name)
        return chosen

    def _rate(self, command: str, place: Place, names: Sequence[str], figures: ScaleFigures) -> float:
        entries, seconds = self._count(command, place, names)
        figures.walked = entries
        self.say(f"{command}: {entries:,} entries, {entries / seconds:,.0f}/s")
        return entries / seconds

    def _count(self, command: str, place: Place, names: Sequence[str]) -> tuple[int, float]:
        """Number of entries that a command lists in these directories, and its seconds."""
        listing = place.log.with_name("walked")
        listing.write_text("".join(f"{name}\0" for name in names), encoding="utf-8")
        lines = "grep -c '^[-dl]r'" if command.startswith("ls") else "wc -l"
        script = f'xargs -0 {command} < "$WALKED" | {lines}'
        seconds, printed = run_script(script, place.mountpoint, {"WALKED": str(listing)}, self.plan.within_s)
        return int(printed), seconds

    def _sync(self, pid: int, place: Place, figures: ScaleFigures) -> None:
        """Syncs all mailboxes, which were listed before."""
        path = place.cache / "state" / INDEX
        before = _messages(path)
        began_cpu_s = _cpu_s(pid)
        ask = "cat .rcfs/refresh/.all"
        figures.sync_s, _printed = run_script(ask, place.mountpoint, {}, self.plan.within_s)
        figures.sync_cpu_s = _cpu_s(pid) - began_cpu_s
        figures.changes = self.plan.mailboxes * CHANGES_PER_MAILBOX
        came = _messages(path) - before
        if came <= 0:
            raise PeerError("the sync brought no message")
        self.say(f"sync of {figures.changes:,} changes: {figures.sync_s:.1f} s")


def _messages(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        ((count,),) = connection.execute("SELECT COUNT(*) FROM messages")
    return int(count)


def _cpu_s(pid: int) -> float:
    """CPU time in seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait_forgotten(place: Place) -> None:
    """Waits until the kernel has told the daemon of all forgotten inodes, for two minutes at most."""
    before = math.inf
    for _look in range(_LOOKS):
        time.sleep(_LOOK_EVERY_S)
        # statfs gives the number of inodes of rcfs.
        _seconds, printed = run_script("stat -f -c '%c %d' .", place.mountpoint, {}, _ANSWERS_WITHIN_S)
        total, free = map(int, printed.split())
        if total - free == before:
            return
        before = total - free


def _drop_dentries() -> bool:
    """Makes the kernel drop unused names and inodes; returns whether it is allowed to."""
    done = subprocess.run(
        ["sh", "-c", f"echo {_DROP_DENTRIES} > /proc/sys/vm/drop_caches"], capture_output=True, check=False
    )
    return done.returncode == 0
