"""The values of a drop: its files, how far it is, and reports about it.

A *drop* is what becomes one message, greeting or prompt. All times are in seconds since 1970-01-01 UTC.
"""

import enum
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from rcfs.tree._dropping import is_unfinished
from rcfs.tree._nodes import Node
from rcfs.tree._times import Times

if TYPE_CHECKING:
    from rcfs.tree._drops import Drops

Path = tuple[str, ...]
"""A path below the directory into which people drop files."""
LONE: Final = ""
"""Name of the file of a drop that is no directory."""


class Stage(enum.Enum):
    """How far a drop is."""

    OPEN = "open"
    """It may be written, and is taken when it is complete."""
    TAKEN = "taken"
    """It is complete, and being added to the outbox."""
    QUEUED = "queued"
    """The outbox has it."""
    FAILED = "failed"
    """It was refused; it is tried again when it is written again."""
    UNKNOWN = "unknown"
    """It is not known whether it was sent; it can only be removed."""
    KEPT = "kept"
    """A part of it was removed while the outbox had it; it is tried again when it is written again."""


CLOSED: Final = frozenset({Stage.TAKEN, Stage.QUEUED, Stage.UNKNOWN})
"""The stages in which a drop can only be removed."""


@attrs.define(eq=False, kw_only=True)
class DropFile(Node):
    """A file that somebody has dropped; it stays the same node when it is renamed."""

    mode: ClassVar[int] = 0o666
    number: int
    """Its number, never used twice."""
    mtime_s: float
    """Time of its last change."""
    size_bytes: int = 0
    """Its size."""
    writers: int = 0
    """How often it is open for writing."""
    is_cut: bool = False
    """Whether its end is known to be missing, until it is written again from its beginning."""
    drop: "Dropped | None" = None
    """The drop to which it belongs; None after it was removed."""
    drops: "Drops" = attrs.field(repr=False)
    """All that people have dropped there."""

    def times(self) -> Times:
        return Times(self.mtime_s, self.mtime_s)


@attrs.define(eq=False, kw_only=True)
class Dropped:
    """A file, or a directory with files, that becomes one message."""

    number: int
    """Its number, never used twice."""
    path: Path
    """Where it is."""
    is_folder: bool
    """Whether it is a directory."""
    since_s: float
    """When something happened to it last."""
    not_before_s: float = 0.0
    """When it is looked at again after something failed for now."""
    stage: Stage = Stage.OPEN
    """How far it is."""
    files: dict[str, DropFile] = attrs.field(factory=dict)
    """Its files, by name; one without a name if it is no directory."""
    send_id: str = ""
    """Its message in the outbox; empty without one."""

    def sendable(self) -> list[tuple[str, DropFile]]:
        """The files of the message with their names, by name."""
        if not self.is_folder:
            return [(self.path[-1], file) for file in self.files.values()]
        return [(name, file) for name, file in sorted(self.files.items()) if not is_unfinished(name)]


@attrs.frozen
class Report:
    """A file that tells what became of a drop."""

    number: int
    """Its number, never used twice."""
    text: str
    """Its text."""
    time_s: float
    """When it was written."""
    send_id: str = ""
    """The message in the outbox that only the report shows; empty if its file is beside it."""
