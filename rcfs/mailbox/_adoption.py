"""Mailboxes whose records come out of an export, so that their lists need not be read to the end.

An export holds messages as they were when it was made. So rcfs asks for a sync token first, and then for the
export. A note in the index keeps the token over restarts; the load of the mailbox uses it, see `_update`.
"""

import json
from typing import Final

import attrs

from rcfs.mailbox._context import Context
from rcfs.mailbox._mailbox_notes import read_note, write_note

TOLD_S: Final = 4 * 86_400.0
"""Longest time after a token was issued for which a sync from it is complete. The platform keeps the record
of a purged message for "about 5 more days"; a later sync does not mention that message at all."""


@attrs.frozen
class AdoptionPlan:
    """A mailbox that waits for its records."""

    mailbox: int
    """Number of the mailbox in the index."""
    listing: int
    """The mark in the index of the messages that came out of the export."""
    token: str
    """Token for the sync from before the export."""
    at_s: float
    """When it was asked for, by the server's clock, in seconds since 1970 UTC."""
    own_s: float
    """The same by this machine's clock, which dates exports."""


def adoption_plan(context: Context, account_id: str, extension_id: int) -> AdoptionPlan | None:
    """The plan for a mailbox; None without one, or if it is too old or the index was replaced since.

    Raises:
        StoreError: The index fails.
    """
    note = read_note(context, "records", account_id, extension_id)
    state = context.index.reader.mailbox(account_id, extension_id)
    if note is None or state is None:
        return None
    try:
        plan = AdoptionPlan(**json.loads(note.text))
    except (ValueError, TypeError):
        return None
    is_fresh = context.now_s() - plan.at_s < TOLD_S
    return plan if is_fresh and plan.mailbox == state.number and not state.loaded else None


async def keep_plan(context: Context, account_id: str, extension_id: int, plan: AdoptionPlan) -> None:
    """Keeps the plan for a mailbox, in place of an earlier one."""
    await write_note(context, "records", account_id, extension_id, json.dumps(attrs.asdict(plan)))
