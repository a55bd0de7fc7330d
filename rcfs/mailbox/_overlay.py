"""Changes of messages that the platform does not show yet: they are laid over the records that arrive."""

from collections.abc import Collection, Iterable
from typing import Protocol

from rcfs.model import Message


class Overlay(Protocol):
    """The changes that are on their way to the platform, for the intake of records; in worker threads.

    Raises (all methods):
        StoreError: The changes cannot be read.
    """

    def laid_over(
        self, account_id: str, extension_id: int, messages: Iterable[Message]
    ) -> dict[int, Message]:
        """Those of `messages`, as the platform has them, that are to be shown otherwise, as they are shown.

        The result has them by id. It is called in a transaction of the index, and takes note of what the
        platform says of messages with changes.
        """

    def taken_off(self, account_id: str, extension_id: int, messages: Iterable[Message]) -> list[Message]:
        """`messages`, as the index shows them, as the platform has them."""

    def doubted(self, account_id: str, extension_id: int, message_ids: Collection[int]) -> set[int]:
        """Those of the messages that a sync tells to be deleted, and that may have been restored since.

        A tombstone tells no time, so it may be older than the answer to a request of our own.
        """


class NoOverlay:
    """The overlay of an account in which nobody changes anything."""

    def laid_over(
        self,
        account_id: str,  # noqa: ARG002 - it is an Overlay
        extension_id: int,  # noqa: ARG002
        messages: Iterable[Message],  # noqa: ARG002
    ) -> dict[int, Message]:
        return {}

    def taken_off(
        self,
        account_id: str,  # noqa: ARG002 - it is an Overlay
        extension_id: int,  # noqa: ARG002
        messages: Iterable[Message],
    ) -> list[Message]:
        return list(messages)

    def doubted(
        self,
        account_id: str,  # noqa: ARG002
        extension_id: int,  # noqa: ARG002
        message_ids: Collection[int],  # noqa: ARG002
    ) -> set[int]:
        return set()
