"""Who asks: a person, a program that walks through files, or a crawler that nobody asked.

How they are found out is the business of who passes questions on: a mount asks /proc.
"""

import math
import os
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from enum import StrEnum
from typing import Final, Protocol

import attrs

from rcfs.errors import BudgetError
from rcfs.model import ContentKey, Priority
from rcfs.quota import Opener, ReaderClassifier
from rcfs.transport import Recorder


@attrs.frozen
class Reader:
    """Who opens."""

    name: str
    """Name of the program, cut at 15 characters by the kernel; empty when unknown."""
    opener: Opener
    """The process, and those above it; equal for opens that belong together."""
    thread: str = ""
    """Name of the thread that opens; that of the program unless it was given another."""
    plugin: str = ""
    """File name of the plug-in that the program was started for; empty for most."""
    line: tuple[Hashable, ...] = ()
    """The process, and each one above it, as far as they were looked at; empty when unknown."""


class Asker(Protocol):
    """On whose behalf something is asked or waited for; as text, what it is called in a message."""

    def reader(self) -> Reader:
        """Who it is; may take some 60 µs."""
        ...

    def is_ending(self) -> bool:
        """Whether it will not take the answer any more."""
        ...


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
        "thumbnail.so",  # KIO's thumbnail worker, started by kdeinit5
        "kioworker/thumbnail.so",  # The same started by programs; another of that name copies.
        "kioslave5/thumbnail.so",
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
        "pcmanfm/loader",  # makes the thumbnails of PCManFM, which copies in other threads
    }
)
"""Programs that open many files only to look at their heads, by the name that the kernel keeps of them; after
a slash stands the name of a thread, or of a plug-in that it was started for, where it is only that one."""

FILE_MANAGERS = frozenset(
    {"caja", "nautilus", "nemo", "nemo-desktop", "pcmanfm", "Thunar", "thunar", "xfdesktop"}
)
"""Programs that look into files of unknown type with GIO, which opens them with O_NOATIME for that, and for
nothing else (measured 2026-11 with GLib 2.74). Backup programs open so what they read whole."""

_AFTER_REFUSAL_S = 2.0
"""How long after a thumbnailer was refused the program that started it still wants that thumbnail: Nemo
decodes the picture itself 0.1 s later (measured 2026-11)."""
_MOST_REFUSALS = 256
"""Refusals that are remembered: more than a file manager comes to in that time."""

_NAME_BYTES = 15
"""What the kernel keeps of a program's name. Source: TASK_COMM_LEN in <linux/sched.h>, with the NUL 16."""


class CrawlerPolicy(StrEnum):
    """What a crawler gets that opens what is not cached; what is cached it always gets."""

    REFUSE = "refuse"
    """EBUSY, at once."""
    LOWEST = "lowest"
    """A request, after everybody else's."""


@attrs.frozen
class CrawlerRule:
    """Who is a crawler, and what it gets."""

    names: frozenset[str] = CRAWLERS
    """Names of programs, or ``program/thread`` or ``program/plug-in``, as the kernel keeps them."""
    policy: CrawlerPolicy = CrawlerPolicy.REFUSE
    """What they get."""

    def names_one(self, reader: Reader) -> bool:
        """Whether `reader` is one of them."""
        parts = (f"{reader.name}/{reader.thread}", f"{reader.name}/{_kept(reader.plugin)}")
        return not self.names.isdisjoint((reader.name, *parts))

    @classmethod
    def of(
        cls, names: Iterable[str] | None, also: Iterable[str], policy: CrawlerPolicy = CrawlerPolicy.REFUSE
    ) -> "CrawlerRule":
        """The rule for programs by their names in full: `names` (None for the usual ones), and `also`."""
        chosen = CRAWLERS if names is None else frozenset(map(_kept, names))
        return cls(chosen.union(map(_kept, also)), policy)


