"""The parts of the status that a watcher needs: waits, the programs that read, and pulls.

Times and durations are as in `rcfs.status._values`.
"""

import attrs

WAIT_BOUNDS_S = (0.01, 0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
"""Upper bounds of the classes in which waits are counted: a slot that is free, a burst, a minute's quota, and
the hours that bulk requests may wait."""

KEY = "key"
"""Metadata of a field: its key in JSON, where that is not the name of the field."""


@attrs.frozen
class WaitStatus:
    """How long the requests of one class have waited for their slot since the start."""

    priority: str = attrs.field(metadata={KEY: "class"})
    """Name of the class, such as ``person``."""
    sum_s: float
    """Sum of all waits."""
    counts: tuple[int, ...]
    """Number of waits up to each of `WAIT_BOUNDS_S` and above the one before; the last counts all longer."""


@attrs.frozen
class ReaderStatus:
    """A process that has read files of the mount lately, or waits for one."""

    pid: int
    program: str
    """Its name, which the kernel cuts to 15 bytes."""
    opens: int
    """Files that it has opened."""
    read_bytes: int
    idle_s: float
    """Time since its last open or read."""
    waiting: int
    """Its waits now."""
    refused: bool
    """Whether its opens and reads fail with EBUSY, because somebody wants that."""


@attrs.frozen
class PullsStatus:
    """The latest pulls that left nothing out."""

    whole: str | None
    """When the latest one of the whole account ended; None if no pull has."""
    part: str | None
    """When the latest one of some paths or kinds ended."""


@attrs.frozen
class TrafficStatus:
    """Bytes since the start."""

    received_bytes: int
    """Bytes of contents that came from the platform."""
    read_bytes: int
    """Bytes of contents and texts that programs have read."""
