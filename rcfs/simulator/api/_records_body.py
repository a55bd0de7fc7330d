"""Answers that list records: made record by record, with checkpoints and bounded memory."""

import json
import os
import tempfile
import weakref
from collections.abc import Mapping

import trio

from rcfs.simulator._wire import JSON_TYPE, Answer, Part
from rcfs.simulator.account._records import Json

RECORDS_AT_ONCE = 16
"""Records made between two checkpoints: about 1 ms of work."""

SPOOL_BYTES = 8 << 20
"""A longer body moves to disk, in bytes: pages stay below 1 MB, a full synchronisation of a large mailbox
does not."""


class RecordsBody:
    """A JSON object with the field ``records``, followed by a few others.

    Args:
        before: Its fields before the records.
    """

    def __init__(self, before: Mapping[str, object]) -> None:
        # The records are trees made here, so the check for circular references is superfluous.
        self._encode = json.JSONEncoder(
            ensure_ascii=False, separators=(",", ":"), check_circular=False
        ).encode
        self._pieces = [self._encode(before)[:-1].encode(), b',"records":[']
        self._pieces_bytes = 0
        self._spooled: _Spool | None = None
        self.count = 0
        """Number of records so far."""

    async def add(self, record: Json) -> None:
        """Append `record`; checkpoints from time to time."""
        piece = self._encode(record).encode()
        self._pieces += (b",", piece) if self.count else (piece,)
        self._pieces_bytes += len(piece)
        self.count += 1
        if self._pieces_bytes > SPOOL_BYTES:
            self._spool()
        if self.count % RECORDS_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()

    def answer(self, after: Mapping[str, object]) -> Answer:
        """The answer, with the fields `after` behind the records; nothing can be added afterwards."""
        self._pieces += (b"],", self._encode(after)[1:].encode())
        headers = {"Content-Type": JSON_TYPE}
        if self._spooled is None:
            return Answer(200, headers, b"".join(self._pieces))
        self._spool()
        size = self._spooled.size_bytes
        return Answer(200, headers, Part(self._spooled, 0, size, size))

    def _spool(self) -> None:
        """Move the buffered bytes to disk."""
        self._spooled = self._spooled or _Spool()
        self._spooled.write(b"".join(self._pieces))
        self._pieces.clear()
        self._pieces_bytes = 0


class _Spool:
    """Bytes in an unnamed file, which is deleted with this object. Any thread may read."""

    def __init__(self) -> None:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by the finalizer
        self._descriptor = file.fileno()
        self.size_bytes = 0
        """Number of bytes."""
        weakref.finalize(self, file.close)

    def write(self, data: bytes) -> None:
        """Append `data`."""
        while data:
            written = os.write(self._descriptor, data)
            self.size_bytes += written
            data = data[written:]

    def read(self, start: int, stop: int) -> bytes:
        """Bytes ``[start, stop)``, fewer where they end earlier; ``0 <= start <= stop``."""
        return os.pread(self._descriptor, stop - start, start)
