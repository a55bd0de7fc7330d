"""A WebSocket, as the rooms above see it."""

from typing import Protocol


class MessageStream(Protocol):
    """Text messages both ways; one task receives, any may send."""

    async def send(self, text: str) -> None:
        """Sends a message.

        Raises:
            TransportError: The connection is broken.
        """
        ...

    async def receive(self) -> str | None:
        """The next message; None when the server has closed the connection.

        Raises:
            TransportError: The connection is broken.
        """
        ...
