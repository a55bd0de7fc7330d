"""The parts of an engine that this room uses."""

import math
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar, TypeVarTuple

import attrs
import trio

from rcfs.mailbox._changes import Change
from rcfs.mailbox._intake import Shelving
from rcfs.mailbox._overlay import NoOverlay, Overlay
from rcfs.platform import Client
from rcfs.store import ContentCache, MailboxIndex, SizeIndex
from rcfs.transport import Lane, Listeners, Network, Recorder, Requester

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


_JITTER_S = 60.0
"""How far the platform's time may differ between two processes: they know it from headers in whole seconds,
or, before the first answer, from a remembered difference."""


@attrs.frozen
class Context:
    """The parts that serve one login; for the trio thread, except the times."""

    login: str
    """A digest of server, app and user."""
    requester: Requester
    client: Client
    lane: Lane
    network: Network
    index: MailboxIndex
    sizes: SizeIndex
    cache: ContentCache
    shelving: Shelving
    changes: Listeners[Change]
    """The listeners to events of the account and its mailboxes."""
    on_gone: Callable[[str, int, Collection[int]], Awaitable[None]]
    """Called with account, extension and ids of messages that were purged and are not kept."""
    recorder: Recorder
    nursery: trio.Nursery
    """Runs background tasks until the engine ends."""
    wall_clock: Callable[[], float]
    """Seconds since 1970 UTC."""
    overlay: Overlay = attrs.field(factory=NoOverlay)
    """The changes of messages that the platform does not show yet."""

    def now_s(self) -> float:
        """The platform's time, in seconds since 1970 UTC; for any thread.

        Months, retention and the time of a sync follow this clock; notes of this machine follow `wall_clock`.
        """
        return self.client.server_now_s()

    async def in_thread(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """The result of `work(*arguments)`, which runs in one of the index's worker threads."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self.index.threads)

    async def note(self, topic: str, text: str) -> None:
        """Writes a note with the present time into the index, in place of an earlier one.

        Raises:
            StoreError: The index fails.
        """
        await self.in_thread(self.index.writer.note, topic, text, self.wall_clock())

    def sync_age_s(self, synced_s: float) -> float:
        """Seconds since a sync at `synced_s` by the platform's clock; infinite if that is in the future."""
        ago_s = self.now_s() - synced_s
        return max(0.0, ago_s) if ago_s > -_JITTER_S else math.inf

    def age_s(self, since_s: float) -> float:
        """Seconds since the time `since_s`, which is in seconds since 1970 UTC.

        Infinite when `since_s` is in the future: the clock was set back, so the true age is not known.
        """
        ago_s = self.wall_clock() - since_s
        return ago_s if ago_s >= 0 else math.inf
