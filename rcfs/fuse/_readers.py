"""Who opens a file: a person, a program that walks through files, or a crawler that nobody asked."""

from pathlib import Path

import attrs

from rcfs.errors import BudgetError
from rcfs.fetch import Recorder
from rcfs.model import ContentKey, Priority
from rcfs.quota import ReaderClassifier

CRAWLERS = frozenset(
    {
        "tumblerd",  # Xfce's thumbnailer
        "ffmpegthumbnail",  # comm is cut at 15 characters, here and below
        "totem-video-thu",
        "evince-thumbnai",
        "gdk-pixbuf-thum",
        "gnome-thumbnail",
        "glycin-thumbnai",
        "gsf-office-thum",
        "thumbnail.so",  # KIO's thumbnail worker
        "kioworker",
        "kioslave5",
        "tracker-extract",
        "tracker-miner-f",
        "localsearch-3",
        "localsearch-ext",
        "baloo_file",
        "baloo_file_extr",
        "recollindex",
        "updatedb",
        "updatedb.mlocat",
        "updatedb.plocat",
        "mandb",
        "clamd",
        "clamscan",
        "freshclam",
    }
)
"""Programs that open many files only to look at their heads, by the name that the kernel keeps of them."""


@attrs.frozen
class Reader:
    """Who opens: equal for opens that belong together.

    The process group, and not the process: `find -exec cat` and a script's loop start a process per file,
    but stay one job of the shell. The name is there because the programs of a desktop session may share a
    group: a player is not slowed by what the file manager copies.
    """

    group: int
    """Process group; 0 for a process that cannot be looked at."""
    name: str
    """Name of the program, cut at 15 characters by the kernel."""


def reader_of(pid: int, proc: Path = Path("/proc")) -> Reader:
    """The reader to whom the thread `pid` belongs. Source: proc(5), /proc/pid/status and /proc/pid/stat."""
    try:
        # The kernel tells the thread; its name may be that of a thread pool, the program's is the leader's.
        status = (proc / str(pid) / "status").read_text("utf-8", "replace")
        leader = next(line.split()[1] for line in status.splitlines() if line.startswith("Tgid:"))
        text = (proc / leader / "stat").read_text("utf-8", "replace")
    except (OSError, StopIteration):
        return Reader(0, "")
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    return Reader(int(fields[2]) if len(fields) > 2 else 0, name)  # state, ppid, pgrp


class Readers:
    """Decides with which priority a cold open of a process is fetched."""

    def __init__(self, recorder: Recorder) -> None:
        self._classifier = ReaderClassifier()
        self._recorder = recorder

    def priority(self, pid: int, key: ContentKey, now: float) -> Priority:
        """The class of a request for `key` that the process `pid` needs at `now` (seconds, any origin).

        Raises:
            BudgetError: It is a crawler: it gets what is cached, and nothing else.
        """
        reader = reader_of(pid)
        if reader.name in CRAWLERS:
            self._recorder.note("refused a crawler", key=str(key), by=reader.name)
            raise BudgetError(f"{reader.name} is a crawler, and this content is not cached")
        priority = self._classifier.classify(reader, now)
        self._recorder.note("content wanted", key=str(key), by=reader.name, priority=priority.name.lower())
        return priority
