"""How far the clock of this machine is from the platform's, remembered for the next start.

The months of call logs, retention and the age of a sync follow the platform's time, which every answer tells.
Before the first answer, and offline, rcfs assumes that the clocks differ as they did last time.

Concurrency: all methods run in the trio thread.
"""

import math

from rcfs.errors import StoreError
from rcfs.mailbox._context import Context

_TOLERATED_S = 60.0
"""A difference by which nothing that rcfs shows changes; clocks that are set by the network differ less."""
_MOST_S = 100 * 366 * 86_400.0
"""Largest difference that is remembered: 100 years. A clock without a battery, which begins in 1970
or 2000, is wrong by less."""


class PlatformClock:
    """Remembers the difference of the clocks for one login."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._topic = f"clock {context.login}"
        self._noted_s = 0.0

    def recall(self) -> None:
        """Assumes the remembered difference, if there is one, until an answer tells the present one."""
        try:
            note = self._context.index.reader.noted(self._topic)
            offset_s = 0.0 if note is None else float(note.text)
        except StoreError as exc:
            self._context.recorder.fault("clock", str(exc))
        except ValueError:
            pass  # The note is damaged; `keep` replaces it.
        else:
            if math.isfinite(offset_s) and abs(offset_s) <= _MOST_S:
                self._noted_s = offset_s
                self._context.client.assume_clock_offset(offset_s)

    async def keep(self) -> None:
        """Remembers the present difference, if it is another than before."""
        offset_s = self._context.client.clock_offset_s
        if abs(offset_s - self._noted_s) <= _TOLERATED_S or abs(offset_s) > _MOST_S:
            return
        try:
            await self._context.note(self._topic, f"{offset_s:.0f}")
        except StoreError as exc:
            self._context.recorder.fault("clock", str(exc))
        else:
            self._noted_s = offset_s
