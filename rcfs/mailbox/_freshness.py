"""When a collection is to be synced: pure, one object for each, all times in seconds from any origin.

A sync costs a request; the numbers are those of a mailbox, a Light one each. Three reasons call for one:

- time: every minute while somebody looks at it, less and less often when nobody does;
- a person's visit: at once, when what is known is older than a minute, else when it is;
- a hint from the platform that something happened: at once. Where the platform gives hints, time calls as
  seldom as when nobody looks.

Time and visits spend at most one request in any minute: a look tells nothing of whether there is news, and
looking again and again must not cost more than looking. A hint says that there is some, so it may come
sooner: on the average hints spend one request a minute, too, with a few at hand.
"""

import math
from typing import Final

POLL_S: Final = 60.0
"""Time between syncs of a mailbox that somebody looks at: 50 mailboxes then use all of the Light
group's default window, so more of them wait for each other."""
IDLE_POLL_S: Final = 900.0
"""The same when nobody has looked for long: a quarter of an hour, so that 200 mailboxes cost 13 requests a
minute, and what a person finds at the first look is never older."""
_GRACE_S: Final = 120.0
"""So long after a look somebody is taken to be looking still."""
_BURST: Final = 3
"""Syncs at hand for hints beyond the one a minute, so that so many messages that come shortly one after the
other are each seen at once."""


class Freshness:
    """Decides when one collection is synced."""

    def __init__(
        self, now: float, synced_ago_s: float, *, poll_s: float = POLL_S, idle_poll_s: float = IDLE_POLL_S
    ) -> None:
        """One that was synced `synced_ago_s` before `now` (inf for never), and that nobody looks at.

        It is synced every `poll_s` while somebody does, and every `idle_poll_s` when nobody has for long.
        """
        self._poll_s = poll_s
        self._idle_poll_s = idle_poll_s
        self._synced_s = now - synced_ago_s
        self.hints_come = False
        """Whether the platform tells when something happens."""
        self._looked_s = -math.inf
        self._wanted = False
        self._credit = float(_BURST)
        self._credit_s = now

    def looked_at(self, now: float) -> None:
        """A person looks at it."""
        self._looked_s = now
        # A hint may get lost, so that none came is not believed for ever.
        if self.hints_come and now - self._synced_s > self._poll_s:
            self._wanted = True

    def hinted(self) -> None:
        """The platform says that something happened."""
        self._wanted = True

    def began(self, now: float) -> None:
        """A sync is sent."""
        # Somebody who refreshes by hand may spend more than there is; hints do not pay for that.
        self._credit = max(0.0, min(_BURST, self._credit + (now - self._credit_s) / self._poll_s) - 1.0)
        self._credit_s = now
        self._synced_s = now
        self._wanted = False

    def due_s(self, now: float) -> float:
        """When the next sync is to be sent; `now` or earlier when it is due."""
        if self._wanted:
            # At once, or when the average allows it again.
            return self._credit_s + max(0.0, 1.0 - self._credit) * self._poll_s
        return self._synced_s + self._interval_s(now)

    def _interval_s(self, now: float) -> float:
        if self.hints_come:
            return self._idle_poll_s
        unseen_s = now - self._looked_s
        if unseen_s <= _GRACE_S:
            return self._poll_s
        # Twice as long unseen, twice as long between two syncs.
        return min(self._idle_poll_s, max(self._poll_s, unseen_s / 2))