USUAL_CRAWLERS = CrawlerRule()
"""The rule unless told otherwise."""


def _kept(name: str) -> str:
    """What the kernel keeps of the names of a program and a thread; a split character is read as U+FFFD."""
    parts = name.split("/", 1)
    return "/".join(part.encode()[:_NAME_BYTES].decode("utf-8", "replace") for part in parts)


class CrawlerError(BudgetError):
    """A crawler was refused what is not cached or not loaded.

    Attributes:
        name: What it is called.
    """

    def __init__(self, name: str, why: str = "this content is not cached") -> None:
        super().__init__(f"{name} is a crawler, and {why}")
        self.name = name


LOOK_S: Final = 30.0
"""How often somebody who looks around is noticed: often enough to be present all the while, for which two
minutes would do, and so rarely that it costs nothing (asking who it is takes 60 µs, measured 2026-11)."""


class Readers:
    """Decides with which priority a cold open is fetched."""

    def __init__(self, recorder: Recorder, crawlers: CrawlerRule = CrawlerRule()) -> None:
        self._classifier = ReaderClassifier()
        self._recorder = recorder
        self._crawlers = crawlers
        self._looked_s = -math.inf
        self._refused: OrderedDict[ContentKey, tuple[float, Reader]] = OrderedDict()

    def looks_around(self, asker: Asker, now: float) -> bool:
        """Whether a person, and no crawler or copy, is the `asker` who has just listed a directory.

        It is asked about at most every `LOOK_S`; in between nobody has.
        """
        if now < self._looked_s + LOOK_S:
            return False
        reader = asker.reader()
        if self._crawlers.names_one(reader) or self._classifier.is_bulk(reader.opener, now):
            return False
        self._looked_s = now
        return True

    def require_no_crawler(self, asker: Asker) -> None:
        """Returns if `asker` may have a mailbox loaded: a crawler sees those that others have looked into.

        Raises:
            CrawlerError: It is a crawler, which by the rule gets what is known, and nothing else.
        """
        reader = asker.reader()
        if self._crawlers.names_one(reader) and self._crawlers.policy is CrawlerPolicy.REFUSE:
            raise CrawlerError(reader.name, "this mailbox is not loaded")

    def priority(
        self, reader: Reader, key: ContentKey, place: Hashable, now: float, *, flags: int = 0
    ) -> Priority:
        """The class of a request for `key` that `reader` needs at `now` (seconds, any origin).

        Args:
            reader: Who opens.
            key: What.
            place: Where that is: equal for files that a walk comes to one after the other.
            now: Never goes back.
            flags: With which flags, as in open(2).

        Raises:
            CrawlerError: It is a crawler, which by the rule gets what is cached, and nothing else.
        """
        if not self._crawls(reader, key, now, flags):
            priority = self._classifier.classify(reader.opener, place, now)
        elif self._crawlers.policy is CrawlerPolicy.LOWEST:
            priority = Priority.CRAWLER
        else:
            self._refused[key] = (now, reader)
            self._refused.move_to_end(key)
            if len(self._refused) > _MOST_REFUSALS:
                self._refused.popitem(last=False)
            self._recorder.note("refused a crawler", key=str(key), by=reader.name)
            raise CrawlerError(reader.name)
        self._recorder.note("content wanted", key=str(key), by=reader.name, priority=priority.name.lower())
        return priority

    def _crawls(self, reader: Reader, key: ContentKey, now: float, flags: int) -> bool:
        """Whether nobody has asked for what `reader` opens."""
        if self._crawlers.names_one(reader):
            return True
        if flags & os.O_NOATIME and reader.name in FILE_MANAGERS:
            return True
        refused_s, refused = self._refused.get(key, (-math.inf, reader))
        # It has started the thumbnailer that was refused, and now tries it itself.
        return now < refused_s + _AFTER_REFUSAL_S and reader.line[:1] != () and reader.line[0] in refused.line
