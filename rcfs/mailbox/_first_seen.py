"""The times at which rcfs first saw an account, and the present record of each of its extensions.

The platform tells no time for an extension's record. The time of the mount would differ at every mount, and
backup programs would send unchanged files again. So the index keeps the time of the first sight.

Concurrency: all methods run in the trio thread.
"""

import json
from collections.abc import Callable, Iterable
from hashlib import blake2b

import attrs
import trio

from rcfs.errors import StoreError
from rcfs.model import Extension
from rcfs.store import MailboxIndex
from rcfs.transport import Recorder


class FirstSeen:
    """The first sights of one login."""

    def __init__(
        self, login: str, index: MailboxIndex, recorder: Recorder, wall_clock: Callable[[], float]
    ) -> None:
        self._wall_clock = wall_clock
        self._topic = f"seen {login}"
        self._index = index
        self._recorder = recorder
        self._records: dict[str, tuple[str, int]] = {}
        self._kept: dict[str, tuple[str, int]] = {}
        self.since_s = int(wall_clock())
        """When rcfs first saw the account, in whole seconds since 1970-01-01 UTC."""

    def date(self, extensions: Iterable[Extension]) -> tuple[Extension, ...]:
        """`extensions`, each with the time at which rcfs first saw its present record."""
        self._read()
        now = int(self._wall_clock())
        dated = []
        for extension in extensions:
            digest = blake2b(extension.raw.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
            known, seen_s = self._records.get(str(extension.id), ("", self.since_s))
            if known not in ("", digest):
                seen_s = now
            self._records[str(extension.id)] = digest, seen_s
            dated.append(attrs.evolve(extension, seen_s=seen_s))
        return tuple(dated)

    async def save(self) -> None:
        """Writes the times into the index for the next mount, unless it has them."""
        records = dict(self._records)
        if records == self._kept:
            return
        try:
            await trio.to_thread.run_sync(
                self._index.writer.note, self._topic, json.dumps(records), self.since_s
            )
        except StoreError as exc:
            self._recorder.fault("account", str(exc))
        else:
            self._kept = records

    def _read(self) -> None:
        """Takes over the times in the index, since another process may have seen a change earlier."""
        try:
            note = self._index.reader.noted(self._topic)
            kept = {} if note is None else json.loads(note.text)
            records = {str(key): (str(digest), int(seen_s)) for key, (digest, seen_s) in kept.items()}
        except StoreError as exc:
            self._recorder.fault("account", str(exc))
            return
        except (ValueError, TypeError, AttributeError):
            return  # The note is damaged; `save` replaces it.
        if note is not None:
            self.since_s = int(note.noted_s)
        self._kept = records
        self._records |= records
