"""Tells a person which changes are not made yet, and what sends them."""

from collections.abc import Iterable

from rcfs.model import ChangeState, MessageChange


def left_lines(changes: Iterable[MessageChange]) -> list[str]:
    """How many of the open `changes` RingCentral has not made, and what sends them; empty without changes."""
    states = [change.state for change in changes]
    held = states.count(ChangeState.HELD)
    others = len(states) - held
    lines = []
    if others:
        count = "1 change" if others == 1 else f"{others:,} changes"
        lines.append(
            f"{count} not sent or not confirmed; `rcfs mount --read-write` or `rcfs flush` sends them"
        )
    if held:
        lines.append(
            f"{deletions(held)} held; `rcfs flush --confirm` sends them, `rcfs outbox --drop` forgets them"
        )
    return lines


def deletions(count: int) -> str:
    """A number of deletions in words."""
    return "1 deletion" if count == 1 else f"{count:,} deletions"
