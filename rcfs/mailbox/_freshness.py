"""Decides when a collection is synced: pure, one object per collection, all times in seconds from any origin.

A sync costs a request. Three things call for one:

- time: every minute while a person looks at the collection, less and less often when nobody does;
- a person's visit: at once if the last sync is more than a minute ago, else as soon as it is;
- a hint from the platform that something happened: at once. Where the platform sends hints, time alone calls
  for a sync only as often as for a collection that nobody looks at.

The minute is the default of `SyncPolicy`. Time and visits together cost at most one request in any minute,
because a visit does not mean that there is news. A hint does, so it may cost a request sooner: hints cost one
request a minute on average, and may use three more in a burst.

That is what a collection wants. While nobody looks at it, it may have to wait for its turn among all others,
see `rcfs.mailbox._allowance`.
"""

import math
from typing import Final

import attrs

from rcfs.model import LIGHT, UsageGroup

_GRACE_S: Final = 120.0
"""A person counts as looking at a collection for two minutes after a visit."""


@attrs.frozen
class SyncPolicy:
    """How often a collection is synced; the defaults suit a mailbox, whose sync is a Light request."""

    poll_s: float = 60.0
    """Time between syncs while a person looks: 50 mailboxes use up the default window of the Light group."""
    idle_poll_s: float = 900.0
    """Time between syncs when nobody has looked for long; inf for never. With a quarter of an hour 180
    mailboxes cost 12 requests a minute. More of them wait longer: with the default limit of 50 Light requests
    1,000 mailboxes that nobody looks at are synced every 80 minutes. A visit always syncs at once."""
    burst: int = 3
    """Syncs that hints may cause beyond one per `poll_s`: messages in quick succession each show at once. 0
    for none: then only a request by a person comes sooner."""
    group: UsageGroup = LIGHT
    """The usage plan group that most requests of a sync count for."""


class Freshness:
    """Decides when one collection is synced."""

    def __init__(self, now: float, synced_ago_s: float, policy: SyncPolicy) -> None:
        """Begins without visits or hints; the last sync was `synced_ago_s` before `now`, inf for never."""
        self.policy = policy
        """How often the collection is synced."""
        self._synced_s = now - synced_ago_s
        self.hints_come = False
        """Whether the platform tells rcfs when something happens."""
        self._looked_s = -math.inf
        self._wanted = False
        self._is_doubtful = False
        self._credit = float(policy.burst)
        self._credit_s = self._synced_s

    def looked_at(self, now: float) -> None:
        """Notes that a person looks at the collection."""
        self._looked_s = now
        # Hints can get lost, so without a recent sync a visit counts as a hint.
        if self.hints_come and now - self._synced_s > self.policy.poll_s:
            self._wanted = True

    def hinted(self) -> None:
        """Notes that the platform says that something happened."""
        self._wanted = True

    def doubted(self) -> None:
        """Notes that the platform may have failed to say that something happened."""
        self._is_doubtful = True

    def began(self, now: float) -> None:
        """Notes that a sync is sent."""
        # Refreshing by hand may cost more than the average allows; later hints do not pay for that.
        earned = (now - self._credit_s) / self.policy.poll_s
        self._credit = max(0.0, min(self.policy.burst, self._credit + earned) - 1.0)
        self._credit_s = now
        self._synced_s = now
        self._wanted = self._is_doubtful = False

    @property
    def is_hinted(self) -> bool:
        """Whether a hint calls for a sync."""
        return self._wanted

    def is_seen(self, now: float) -> bool:
        """Whether a person looks at the collection."""
        return now - self._looked_s <= _GRACE_S

    def lateness(self, now: float) -> float:
        """Time since the last sync, as a multiple of the time between two; inf if it was never synced."""
        return (now - self._synced_s) / self._interval_s(now)

    def due_s(self, now: float) -> float:
        """When to send the next sync; `now` or earlier when it is due."""
        if self._wanted or self._is_doubtful:
            return self._credit_s + max(0.0, 1.0 - self._credit) * self.policy.poll_s
        return self._synced_s + self._interval_s(now)

    def _interval_s(self, now: float) -> float:
        if self.hints_come:
            return self.policy.idle_poll_s
        if self.is_seen(now):
            return self.policy.poll_s
        # The interval grows with the time since the last visit.
        return min(self.policy.idle_poll_s, max(self.policy.poll_s, (now - self._looked_s) / 2))
