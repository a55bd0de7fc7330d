"""Cuts the records out of a list of messages that arrives in pieces: ``{"records": […]}``, or a bare array.

A list may have hundreds of MB, and only one record is in memory at a time. rcfs decodes each record by its
own rules (`rcfs.platform.decoded`), so what a parser for streams, such as ijson, builds would be thrown away.
This only finds where each record begins and ends.
"""

import re
from collections.abc import Iterator
from typing import Final

_MOST_BYTES: Final = 1 << 20
"""Longest record, in bytes: the longest known, of a text to a hundred recipients, has some 20 kB."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|([\[{])|([\]}])', re.DOTALL)
"""A string (group 1 is empty if its end has not come), an opening bracket (2), or a closing one (3)."""
_LIST_NAME: Final = b'"records"'


class RecordCutter:
    """Cuts one list; what is not JSON comes out as no record, or as one that cannot be decoded."""

    def __init__(self) -> None:
        self.too_long = 0
        """Number of records that were left out because they have more than a MiB."""
        self.is_whole = False
        """Whether the end of the list has come."""
        self._rest = b""
        """Bytes that are not used up: the beginning of a record, or of a token."""
        self._scanned = 0
        """Bytes of it that were scanned."""
        self._depth = 0
        self._list_depth = 0
        """Depth of the records' array; 0 before it was found."""
        self._start: int | None = None
        """Where the record begins in the rest; None between two records."""
        self._is_named = False
        """Whether the last token before this one was the name of the list."""
        self._is_dropped = False
        """Whether the present record is too long."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The records, each a JSON object, that are complete with the next bytes of the list."""
        self._rest += data
        position = self._scanned
        for token in _TOKEN.finditer(self._rest, position):
            if self.is_whole or token[1] == b"":
                break
            position = token.end()
            record = self._take(token)
            if record is not None:
                yield record
        else:
            position = len(self._rest)
        self._drop_used(position)

    def _take(self, token: "re.Match[bytes]") -> bytes | None:
        """The record that ends with `token`; None if none does."""
        record = None
        if token[2]:
            self._open(token)
        elif token[3]:
            self._depth -= 1
            if self._depth == self._list_depth and self._start is not None:
                if not self._is_dropped and token.end() - self._start > _MOST_BYTES:
                    self._is_dropped = True
                    self.too_long += 1
                if not self._is_dropped:
                    record = self._rest[self._start : token.end()]
                self._start, self._is_dropped = None, False
            elif self._list_depth and self._depth < self._list_depth:
                self.is_whole = True
        self._is_named = token[0] == _LIST_NAME and self._depth == 1
        return record

    def _open(self, token: "re.Match[bytes]") -> None:
        self._depth += 1
        if not self._list_depth:
            if token[2] == b"[" and (self._depth == 1 or (self._depth == 2 and self._is_named)):
                self._list_depth = self._depth
        elif self._depth == self._list_depth + 1 and token[2] == b"{":
            self._start = token.start()

    def _drop_used(self, position: int) -> None:
        """Forgets the bytes before `position` that no record needs."""
        if self.is_whole:
            self._rest, self._scanned = b"", 0
            return
        if self._start is not None and len(self._rest) - self._start > _MOST_BYTES and not self._is_dropped:
            self._is_dropped = True
            self.too_long += 1
        kept = position if self._start is None or self._is_dropped else self._start
        if len(self._rest) - kept > 2 * _MOST_BYTES:  # A string without an end.
            kept = position = len(self._rest)
        self._rest = self._rest[kept:]
        self._scanned = position - kept
        if self._start is not None:
            self._start = 0 if not self._is_dropped else self._start - kept
