"""The processes that read, and those that somebody wants refused.

A refused process, and each process that it starts, gets EBUSY for opens, reads and listings until it is
released or has ended. Only this process remembers that.
"""

import math
import os
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterator
from itertools import islice

import attrs
import trio

from rcfs.errors import BudgetError, NotFoundError, NotPermittedError
from rcfs.files._readers import Asker, Reader
from rcfs.files._waits import Waits
from rcfs.status import ReaderStatus
from rcfs.transport import Recorder

_MOST_KNOWN = 256
"""Latest askers to remember; `find -exec cat` makes a new one for each file."""
_MOST_LOOKED = 60
"""Threads that are looked up for a status: each takes some 80 µs of the event loop."""
_MOST_SHOWN = 20
"""Processes in the status."""
_RECENT_S = 60.0
"""Time after which a process that neither opens nor reads is no reader any more."""


class RefusedReaderError(BudgetError):
    """Somebody wants this process refused."""


@attrs.define(eq=False)
class _Reading:
    opens: int = 0
    read_bytes: int = 0
    last_s: float = -math.inf


class ReaderBook:
    """Knows who reads; all methods run in the trio thread."""

    def __init__(self, waits: Waits, recorder: Recorder) -> None:
        self._waits = waits
        self._recorder = recorder
        self._readings: OrderedDict[Asker, _Reading] = OrderedDict()
        self._refused: dict[Hashable, Asker] = {}
        """By identity of the process: one of its threads that asked."""

    def opened(self, asker: Asker) -> None:
        """Counts an open of a file."""
        reading = self._readings.setdefault(asker, _Reading())
        self._readings.move_to_end(asker)
        reading.opens += 1
        reading.last_s = trio.current_time()
        if len(self._readings) > _MOST_KNOWN:
            self._readings.popitem(last=False)

    def was_read(self, asker: Asker | None, size_bytes: int) -> None:
        """Counts bytes that were read; `asker` is None if it is not known."""
        self._recorder.was_read(size_bytes)
        reading = None if asker is None else self._readings.get(asker)
        if reading is not None:
            reading.read_bytes += size_bytes
            reading.last_s = trio.current_time()

    def require_welcome(self, asker: Asker) -> None:
        """Returns unless somebody wants `asker` refused.

        Raises:
            RefusedReaderError: Somebody does.
        """
        if self._refused and not self._refused.keys().isdisjoint(asker.reader().line):
            raise RefusedReaderError(f"{asker} is refused until it is released")

    def refuse(self, pid: int, by: Asker) -> str:
        """Refuses the process `pid` from now on, and ends its waits; a line about that.

        Raises:
            NotFoundError: It has not read anything lately.
            NotPermittedError: `by` is neither of its user nor of the mount's.
        """
        asker, reader = self._find(pid, by)
        identity = reader.line[0]
        self._refused[identity] = asker
        self._waits.refuse(
            lambda each: identity in each.reader().line,
            RefusedReaderError(f"{reader.name} ({pid}) is refused until it is released"),
        )
        self._recorder.note("reader refused", pid=pid, program=reader.name)
        return f"{reader.name} ({pid}) gets EBUSY until it is released"

    def release(self, pid: int, by: Asker) -> str:
        """Lets the process `pid` read again; a line about that. Raises as `refuse`."""
        _asker, reader = self._find(pid, by)
        if self._refused.pop(reader.line[0], None) is None:
            return f"{reader.name} ({pid}) was not refused"
        self._recorder.note("reader released", pid=pid, program=reader.name)
        return f"{reader.name} ({pid}) may read again"

    def status(self) -> tuple[ReaderStatus, ...]:
        """The processes that read, the latest first; drops those that have ended."""
        now, waiting, rows = trio.current_time(), Counter(self._waits.askers()), dict[int, ReaderStatus]()
        refused = {*self._refused.values()}
        recent = (
            (asker, reading)
            for asker, reading in self._known()
            if now - reading.last_s <= _RECENT_S or asker in waiting or asker in refused
        )
        for asker, reading in islice(recent, _MOST_LOOKED):
            pid = asker.process()
            if not pid:
                self._readings.pop(asker, None)
                continue
            reader = asker.reader()
            is_refused = not self._refused.keys().isdisjoint(reader.line)
            idle_s = now - reading.last_s
            former = rows.get(pid)  # of another thread
            rows[pid] = ReaderStatus(
                pid=pid,
                program=reader.name,
                opens=reading.opens + (former.opens if former else 0),
                read_bytes=reading.read_bytes + (former.read_bytes if former else 0),
                idle_s=round(min(idle_s, former.idle_s) if former else max(0.0, idle_s), 1),
                waiting=waiting[asker] + (former.waiting if former else 0),
                refused=is_refused,
            )
        self._refused = {identity: each for identity, each in self._refused.items() if each.process()}
        return tuple(rows.values())[:_MOST_SHOWN]

    def _known(self) -> Iterator[tuple[Asker, _Reading]]:
        """The askers, the latest first; those that wait for their first file are the latest."""
        new = _Reading(last_s=trio.current_time())
        yield from ((each, new) for each in {*self._waits.askers()} if each not in self._readings)
        yield from reversed(tuple(self._readings.items()))
        yield from ((each, new) for each in self._refused.values() if each not in self._readings)

    def _find(self, pid: int, by: Asker) -> tuple[Asker, Reader]:
        for asker, _reading in self._known():
            if asker.process() == pid:
                reader = asker.reader()
                if by.reader().opener.user not in (reader.opener.user, str(os.getuid()), "0"):
                    raise NotPermittedError(
                        "only its own user and the user of the mount may refuse a process"
                    )
                if reader.line:
                    return asker, reader
        raise NotFoundError(f"process {pid} has not read anything here lately")
