"""Changes of messages at the platform as a pure model: states, answers, and purges by repetition.

It is written from the documentation, independently of the simulator, so that each shows the mistakes of the
other. A test of a client compares the platform with it after any changes.

Source: updateMessage, patchMessage, deleteMessage and deleteMessageByFilter of the official description. Its
    "about 5 days" are exactly 5 here, as in the simulator.
"""

from collections.abc import Collection, Iterable, Mapping

import attrs

STEP_S = 5 * 86_400.0
"""Seconds that a message stays deleted, and then purged."""

State = tuple[str, str]
"""Availability and read status."""


@attrs.define
class OracleMessage:
    """One message."""

    availability: str = "Alive"
    """``Alive``, ``Deleted`` or ``Purged``."""
    read_status: str = "Unread"
    """``Read`` or ``Unread``."""
    talk: str = ""
    """Id of its conversation; empty for none."""
    since_s: float = 0.0
    """Time of the last change of `availability`."""


class ChangeOracle:
    """The messages of one mailbox, by id; times are the account's, in seconds, and never go back."""

    def __init__(self, messages: Mapping[int, OracleMessage]) -> None:
        self._messages = dict(messages)
        self._now_s = 0.0
        self.repeated: list[int] = []
        """Ids that a deletion without ``purge`` has purged."""

    def states(self) -> dict[int, State]:
        """The state of each message that still exists."""
        return {i: (one.availability, one.read_status) for i, one in self._messages.items()}

    def pass_until(self, now_s: float) -> None:
        """Let time pass: deleted messages are purged, purged ones forgotten."""
        self._now_s = now_s
        for message_id, message in list(self._messages.items()):
            if message.availability == "Deleted" and now_s >= message.since_s + STEP_S:
                message.availability, message.since_s = "Purged", message.since_s + STEP_S
            if message.availability == "Purged" and now_s >= message.since_s + STEP_S:
                del self._messages[message_id]

    def mark(self, message_ids: Iterable[int], read_status: str) -> list[int]:
        """Set the read status of some messages; returns the HTTP status for each."""
        return [self._mark(message_id, read_status) for message_id in message_ids]

    def restore(self, message_ids: Iterable[int]) -> list[int]:
        """Take some messages out of the trash; returns the HTTP status for each."""
        return [self._restore(message_id) for message_id in message_ids]

    def delete(self, message_ids: Iterable[int], *, purge: bool = False) -> list[int]:
        """Delete or purge some messages; returns the HTTP status for each."""
        return [self._delete(message_id, purge=purge) for message_id in message_ids]

    def delete_talks(self, talks: Collection[str], *, purge: bool = False) -> None:
        """Delete or purge the messages of some conversations."""
        for message_id, message in list(self._messages.items()):
            if message.talk in talks:
                self._delete(message_id, purge=purge)

    def _mark(self, message_id: int, read_status: str) -> int:
        message = self._messages.get(message_id)
        if message is None:
            return 404
        message.read_status = read_status
        return 200

    def _restore(self, message_id: int) -> int:
        message = self._messages.get(message_id)
        if message is None:
            return 404
        if message.availability == "Purged":
            return 400
        message.availability = "Alive"
        return 200

    def _delete(self, message_id: int, *, purge: bool) -> int:
        message = self._messages.get(message_id)
        if message is None:
            return 404
        if message.availability == "Deleted" and not purge:
            self.repeated.append(message_id)
        if message.availability != "Purged":
            is_last = purge or message.availability == "Deleted"
            message.availability, message.since_s = "Purged" if is_last else "Deleted", self._now_s
        return 204
