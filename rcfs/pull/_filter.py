"""The choice of messages that a pull takes. Pure."""

import attrs

from rcfs.model import Message


@attrs.frozen
class Filter:
    """A choice of messages."""

    since_s: float | None = None
    """Only messages created at that time or later, in seconds since 1970 UTC; None for all. A message
    without a time counts as old."""
    types: frozenset[str] = frozenset()
    """Only messages of these types, as the API names them; empty for all."""

    @property
    def is_everything(self) -> bool:
        """Whether it takes all messages."""
        return self.since_s is None and not self.types

    def fits(self, message: Message | None) -> bool:
        """Whether it takes `message`; None stands for files that belong to no message, which it takes."""
        if message is None:
            return True
        if self.types and message.type not in self.types:
            return False
        return self.since_s is None or (message.created_s is not None and message.created_s >= self.since_s)
