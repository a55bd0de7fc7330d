"""When the changes of an account are sent, and read after a request without a clear answer. Pure.

All times are in seconds of one clock that never goes back. `alone_since_s` is since when this process alone
has been sending; other processes may have sent requests up to then.
"""

from collections.abc import Sequence

from rcfs.errors import PlatformError
from rcfs.model import ChangeState, MessageChange
from rcfs.outbox import _course as course
from rcfs.transport import backoff_s

_MOST_FAULTS = 10
"""More faults in a row than these make no pause longer."""


class Waits:
    """The waits of the mailboxes and messages of one account, as one process knows them."""

    def __init__(self) -> None:
        self._faults = 0
        """Requests in a row that did not tell what the platform has done."""
        self._until_s: dict[int, float] = {}
        """By mailbox: until when nothing is sent."""
        self._lost_s: dict[tuple[int, int], float] = {}
        """By message: when its request ended without an answer."""
        self._looked: set[tuple[int, int]] = set()
        """The messages of such requests that rcfs has read once, and that were as before."""

    def barred(self, now_s: float) -> set[int]:
        """The mailboxes for which nothing is sent now."""
        return {owner_id for owner_id, end_s in self._until_s.items() if end_s > now_s}

    def bar(self, owner_id: int, until_s: float) -> None:
        """Sends nothing for a mailbox until then."""
        self._until_s[owner_id] = until_s

    def fail(self, owner_id: int, error: PlatformError, now_s: float, least_s: float = 0.0) -> None:
        """Sends nothing for a mailbox for a while, at least `least_s` seconds, after `error`."""
        self._faults += 1
        self.bar(owner_id, now_s + max(least_s, backoff_s(min(self._faults, _MOST_FAULTS), error)))

    def succeed(self) -> None:
        """Takes note of an answer; the next pause is a short one."""
        self._faults = 0

    def note(self, before: MessageChange, after: MessageChange, now_s: float) -> None:
        """Takes note of an answer that is lost, or no longer is."""
        if after.state is not ChangeState.ASKED:
            self._lost_s.pop(after.key, None)
            self._looked.discard(after.key)
        elif after != before:
            self._lost_s[after.key] = now_s

    def look_once_more(self, change: MessageChange) -> None:
        """Has a message read again when its request can no longer be carried out, and not before."""
        self._looked.add(change.key)

    def settles_s(self, change: MessageChange, alone_since_s: float) -> float:
        """When a message is read, after a request without a clear answer."""
        end_s = self.end_s(change, alone_since_s)
        return end_s if change.key in self._looked else end_s - course.SETTLE_S + course.LOOK_S

    def end_s(self, change: MessageChange, alone_since_s: float) -> float:
        """From when on the request is not carried out any more."""
        return max(self._lost_s.get(change.key, alone_since_s), alone_since_s) + course.SETTLE_S

    def left_s(self, changes: Sequence[MessageChange], alone_since_s: float, now_s: float) -> float | None:
        """Seconds until something is due; None if nothing waits."""
        ends_s = [
            max(
                self.settles_s(each, alone_since_s) if each.state is ChangeState.ASKED else now_s,
                self._until_s.get(each.owner_id, 0.0),
            )
            for each in changes
            if each.state in (ChangeState.WAITING, ChangeState.ASKED)
        ]
        return max(0.0, min(ends_s) - now_s) if ends_s else None
