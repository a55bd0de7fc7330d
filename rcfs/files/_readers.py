"""Readers: persons, programs that walk through files, and crawlers.

A crawler is a program that opens files without a person's wish. The caller describes each reader; a mount
finds the description in /proc.
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
from rcfs.quota import OpenClassifier, Opener
from rcfs.transport import Recorder


@attrs.frozen
class Reader:
    """The program that opens a file."""

    name: str
    """Name of the program, which the kernel cuts to 15 bytes; empty if unknown."""
    opener: Opener
    """The process and those above it; equal for opens that belong together."""
    thread: str = ""
    """Name of the thread that opens; the name of the program, unless the program has set another."""
    plugin: str = ""
    """File name of the plug-in that the program runs; empty for most."""
    line: tuple[Hashable, ...] = ()
    """The process, and the processes above it up to a limit; empty if unknown."""


class Asker(Protocol):
    """The process or command that asks or waits; as text, its name in messages."""

    def reader(self) -> Reader:
        """The reader; may take some 60 µs."""
        ...

    def process(self) -> int:
        """The number of its process, which all its threads share; 0 if unknown. Takes some 20 µs."""
        ...

    def is_ending(self) -> bool:
        """Whether it is gone, or ends before it could use an answer."""
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
"""Programs that open many files only to look at their heads, by their names in the kernel. A name after a
slash limits an entry to a thread or plug-in of the program."""

FILE_MANAGERS = frozenset(
    {"caja", "nautilus", "nemo", "nemo-desktop", "pcmanfm", "Thunar", "thunar", "xfdesktop"}
)
"""File managers that use GIO, which opens files with O_NOATIME only to find their type (measured 2026-11 with
GLib 2.74). Backup programs use O_NOATIME as well, for files that they read whole."""

_AFTER_REFUSAL_S = 2.0
"""How long after the refusal of a thumbnailer the program that started it may try the file itself: Nemo
decodes the picture 0.1 s later (measured 2026-11)."""
_MOST_REFUSALS = 256
"""Most refusals to remember: more than a file manager causes in that time."""

_NAME_BYTES = 15
"""Longest name of a program in the kernel. Source: TASK_COMM_LEN in <linux/sched.h> is 16, with the NUL."""


class CrawlerPolicy(StrEnum):
    """Treatment of a crawler that opens a content that is not cached; cached ones it always gets."""

    REFUSE = "refuse"
    """EBUSY at once."""
    LOWEST = "lowest"
    """A request with the lowest priority."""


@attrs.frozen
class CrawlerRule:
    """Names of crawlers, and their treatment."""

    names: frozenset[str] = CRAWLERS
    """Programs, or ``program/thread`` or ``program/plug-in``, by their names in the kernel."""
    policy: CrawlerPolicy = CrawlerPolicy.REFUSE
    """Their treatment."""

    def names_one(self, reader: Reader) -> bool:
        """Whether `reader` is a crawler."""
        parts = (f"{reader.name}/{reader.thread}", f"{reader.name}/{_kept(reader.plugin)}")
        return not self.names.isdisjoint((reader.name, *parts))

    @classmethod
    def of(
        cls, names: Iterable[str] | None, also: Iterable[str], policy: CrawlerPolicy = CrawlerPolicy.REFUSE
    ) -> "CrawlerRule":
        """The rule for programs by their full names: `names` (None for the usual ones) and `also`."""
        chosen = CRAWLERS if names is None else frozenset(map(_kept, names))
        return cls(chosen.union(map(_kept, also)), policy)


USUAL_CRAWLERS = CrawlerRule()
"""The default rule."""


def _kept(name: str) -> str:
    """The part of ``program/thread`` that the kernel keeps; U+FFFD replaces a character that it splits."""
    parts = name.split("/", 1)
    return "/".join(part.encode()[:_NAME_BYTES].decode("utf-8", "replace") for part in parts)


class CrawlerError(BudgetError):
    """A crawler opened a content that is not cached, or something that is not loaded.

    Attributes:
        name: Name of the program.
    """

    def __init__(self, name: str, why: str = "this content is not cached") -> None:
        super().__init__(f"{name} is a crawler, and {why}")
        self.name = name


LOOK_S: Final = 30.0
"""Shortest time between two notes that a person is present. A user counts as present for two minutes, and
finding out which program lists a directory takes 60 µs (measured 2026-11)."""


class Readers:
    """Decides the priority of fetches for opens that the cache cannot serve."""

    def __init__(self, recorder: Recorder, crawlers: CrawlerRule = CrawlerRule()) -> None:
        self._classifier = OpenClassifier()
        self._recorder = recorder
        self._crawlers = crawlers
        self._looked_s = -math.inf
        self._refused: OrderedDict[ContentKey, tuple[float, Reader]] = OrderedDict()

    def looks_around(self, asker: Asker, now: float) -> bool:
        """Whether the `asker` that lists a directory is a person, and neither a crawler nor a copy.

        Always False within `LOOK_S` after a True.
        """
        if now < self._looked_s + LOOK_S:
            return False
        reader = asker.reader()
        if self._crawlers.names_one(reader) or self._classifier.is_bulk(reader.opener, now):
            return False
        self._looked_s = now
        return True

    def require_no_crawler(self, asker: Asker) -> None:
        """Returns if `asker` may cause the load of a collection; a crawler sees only loaded ones.

        Raises:
            CrawlerError: The asker is a crawler, and the rule refuses those.
        """
        reader = asker.reader()
        if self._crawlers.names_one(reader) and self._crawlers.policy is CrawlerPolicy.REFUSE:
            raise CrawlerError(reader.name, "this is not loaded yet")

    def priority(
        self, reader: Reader, key: ContentKey, place: Hashable, now: float, *, flags: int = 0
    ) -> Priority:
        """The priority of a request for the content `key`, which `reader` has opened.

        Args:
            reader: The reader.
            key: Key of the content.
            place: Location of the file: equal for files that a walk visits one after the other.
            now: Time in seconds from any origin; it never decreases.
            flags: Flags of open(2).

        Raises:
            CrawlerError: The reader is a crawler, and the rule refuses those.
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
            self._recorder.note("crawler refused", key=str(key), by=reader.name)
            raise CrawlerError(reader.name)
        self._recorder.detail(
            "content requested", key=str(key), by=reader.name, priority=priority.name.lower()
        )
        return priority

    def _crawls(self, reader: Reader, key: ContentKey, now: float, flags: int) -> bool:
        """Whether `reader` opens the content without a person's wish."""
        if self._crawlers.names_one(reader):
            return True
        if flags & os.O_NOATIME and reader.name in FILE_MANAGERS:
            return True
        refused_s, refused = self._refused.get(key, (-math.inf, reader))
        # The reader has started a thumbnailer that was refused, and now tries the file itself.
        return now < refused_s + _AFTER_REFUSAL_S and reader.line[:1] != () and reader.line[0] in refused.line
