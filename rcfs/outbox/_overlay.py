"""Shows messages as people want them, although the platform's records say otherwise yet."""

import json
from collections.abc import Collection, Iterable

from rcfs.errors import StoreError
from rcfs.model import ChangeState, Message, MessageChange, Standing, message_from
from rcfs.outbox import _course as course
from rcfs.outbox._rows import Edited, changes_of, edit
from rcfs.store import OutboxBook


class ChangeOverlay:
    """The `rcfs.mailbox.Overlay` of the changes in an outbox; any thread may use it."""

    def __init__(self, book: OutboxBook) -> None:
        self._book = book

    def laid_over(
        self, account_id: str, extension_id: int, messages: Iterable[Message]
    ) -> dict[int, Message]:
        """See `Overlay.laid_over`."""
        told = {message.id: message for message in messages}

        def plan(changes: tuple[MessageChange, ...]) -> tuple[Edited, list[MessageChange]]:
            after = {each: course.observed(each, Standing.of(told[each.message_id])) for each in changes}
            return Edited({each: now for each, now in after.items() if now != each}), list(after.values())

        keys = {(extension_id, message_id) for message_id in told}
        found = edit(self._book, account_id, plan, keys)
        return {
            change.message_id: shown
            for change in found
            if (shown := _as_wanted(told[change.message_id], change)) is not None
        }

    def taken_off(self, account_id: str, extension_id: int, messages: Iterable[Message]) -> list[Message]:
        """See `Overlay.taken_off`."""
        messages = list(messages)
        keys = {(extension_id, message.id) for message in messages}
        changes = {
            change.message_id: change
            for change in changes_of(self._book, account_id, keys)
            if change.state is not ChangeState.DONE
        }
        return [
            _with(message, change.was.read_status, change.was.availability)
            if (change := changes.get(message.id)) is not None
            else message
            for message in messages
        ]

    def doubted(self, account_id: str, extension_id: int, message_ids: Collection[int]) -> set[int]:
        """See `Overlay.doubted`."""
        found = changes_of(self._book, account_id, {(extension_id, each) for each in message_ids})
        return {change.message_id for change in found if course.is_alive(change)}


def _as_wanted(message: Message, change: MessageChange) -> Message | None:
    """A message with what people want of it; None if it is shown as it is."""
    if change.state.is_open:
        return _with(
            message, change.read_status or message.read_status, change.availability or message.availability
        )
    if change.state is ChangeState.DONE and Standing.of(message).is_older(change.was):
        return _with(message, change.was.read_status, change.was.availability)
    return None


def _with(message: Message, read_status: str, availability: str) -> Message:
    if (message.read_status, message.availability) == (read_status, availability):
        return message
    fields = {"readStatus": read_status, "availability": availability}
    record = json.loads(message.raw) | {name: value for name, value in fields.items() if value}
    changed = message_from(record)
    if changed is None:
        raise StoreError(f"the record of message {message.id} in the index has no id")
    return changed
