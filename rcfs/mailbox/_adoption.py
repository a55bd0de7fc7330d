"""Mailboxes whose records come out of exports: which of them need no list any more.

An export holds the messages of a period as they were when it was made. So rcfs asks for a sync token first,
then for the exports; when their periods hold the whole past of a mailbox, a sync from that token tells what
has changed since. A note in the index keeps the token and the periods, over restarts.
"""

import json
from typing import Final

import attrs

from rcfs.mailbox._context import Context
from rcfs.mailbox._mailbox_notes import read_note, write_note
from rcfs.model import RangeSet

_BEGINNING_S: Final = 946_684_800
"""2000-01-01 UTC: no message is older, see `rcfs.platform.list_messages`."""
_KEPT_S: Final = 4 * 86_400.0
"""How long a token is worth waiting for; see the limit of a sync in `rcfs.mailbox._update`."""


@attrs.frozen
class AdoptionPlan:
    """A mailbox that waits for its records."""

    mailbox: int
    """Number of the mailbox in the index."""
    listing: int
    """The mark in the index of the messages that came out of exports."""
    token: str
    """Token for the sync from before the exports."""
    at_s: float
    """When it was asked for, by the server's clock, in seconds since 1970 UTC."""
    periods: tuple[tuple[int, int], ...] = ()
    """Creation times of the messages whose records have come: [from, to) in seconds since 1970 UTC."""

    @property
    def is_complete(self) -> bool:
        """Whether the records of all messages from before the token have come."""
        found = RangeSet()
        for start, stop in self.periods:
            found = found.plus(start, stop)
        return found.has(_BEGINNING_S, int(self.at_s) + 1)


class Adoption:
    """The plans of one account's mailboxes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.account_id = ""
        """Decimal account id; must be set before any other use."""

    def plan(self, extension_id: int) -> AdoptionPlan | None:
        """The plan for a mailbox; None without one, or if it is too old or the index was replaced since."""
        note = read_note(self._context, "records", self.account_id, extension_id)
        state = self._context.index.reader.mailbox(self.account_id, extension_id)
        if note is None or state is None:
            return None
        try:
            fields = json.loads(note.text)
            fields["periods"] = tuple((int(start), int(stop)) for start, stop in fields["periods"])
            plan = AdoptionPlan(**fields)
        except (ValueError, TypeError, KeyError):
            return None
        is_fresh = self._context.client.server_now_s() - plan.at_s < _KEPT_S
        return plan if is_fresh and plan.mailbox == state.number and not state.loaded else None

    async def begin(self, extension_id: int, plan: AdoptionPlan) -> None:
        """Keeps a plan, in place of an earlier one."""
        await write_note(
            self._context, "records", self.account_id, extension_id, json.dumps(attrs.asdict(plan))
        )

    async def add_period(self, extension_id: int, span_s: tuple[float, float], asked_s: float) -> None:
        """Notes that all records of a mailbox from a period [from, to) are in the index.

        Args:
            extension_id: Extension of the mailbox.
            span_s: The period, in seconds since 1970 UTC.
            asked_s: When the export was asked for, by this machine's clock.
        """
        plan = self.plan(extension_id)
        # Clocks differ: the export must certainly be younger than the token.
        if (
            plan is not None
            and asked_s + self._context.client.server_now_s() - self._context.wall_clock() >= plan.at_s
        ):
            span = (int(span_s[0]), int(span_s[1]))
            await self.begin(extension_id, attrs.evolve(plan, periods=(*plan.periods, span)))
