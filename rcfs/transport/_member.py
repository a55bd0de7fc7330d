"""A member of the pool: one login that fetches contents, and what rcfs has learned about it."""

import math
from collections.abc import Hashable
from enum import StrEnum
from typing import Final

import attrs
import trio

from rcfs.transport._lane import Lane

CLOSED_S: Final = 86_400.0
"""How long rcfs remembers that a login may not read a mailbox, in seconds: each look costs a request, and an
administrator changes roles hardly ever. The preload remembers the mailboxes of the mount's login as long."""
_MOST_CLOSED: Final = 50_000
"""Most mailboxes that are remembered of a login, in some 10 MB; the oldest go first."""


class Standing(StrEnum):
    """Whether a login takes part."""

    UNUSED = "unused"
    """Nothing was sent with it yet."""
    GOOD = "good"
    REFUSED = "refused"
    """The server refuses its credentials."""
    FAILING = "failing"
    """rcfs could not ask whose it is."""
    FOREIGN = "another account"
    DOUBLE = "double"
    """It is another login once more: the platform counts both as one."""


@attrs.define(eq=False)
class Member:
    """One login of the pool."""

    name: str
    """Its name in the configuration; empty for the mount's own login."""
    lane: Lane
    """Its session and budget."""
    client_id: str
    """Client id of its app."""
    standing: Standing = Standing.UNUSED
    """Whether it takes part."""
    because: str = ""
    """Why it does not, in one line; empty if it does."""
    identity: tuple[str, int | None] = ("", None)
    """Client id and extension of the login, which share one budget; empty while unknown."""
    contents: int = 0
    """Answers with contents that it brought."""
    wakes: trio.Event = attrs.field(factory=trio.Event)
    """Set when its keeper is to look after its token."""
    _closed_s: dict[Hashable, float] = attrs.field(factory=dict)
    """The subjects that it may not read, and until when rcfs remembers each; the oldest is first."""

    @property
    def takes_part(self) -> bool:
        """Whether rcfs fetches contents with it."""
        return self.standing is Standing.GOOD and self.lane.session.refused is None

    @property
    def closed(self) -> int:
        """Number of mailboxes and owners of recordings that it may not read."""
        return sum(until_s > self.lane.gate.now_s for until_s in self._closed_s.values())

    def may_read(self, subject: Hashable, scope: str) -> bool:
        """Whether no refusal of `subject` is remembered, and its app has `scope`."""
        scopes = self.lane.session.scopes
        if scopes and scope not in scopes:
            return False
        return self._closed_s.get(subject, -math.inf) <= self.lane.gate.now_s

    def note_closed(self, subject: Hashable) -> None:
        """Remembers for a day that it may not read `subject`."""
        self._closed_s.pop(subject, None)
        self._closed_s[subject] = self.lane.gate.now_s + CLOSED_S
        if len(self._closed_s) > _MOST_CLOSED:
            del self._closed_s[next(iter(self._closed_s))]
