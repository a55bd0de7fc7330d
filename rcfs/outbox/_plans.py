"""The plans for what people want of messages: which rows of the outbox they change. Pure."""

from collections.abc import Mapping, Sequence

from rcfs.model import Availability, Message, MessageChange
from rcfs.outbox import _course as course
from rcfs.outbox._course import Wish
from rcfs.outbox._rows import Edited


def check_known(ids: Sequence[int], shown: Mapping[int, Message], wish: Wish) -> None:
    """Checks that the index has all messages, and that those to be purged are in the trash.

    Raises:
        ValueError: They are not.
    """
    for message_id in ids:
        if message_id not in shown:
            raise ValueError(f"the index has no message {message_id}")
        if wish == course.PURGE and shown[message_id].availability != Availability.DELETED:
            raise ValueError(f"message {message_id} is not in the trash")


def planned(
    changes: tuple[MessageChange, ...],
    messages: Sequence[Message],
    wish: Wish,
    owner_id: int,
    now_s: float,
    conversations: Mapping[int, str],
) -> tuple[Edited, list[MessageChange]]:
    """The changes of the outbox for a wish, and the new values of those of `messages`."""
    before = {each.message_id: each for each in changes if each.owner_id == owner_id}
    replaced: dict[MessageChange, MessageChange | None] = {}
    added: list[MessageChange] = []
    for message in messages:
        old = before.get(message.id)
        new = course.wanted(
            old,
            message,
            wish,
            owner_id=owner_id,
            now_s=now_s,
            conversation_id=conversations.get(message.id, ""),
        )
        if new is None or new == old:
            continue
        if old is None:
            added.append(new)
        else:
            replaced[old] = new
    wanted = [*added, *(each for each in replaced.values() if each is not None)]
    return Edited(replaced, added), wanted
