"""An engine on a scripted platform, with a real cache in a directory of the test."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar, TypeVarTuple

import attrs
import structlog
import trio

from rcfs.content import MAX_CONTENT_BYTES, Content
from rcfs.engine import Engine, open_engine
from rcfs.mailbox import Change, MailboxCatalogue, MailboxChanged, Shelving
from rcfs.model import AttachmentKey, Message, Priority, Wanted
from rcfs.objects import Erasures, ObjectStore, SharedPlace
from rcfs.platform import AllowedHosts, Client, Credentials
from rcfs.platform._client import SocketOpener
from rcfs.platform._socket import open_socket
from rcfs.quota import Ledger, MemoryHome
from rcfs.store import ChangedPaths, ContentCache, FetchHistory, MailboxIndex, SharedSession, SizeIndex
from rcfs.transport import Recorder
from rcfs.tree import PURGED, name_folder, shelve
from tests.fakes.scripted import ACCOUNT_ID, CLIENT_ID, CLIENT_SECRET, JWT, PLATFORM, ScriptedPlatform

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EXTENSION_ID = 101


async def run_inline(work: Callable[[*Ts], T], *arguments: *Ts, **_options: object) -> T:
    """A replacement for `trio.to_thread.run_sync` that runs the work in the event loop.

    For trio, a task that waits for a thread is blocked, so virtual time would jump to the next deadline while
    the thread works.
    """
    await trio.lowlevel.checkpoint()
    return work(*arguments)


@attrs.define
class Rig:
    """A running engine, its platform and its directories."""

    platform: ScriptedPlatform
    engine: Engine
    cache: ContentCache
    index: MailboxIndex
    sizes: SizeIndex
    warnings: list[str]
    origin_s: float
    """Time at which the engine had started."""

    heard: list[tuple[int, ChangedPaths]] = attrs.field(factory=list)
    """The changes that a mount would have heard of."""

    @property
    def now(self) -> float:
        """Virtual seconds since the engine started."""
        return trio.current_time() - self.origin_s

    def hear(self, change: Change) -> None:
        """Note the changes of a mailbox."""
        if isinstance(change, MailboxChanged):
            self.heard.append((change.extension_id, change.paths))

    def wanted(self, number: int, data: bytes, **fields: Any) -> Wanted:
        """A new attachment on the platform, and the request for it."""
        key = AttachmentKey(ACCOUNT_ID, EXTENSION_ID, number, number)
        return Wanted(
            key, **({"uri": self.platform.add_content(key, data), "content_type": "audio/x-wav"} | fields)
        )

    async def open(self, wanted: Wanted, priority: Priority = Priority.PERSON) -> Content:
        """The content of an attachment, fetched if necessary; release it with the library's `release`."""
        content = await self.engine.library.look(wanted)
        self.engine.library.fetch(content, priority)
        return content

    async def read(self, wanted: Wanted, priority: Priority = Priority.PERSON) -> bytes:
        """All bytes of an attachment, as `cat` would read them."""
        content = await self.open(wanted, priority)
        try:
            await content.wait_complete()
            await self.engine.library.reach(content, 0, content.arrived)
            return content.read(0, content.arrived)
        finally:
            self.engine.library.release(content)

    async def mailbox(self, extension_id: int = EXTENSION_ID) -> MailboxCatalogue:
        """A mailbox, loaded as for its first reader."""
        return await self.engine.account.mailboxes.open(extension_id)

    async def messages(self, extension_id: int = EXTENSION_ID) -> list[Message]:
        """All messages of a mailbox, loaded if necessary, by their ids."""
        return messages_of(await self.mailbox(extension_id))

    def fetch_times(self) -> list[float]:
        """Times of the requests for content, in seconds since the engine started."""
        return self.platform.times("readMessageContent", self.origin_s)

    def ranges(self) -> list[str]:
        """The Range headers of the requests for content; empty if absent."""
        return [seen.byte_range for seen in self.platform.sent("readMessageContent")]

    def used(self, group: str) -> int:
        """Number of slots of a group that are taken."""
        return next(state.used for state in self.engine.lane.gate.states() if state.group == group)


