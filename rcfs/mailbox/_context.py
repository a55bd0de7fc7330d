"""What the parts of this room work with."""

import math
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar, TypeVarTuple

import attrs
import trio

from rcfs.mailbox._changes import Change
from rcfs.mailbox._intake import Shelving
from rcfs.platform import Client
from rcfs.store import ContentCache, MailboxIndex, SizeIndex
from rcfs.transport import Lane, Listeners, Network, Recorder, Requester

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@attrs.frozen
class Context:
    """One for each login, made by the engine; for the trio thread, but `wall_clock` and `age_s` for any."""

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
    """Told what happens to the account and its mailboxes."""
    on_gone: Callable[[str, int, Collection[int]], Awaitable[None]]
    """Hears which messages of an account and extension were purged, and are not kept."""
    recorder: Recorder
    nursery: trio.Nursery
    """Runs what nobody waits for."""
    wall_clock: Callable[[], float]
    """Seconds since 1970 UTC."""

    async def in_thread(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """`work(*arguments)`, which uses the index, in one of the worker threads for that."""
        return await trio.to_thread.run_sync(work, *arguments, limiter=self.index.threads)

    async def note(self, topic: str, text: str) -> None:
        """Writes a note into the index, as of now, in place of the one that there was.

        Raises:
            StoreError: The index fails.
        """
        await self.in_thread(self.index.writer.note, topic, text, self.wall_clock())

    def age_s(self, since_s: float) -> float:
        """Seconds since the moment `since_s`, which is in seconds since 1970 UTC.

        Infinite when that is still to come: the clock was set back, and nothing may count as new until then.
        """
        ago_s = self.wall_clock() - since_s
        return ago_s if ago_s >= 0 else math.inf
