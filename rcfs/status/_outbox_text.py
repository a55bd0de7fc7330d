"""The outbox of the status as text."""

from rcfs.status._values import OutboxStatus


def outbox_lines(outbox: OutboxStatus | None) -> list[str]:
    """The changes that wait, in at most two lines; none for an empty outbox."""
    if outbox is None:
        return []
    parts = (
        (outbox.waiting, "waiting"),
        (outbox.asked, "sent and not confirmed yet"),
        (outbox.held, "held"),
    )
    counts = ", ".join(f"{count} {word}" for count, word in parts if count)
    if not counts:
        return []
    since = f", the oldest since {outbox.since}" if outbox.since else ""
    return [f"changes of messages: {counts}{since}", *([outbox.problem] if outbox.problem else [])]