@asynccontextmanager
async def open_rig(
    platform: ScriptedPlatform,
    directory: Path,
    *,
    cache_bytes: int = 1 << 30,
    secret: str = CLIENT_SECRET,
    jwt: str = JWT,
    offline: bool = False,
    keep_purged: bool = False,
    sockets: SocketOpener = open_socket,
    ledger: Ledger | None = None,
    history: FetchHistory | None = None,
    max_content_bytes: int = MAX_CONTENT_BYTES,
    wait_online_s: float = 0.0,
    on_wait: Callable[[str], None] = lambda _reason: None,
    shared: SharedSession | None = None,
    reload: Callable[[], Credentials | None] = lambda: None,
    asks_again: bool = True,
    keeps_current: bool = True,
    clock: Callable[[], float] = time.time,
    wall_clock: Callable[[], float] = time.time,
    objects: ObjectStore | None = None,
) -> AsyncIterator[Rig]:
    """A rig with all its files in `directory`; at its end, fails on unexpected errors and logged secrets."""
    warnings: list[str] = []
    cache = ContentCache.open(
        directory / "cache", size_limit_bytes=cache_bytes, free_floor_bytes=0, warn=warnings.append
    )
    index = MailboxIndex.open(directory / "mailboxes.sqlite", warnings.append)
    sizes = SizeIndex.open(directory / "sizes.sqlite", warnings.append)
    logger = structlog.testing.CapturingLogger()
    recorder = Recorder(logger, clock)
    place = None
    if objects is not None:
        place = SharedPlace(objects, Erasures(directory / "shared-erasures", objects))
    try:
        async with open_engine(
            login=f"{PLATFORM} {CLIENT_ID} {jwt}",
            client=Client(
                AllowedHosts(PLATFORM),
                user_agent="rcfs/test",
                transport=platform.transport,
                sockets=sockets,
                clock=clock,
            ),
            credentials=Credentials(CLIENT_ID, secret, jwt),
            ledger=ledger or Ledger(MemoryHome(platform.plans)),
            cache=cache,
            index=index,
            sizes=sizes,
            shelving=Shelving(
                partial(shelve, keep_purged=keep_purged),
                name_folder,
                frozenset() if keep_purged else frozenset({PURGED}),
            ),
            recorder=recorder,
            history=history,
            max_content_bytes=max_content_bytes,
            offline=offline,
            wait_online_s=wait_online_s,
            on_wait=on_wait,
            shared=shared,
            reload=reload,
            wall_clock=wall_clock,
            asks_again=asks_again,
            keeps_current=keeps_current,
            shared_place=place,
            monotonic=trio.current_time,
        ) as engine:
            rig = Rig(platform, engine, cache, index, sizes, warnings, trio.current_time())
            engine.account.changes.subscribe(rig.hear)
            yield rig
    finally:
        cache.close()
        index.close()
        sizes.close()
    assert [call for call in logger.calls if call.method_name == "error"] == []
    assert "s3cret" not in f"{logger.calls} {recorder.lines} {recorder.faults} {recorder.requests()}"


def add_voicemail(
    platform: ScriptedPlatform, number: int, data: bytes, *, time: str = "2026-11-03T10:00:00Z"
) -> None:
    """Adds the message `number` with a voicemail of the same id, as a sync returns it."""
    key = AttachmentKey(ACCOUNT_ID, EXTENSION_ID, number, number)
    attachment: dict[str, Any] = {"id": number, "type": "AudioRecording", "contentType": "audio/x-wav"}
    platform.change(
        id=number,
        type="VoiceMail",
        direction="Inbound",
        availability="Alive",
        creationTime=time,
        lastModifiedTime=time,
        attachments=[attachment | {"uri": platform.add_content(key, data)}],
    )


def noise(size_bytes: int, seed: int = 0) -> bytes:
    """Bytes in which every misplaced piece would be noticed."""
    return Random(seed).randbytes(size_bytes)


async def drain(content: Content) -> bytes:
    """All bytes of an open content, read from the start as they arrive."""
    parts = bytearray()
    while True:
        await content.wait_for(len(parts), 1)
        part = content.read(len(parts), 1 << 17)
        if not part:
            return bytes(parts)
        parts += part


def messages_of(mailbox: MailboxCatalogue) -> list[Message]:
    """All messages of a mailbox, by id; checks that each has one home and is found by its name there."""
    found: dict[int, Message] = {}
    for view in mailbox.views():
        for folder in mailbox.folders(view, 0, 10_000):
            for row in mailbox.messages(folder.number, 0, 10_000):
                message = mailbox.read(row.id)
                assert message is not None
                found[row.id] = message
                home = mailbox.home(row.id)
                assert home is not None
                assert mailbox.message(home.number, row.id) == row
    return [message for _id, message in sorted(found.items())]
