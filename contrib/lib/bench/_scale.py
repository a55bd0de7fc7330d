"""How rcfs grows with the account: mounts accounts of different sizes, and notes times and memory.

Nothing but the changes goes through HTTP; see `bench._scale_material` for where the index comes from.
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
from bench._scale_results import ScaleFigures, ScaleResults
from rcfs.model import extension_from
from rcfs.simulator import SimAccount
from rcfs.tree import build_root

_DROP_DENTRIES = "2"
"""Dentries and inodes. Source: the kernel's Documentation/admin-guide/sysctl/vm.rst, drop_caches."""
_LOOKS, _LOOK_EVERY_S = 120, 1.0
"""How often, and after how many seconds each time, it is looked whether the daemon still hears of forgotten
inodes: for five million of them it takes half a minute."""
_ANSWERS_WITHIN_S = 30.0
_NEWEST = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?"


@attrs.define(eq=False)
class ScaleBench:
    """One run."""

    plan: ScalePlan
    """What is measured."""
    kept: Path
    """Where filled indices are kept for the next run."""
    folder: Path
    """An empty folder for mounts."""
    results: ScaleResults
    """What was measured so far."""
    say: Callable[[str], None]
    """Told what is going on."""

    def run(self) -> None:
        """Measures all sizes.

        Raises:
            PeerError: Something of rcfs has failed.
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
            home.mkdir()
            self._mount(account, index, figures, home)
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
        port = free_port()
        origin = Origin("scale", f"http://127.0.0.1:{port}", port)
        material = Material(home / "material", (), ())
        records = write_platform(account, material, origin.name, origin.url)
        place = Place(home / "mount", home / "kept", home / "log")
        login = login_of(CREDENTIAL, CREDENTIAL, origin.url)
        index.copy_to(place.cache / "state", login, records)
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

    @contextmanager
    def _mounted(self, peer: Peer, origin: Origin, place: Place, figures: ScaleFigures) -> Iterator[int]:
        """As `Peer.mounted`; notes how long it takes for the first one."""
        evict(place.cache)
        began = time.perf_counter()
        with peer.mounted(origin, place) as pid:
            figures.mount_s = figures.mount_s or time.perf_counter() - began
            yield pid

    def _walked(self, index: Filled, records: Sequence[str]) -> Sequence[str]:
        """The directories of the mailboxes that are walked through."""
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
        """How many entries a command lists in these directories, and how many seconds it takes."""
        listing = place.log.with_name("walked")
        listing.write_text("".join(f"{name}\0" for name in names), encoding="utf-8")
        lines = "grep -c '^[-dl]r'" if command.startswith("ls") else "wc -l"
        script = f'xargs -0 {command} < "$WALKED" | {lines}'
        seconds, printed = run_script(script, place.mountpoint, {"WALKED": str(listing)}, self.plan.within_s)
        return int(printed), seconds

    def _sync(self, pid: int, place: Place, figures: ScaleFigures) -> None:
        """Takes over the changes of all mailboxes, when they have been looked into."""
        path = place.cache / "state" / INDEX
        before = _messages(path)
        began_cpu_s = _cpu_s(pid)
        ask = "cat .rcfs/refresh/.all"
        figures.sync_s, _printed = run_script(ask, place.mountpoint, {}, self.plan.within_s)
        figures.sync_cpu_s = _cpu_s(pid) - began_cpu_s
        figures.changes = self.plan.mailboxes * CHANGES_PER_MAILBOX
        came = _messages(path) - before
        if came <= 0:
            raise PeerError("the sync has brought nothing")
        self.say(f"sync of {figures.changes:,} changes: {figures.sync_s:.1f} s")


def _messages(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        ((count,),) = connection.execute("SELECT COUNT(*) FROM messages")
    return int(count)


def _cpu_s(pid: int) -> float:
    """CPU time that a process has taken until now, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait_forgotten(place: Place) -> None:
    """Returns when the daemon has heard of all inodes that the kernel has forgotten, or after a while."""
    before = math.inf
    for _look in range(_LOOKS):
        time.sleep(_LOOK_EVERY_S)
        # statfs tells how many inodes rcfs has.
        _seconds, printed = run_script("stat -f -c '%c %d' .", place.mountpoint, {}, _ANSWERS_WITHIN_S)
        total, free = map(int, printed.split())
        if total - free == before:
            return
        before = total - free


def _drop_dentries() -> bool:
    """Makes the kernel forget names and inodes that nobody uses; whether it may be told to."""
    done = subprocess.run(
        ["sh", "-c", f"echo {_DROP_DENTRIES} > /proc/sys/vm/drop_caches"], capture_output=True, check=False
    )
    return done.returncode == 0
