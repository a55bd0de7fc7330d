"""What a pull has to do, on the disk: a first copy of a million messages has some millions of steps."""

import math
import threading
from collections.abc import Iterator
from enum import IntEnum

import attrs

from rcfs.model import AttachmentKey, ContentKey
from rcfs.pull._scratch import open_scratch
from rcfs.pull._walk import Parts

_SCHEMA = """CREATE TABLE steps (
    kind INTEGER NOT NULL, end_s REAL NOT NULL, created_s REAL NOT NULL, number INTEGER NOT NULL,
    path BLOB NOT NULL, detail BLOB NOT NULL, time_s REAL NOT NULL,
    PRIMARY KEY (kind, end_s, created_s, number)
) WITHOUT ROWID"""
_PAGE = 200
"""Steps that are in memory at a time, 100 kB; read in less than a millisecond."""


class Kind(IntEnum):
    """What is to be done."""

    FETCH = 0
    """An attachment is to be fetched, which costs a request."""
    COPY = 1
    """A text, or an attachment from the cache, is to be copied."""
    DIRECTORY = 2
    """A directory of the copy is to be made and dated."""
    LINK = 3
    """A link of the copy is to be made."""
    RENAME = 4
    """A file of the copy is to get another name."""


@attrs.frozen
class Step:
    """One thing to do."""

    parts: Parts
    """Where it is in the tree and in the copy."""
    detail: str = ""
    """Key of an attachment; where a link leads; the path before a renaming."""
    time_s: float = 0.0
    """Of a directory, the time that it gets."""

    @property
    def key(self) -> AttachmentKey | None:
        """Of a file, the key of its bytes; None for a text."""
        if not self.detail:
            return None
        key = ContentKey.parse(self.detail)
        assert isinstance(key, AttachmentKey)  # noqa: S101 - the tree shows no other contents
        return key


class Todo:
    """The steps; several threads may use it."""

    def __init__(self) -> None:
        """Begins empty."""
        self._database = open_scratch(_SCHEMA)
        self._lock = threading.Lock()
        self._count = 0

    def add(self, kind: Kind, step: Step, *, end_s: float = 0.0, created_s: float = 0.0) -> None:
        """Adds a step; those of a kind follow one another by `end_s`, then `created_s`, then as added."""
        path, detail = _encoded("/".join(step.parts)), _encoded(step.detail)
        with self._lock:
            self._count += 1
            row = (kind, end_s, created_s, self._count, path, detail, step.time_s)
            self._database.execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def steps(self, kind: Kind, *, backwards: bool = False) -> Iterator[Step]:
        """The steps of a kind in their order; a page of them is in memory."""
        sign, order = ("<", " DESC") if backwards else (">", "")
        beyond = math.inf if backwards else -math.inf
        columns = ("end_s", "created_s", "number")
        query = (
            f"SELECT {', '.join(columns)}, path, detail, time_s FROM steps WHERE kind = ?1"  # noqa: S608
            f" AND ({', '.join(columns)}) {sign} (?2, ?3, ?4)"
            f" ORDER BY {', '.join(column + order for column in columns)} LIMIT ?5"
        )
        after = (beyond, beyond, beyond)
        while True:
            with self._lock:
                page = self._database.execute(query, (kind, *after, _PAGE)).fetchall()
            for *_order, path, detail, time_s in page:
                yield Step(tuple(_decoded(path).split("/")), _decoded(detail), time_s)
            if len(page) < _PAGE:
                return
            after = tuple(page[-1][:3])


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
