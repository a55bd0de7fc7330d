"""The steps of a pull, in a scratch database: a first copy of a million messages has millions of steps."""

import math
import threading
from collections.abc import Iterable, Iterator
from enum import IntEnum

import attrs

from rcfs.model import MEDIUM, ContentKey, UsageGroup
from rcfs.pull._needs import Parts
from rcfs.pull._scratch import decoded, encoded, open_scratch

_SCHEMA = """CREATE TABLE steps (
    kind INTEGER NOT NULL, end_s REAL NOT NULL, created_s REAL NOT NULL, number INTEGER NOT NULL,
    path BLOB NOT NULL, detail BLOB NOT NULL, time_s REAL NOT NULL, part TEXT NOT NULL,
    PRIMARY KEY (kind, end_s, created_s, number)
) WITHOUT ROWID"""
_PAGE = 200
"""Steps that `Todo.steps` holds in memory at a time, 100 kB; read in less than a millisecond."""


class Kind(IntEnum):
    """The kinds of steps."""

    FETCH = 0
    """Fetch a content whose request counts in the medium group, such as an attachment."""
    COPY = 1
    """Copy a text, or a content from the cache."""
    DIRECTORY = 2
    """Make a directory of the copy, and set its time at the end."""
    LINK = 3
    """Make a link of the copy."""
    RENAME = 4
    """Rename a file of the copy."""
    FETCH_HEAVY = 5
    """Fetch a content of another group, such as a recording: a queue of its own, so that attachments do not
    wait behind the few recordings that a minute allows."""

    EXPORT = 6
    """Take a content from an archive of an export, or else fetch it."""
    ARRIVED = 7
    """A content that an archive has brought."""

    @classmethod
    def of_fetch(cls, key: ContentKey) -> "Kind":
        """The kind of the step that fetches `key`."""
        return cls.of_group(key.group)

    @classmethod
    def of_group(cls, group: UsageGroup) -> "Kind":
        """The kind of the steps that fetch contents of a usage plan group."""
        return cls.FETCH if group == MEDIUM else cls.FETCH_HEAVY


FETCHES = (Kind.FETCH, Kind.FETCH_HEAVY, Kind.EXPORT, Kind.ARRIVED)
"""The kinds of steps that bring a content from the platform."""


@attrs.frozen
class Step:
    """One step."""

    parts: Parts
    """Its path in the tree and in the copy."""
    detail: str = ""
    """Key of a content; target of a link; old path of a file to rename."""
    time_s: float = 0.0
    """Time of a directory, in seconds since 1970 UTC."""
    part: str = ""
    """The part of the account that it belongs to; see `rcfs.pull._division`."""

    @property
    def key(self) -> ContentKey | None:
        """Of a file, the key of its bytes; None for a text."""
        return ContentKey.parse(self.detail) if self.detail else None


class Todo:
    """The steps of one pull; several threads may use it."""

    def __init__(self) -> None:
        """Begins without steps."""
        self._database = open_scratch(_SCHEMA)
        self._lock = threading.Lock()
        self._count = 0

    def add(self, kind: Kind, step: Step, *, end_s: float = 0.0, created_s: float = 0.0) -> None:
        """Adds a step; `steps` sorts those of a kind by `end_s`, `created_s`, and the order of adding."""
        path, detail = encoded("/".join(step.parts)), encoded(step.detail)
        with self._lock:
            self._count += 1
            row = (kind, end_s, created_s, self._count, path, detail, step.time_s, step.part)
            self._database.execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def expect(self, periods: Iterable[tuple[float, float]]) -> int:
        """Makes the steps of kind FETCH whose `created_s` is in one of `periods` steps of kind EXPORT.

        Returns:
            Their number. `arrived` is fast from now on.
        """
        moved = 0
        with self._lock:
            for from_s, to_s in periods:
                moved += self._database.execute(
                    "UPDATE steps SET kind = ?1 WHERE kind = ?2 AND created_s >= ?3 AND created_s < ?4",
                    (Kind.EXPORT, Kind.FETCH, from_s, to_s),
                ).rowcount
            self._database.execute(
                f"CREATE INDEX IF NOT EXISTS expected ON steps (detail) WHERE kind = {int(Kind.EXPORT)}"
            )
        return moved

    def arrived(self, key: ContentKey) -> Step | None:
        """Makes the step of kind EXPORT for a content that has come one of kind ARRIVED; None without one."""
        query = (  # Numbers of our own.
            f"UPDATE steps SET kind = {int(Kind.ARRIVED)} WHERE (kind, end_s, created_s, number) IN"  # noqa: S608
            f" (SELECT kind, end_s, created_s, number FROM steps WHERE kind = {int(Kind.EXPORT)}"
            "  AND detail = ? LIMIT 1) RETURNING path, detail, time_s"
        )
        with self._lock:
            for path, detail, time_s in self._database.execute(query, (encoded(str(key)),)).fetchall():
                return Step(tuple(decoded(path).split("/")), decoded(detail), time_s)
        return None

    def late(self, kind: Kind, now_s: float, interval_s: float) -> int:
        """Number of steps of a kind whose `end_s` comes before their turn, if each takes `interval_s`."""
        query = (
            "SELECT count(*) FROM"
            " (SELECT end_s, row_number() OVER (ORDER BY end_s, created_s, number) AS turn"
            "  FROM steps WHERE kind = ?1)"
            " WHERE end_s < ?2 + turn * ?3"
        )
        with self._lock:
            (count,) = self._database.execute(query, (kind, now_s, interval_s)).fetchone()
        return int(count)

    def parts(self) -> list[str]:
        """The parts that have steps, the most urgent first; `steps` of one part is fast from now on."""
        with self._lock:
            self._database.execute("CREATE INDEX parts ON steps (part, kind, end_s, created_s, number)")
            rows = self._database.execute(
                "SELECT part FROM steps WHERE part != '' GROUP BY part"
                " ORDER BY min(end_s), min(created_s), part"
            ).fetchall()
        return [part for (part,) in rows]

    def steps(self, kind: Kind, *, backwards: bool = False, part: str | None = None) -> Iterator[Step]:
        """The steps of a kind in their order, read page by page; with `part` only those of that part."""
        sign, order = ("<", " DESC") if backwards else (">", "")
        beyond = math.inf if backwards else -math.inf
        columns = ("end_s", "created_s", "number")
        query = (
            f"SELECT {', '.join(columns)}, path, detail, time_s FROM steps WHERE kind = ?1"  # noqa: S608
            f"{'' if part is None else ' AND part = ?6'} AND ({', '.join(columns)}) {sign} (?2, ?3, ?4)"
            f" ORDER BY {', '.join(column + order for column in columns)} LIMIT ?5"
        )
        after = (beyond, beyond, beyond)
        of_part = () if part is None else (part,)
        while True:
            with self._lock:
                page = self._database.execute(query, (kind, *after, _PAGE, *of_part)).fetchall()
            for *_order, path, detail, time_s in page:
                yield Step(tuple(decoded(path).split("/")), decoded(detail), time_s)
            if len(page) < _PAGE:
                return
            after = tuple(page[-1][:3])
