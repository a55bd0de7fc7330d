"""The outbox of the status as text."""

from rcfs.status._values import OutboxStatus, SendsStatus


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


def send_lines(sends: SendsStatus | None) -> list[str]:
    """The messages to send, in at most two lines; none if there is nothing to tell."""
    if sends is None:
        return []
    parts = (
        (sends.waiting, "waiting"),
        (sends.asked, "being sent"),
        (sends.unknown, "sent perhaps"),
        (sends.failed, "failed"),
    )
    counts = ", ".join(f"{count} {word}" for count, word in parts if count)
    if not counts:
        return []
    since = f", the oldest since {sends.since}" if sends.since else ""
    is_for_person = sends.unknown or sends.failed
    return [
        f"messages to send: {counts}{since}",
        *(["`rcfs outbox` lists them, and says what to do"] if is_for_person else []),
    ]
