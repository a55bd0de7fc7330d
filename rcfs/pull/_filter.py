"""Which messages a pull is for. Pure."""

import attrs

from rcfs.model import Message


@attrs.frozen
class Filter:
    """Which messages are wanted."""

    since_s: float | None = None
    """Only messages created then or later, in seconds since 1970 UTC; None for all. One without a time is
    taken for old."""
    types: frozenset[str] = frozenset()
    """Only messages of these types, as the API names them; empty for all."""

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self.since_s is None and not self.types

    def fits(self, message: Message | None) -> bool:
        """Whether `message`, or what belongs to none, is wanted."""
        if message is None:
            return True
        if self.types and message.type not in self.types:
            return False
        return self.since_s is None or (message.created_s is not None and message.created_s >= self.since_s)
