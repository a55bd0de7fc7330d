"""The text of an outbox: what RingCentral has not confirmed, in groups, and what a person can do about it."""

from collections.abc import Iterator, Mapping, Sequence

from rcfs.model import MessageChange, Send, SendState, iso_time, kind_words, send_words
from rcfs.outbox import left_lines

_NAMED = 5
"""Messages of a group that are named; of a larger one only the number."""


def outbox_lines(
    changes: Sequence[MessageChange], sends: Sequence[Send], names: Mapping[int, str]
) -> Iterator[str]:
    """The lines of `rcfs outbox`; `names` has the names of extensions by id."""
    groups: dict[tuple[str, str, int], list[MessageChange]] = {}
    for change in changes:
        action = change.asked or change.next_action
        groups.setdefault((str(action), str(change.state), change.owner_id), []).append(change)
    for (what, state, owner_id), group in groups.items():
        since = iso_time(min(each.created_s for each in group))
        count = "1 message" if len(group) == 1 else f"{len(group):,} messages"
        of = f"{count} of {names.get(owner_id, f'extension {owner_id}')}"
        ids = ", ".join(str(each.message_id) for each in group) if len(group) <= _NAMED else ""
        yield f"{what}  {of}, {state} since {since}" + (f": {ids}" if ids else "")
    for send in sends:
        to = ", ".join(send.outgoing.recipients) or f"the recipients of fax {send.outgoing.resend_id}"
        said = f"{kind_words(send.outgoing.kind)} to {to}: {send_words(send)}"
        yield f"send  {send.id}  {said}, since {iso_time(send.created_s)}"
    yield from left_lines(changes)
    if any(send.state is SendState.UNKNOWN for send in sends):
        yield "Look at your sent messages; then give `rcfs outbox --again ID`, or --forget ID."
    if not changes and not sends:
        yield "Nothing waits."
