"""The shared store as rcfs uses it: every call in a thread, with a deadline, and none while it is broken.

Concurrency: all methods run in the trio thread. A call that passes its deadline is left behind in its thread,
and ends there by the timeouts of the store's own client. From a failure on, until a probe succeeds, the store
is passed over: each call raises `PassedOverError` at once. While only writing fails, as on a full disk, the
store is still read.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar, TypeVarTuple

import attrs
import trio

from rcfs.errors import WaitError
from rcfs.model import CHUNK_BYTES, ContentKey
from rcfs.objects import (
    FIRST_BYTES,
    RENEW_S,
    Breaker,
    ContentHeader,
    Found,
    Granted,
    ObjectNames,
    ObjectStore,
    ObjectStoreError,
    SharedClaims,
    Verdict,
    WrongObjectError,
    chunk_digest,
    is_claim,
    probe_objects,
    read_header,
)
from rcfs.transport import Recorder

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_BODY_S: Final = 10.0
"""Longest time for the bytes of one answer, at most 8 MiB, in seconds."""
_THREADS: Final = 16
"""Calls at the same time. Those that were left behind count until they end."""
_MOST_WRONG: Final = 1000
"""Wrong objects that are remembered; the oldest are forgotten first."""


class PassedOverError(WaitError):
    """The shared store is broken at present, so it is not asked."""


@attrs.frozen
class SharedObject:
    """A content that the shared store has."""

    key: ContentKey
    header: ContentHeader
    tag: str
    """Tag of its object."""
    first: bytes = attrs.field(repr=False)
    """The beginning of the content."""


@attrs.define
class Counts:
    """The events since the start."""

    hits: int = 0
    """Contents that were found."""
    misses: int = 0
    """Contents that were not found."""
    wrong: int = 0
    """Objects that were not what they should be."""
    taken_over: int = 0
    """Claims of machines that had died."""


class SharedStore:
    """An object store with the contents of several machines."""

    def __init__(
        self,
        objects: ObjectStore,
        claims: SharedClaims,
        server_url: str,
        recorder: Recorder,
        nursery: trio.Nursery,
        *,
        answer_s: float,
    ) -> None:
        """Asks nothing yet.

        Args:
            objects: Keeps the contents.
            claims: The claims over all machines.
            server_url: Origin of the platform.
            recorder: Logs failures and wrong objects.
            nursery: Where renewals and probes run.
            answer_s: Longest wait for an answer of the store.
        """
        self.answer_s = answer_s
        """Longest wait for an answer of the store, in seconds."""
        self.objects = objects
        self.names = ObjectNames(server_url)
        self.counts = Counts()
        self.working = trio.Event()
        """Set while the store is used; replaced when it breaks."""
        self.working.set()
        self._claims = claims
        self._recorder = recorder
        self._nursery = nursery
        self._breaker = Breaker()
        self.is_read = True
        """Whether the store is asked for contents; it may be that while it is not written to."""
        self._limiter = trio.CapacityLimiter(_THREADS)
        self._held: dict[ContentKey, Granted] = {}
        self._renewing = False
        self._wrong_tags: dict[ContentKey, str] = {}

    @property
    def problem(self) -> str:
        """Why the store is passed over, or only read; empty while it is used."""
        return self._breaker.problem

    async def call(self, work: Callable[[*Ts], T], *arguments: *Ts, within_s: float) -> T:
        """The result of `work`, which runs in a thread.

        Raises:
            PassedOverError: The store is broken, or broke now; in both cases rcfs works without it.
        """
        scope = trio.CancelScope(deadline=trio.current_time() + within_s)
        return await self._call(work, *arguments, scope=scope)

    async def _call(
        self, work: Callable[[*Ts], T], *arguments: *Ts, scope: trio.CancelScope, reads: bool = False
    ) -> T:
        if self._breaker.is_open and not (reads and self.is_read):
            raise PassedOverError(self._breaker.problem)
        problem = "the store does not answer in time"
        with scope:  # noqa: ASYNC912 - every path without an error waits for the thread
            try:
                return await trio.to_thread.run_sync(
                    work, *arguments, limiter=self._limiter, abandon_on_cancel=True
                )
            except ObjectStoreError as exc:
                problem = str(exc)
        self.is_read = self.is_read and not reads
        if self._breaker.failed(problem):
            self.working = trio.Event()
            does = "only reads" if self.is_read else "works without"
            self._recorder.fault("shared", f"rcfs {does} the shared store for now: {problem}")
            self._nursery.start_soon(self._recover)
        raise PassedOverError(problem)

    async def _recover(self) -> None:
        """Probes the store until it works again."""
        while self._breaker.is_open:
            await trio.sleep(self._breaker.next_pause_s())
            problem = "the store does not answer in time"
            with trio.move_on_after(self.answer_s):  # noqa: ASYNC912 - it waits for the thread
                try:
                    await trio.to_thread.run_sync(
                        self.objects.get, "clock/probe", 0, 1, limiter=self._limiter, abandon_on_cancel=True
                    )
                    self.is_read = True
                    await trio.to_thread.run_sync(
                        probe_objects, self.objects, limiter=self._limiter, abandon_on_cancel=True
                    )
                except ObjectStoreError as exc:
                    problem = str(exc)
                else:
                    self._breaker.succeeded()
                    self.working.set()
                    self._recorder.note("shared", state="the shared store works again")
                    return
            self._breaker.failed(problem)

    # Reading

    async def look(self, key: ContentKey) -> SharedObject | Verdict | None:
        """The content; `Verdict.HELD` while another machine fetches it; None if the store lacks it.

        Raises:
            PassedOverError: The store is broken.
        """
        found, is_held = await self._get(key, 0, FIRST_BYTES, is_look=True)
        if is_held:
            return Verdict.HELD
        if found is None or is_claim(found.data):
            return None
        try:
            header = read_header(found.data, self.names.identity(key), found.object_bytes)
        except WrongObjectError as exc:
            self.mark_wrong(key, found.tag, str(exc))
            return None
        return SharedObject(key, header, found.tag, found.data[header.length_bytes :])

    async def read(self, content: SharedObject, first: int, stop: int) -> list[bytes]:
        """The chunks ``[first, stop)`` of a content, each of them checked.

        Raises:
            PassedOverError: The store is broken.
            WrongObjectError: They are damaged, or the object is another one by now.
        """
        start, end = first * CHUNK_BYTES, min(stop * CHUNK_BYTES, content.header.size_bytes)
        data = content.first[start:end]
        if len(data) < end - start:
            offset = content.header.length_bytes
            found, _is_held = await self._get(content.key, offset + start, offset + end)
            if found is None or found.tag != content.tag:
                raise WrongObjectError("the object changed while rcfs read it")
            data = found.data
        chunks = [data[at : at + CHUNK_BYTES] for at in range(0, end - start, CHUNK_BYTES)]
        digests = await trio.to_thread.run_sync(lambda: list(map(chunk_digest, chunks)))
        if digests != list(content.header.digests[first:stop]):
            self.mark_wrong(content.key, content.tag, "its bytes are damaged")
            raise WrongObjectError("its bytes are damaged")
        return chunks

    async def _get(
        self, key: ContentKey, start: int, stop: int, *, is_look: bool = False
    ) -> tuple[Found | None, bool]:
        """A range of an object; if it `is_look`, also whether another machine has the claim of it."""
        scope = trio.CancelScope(deadline=trio.current_time() + self.answer_s)
        loop = trio.lowlevel.current_trio_token()

        def allow_body() -> None:
            scope.deadline = trio.current_time() + _BODY_S

        def answered() -> None:
            with suppress(trio.RunFinishedError):
                loop.run_sync_soon(allow_body)

        def get(name: str) -> tuple[Found | None, bool]:
            found = self.objects.get(name, start, stop, answered)
            return found, is_look and self._claims.is_held(name, found)

        return await self._call(get, self.names.content(key), scope=scope, reads=True)

    def count(self, *, is_hit: bool) -> None:
        """Counts a content that a reader wanted."""
        self.counts.hits += is_hit
        self.counts.misses += not is_hit

    def mark_wrong(self, key: ContentKey, tag: str, reason: str) -> None:
        """Notes that an object must not be used; the next fetch of the content replaces it."""
        self.counts.wrong += 1
        self._wrong_tags[key] = tag
        while len(self._wrong_tags) > _MOST_WRONG:
            del self._wrong_tags[next(iter(self._wrong_tags))]
        self._recorder.fault(
            "shared", f"a wrong object in the shared store is passed over: {reason}", key=str(key)
        )

    # Claims

    def holds(self, key: ContentKey) -> bool:
        """Whether this process has the claim of a content."""
        return key in self._held

    def took_over(self, key: ContentKey) -> bool:
        """Whether this process has a claim that another machine had before."""
        return key in self._held and self._held[key].took_over

    async def claim(self, key: ContentKey) -> Verdict | None:
        """None if this process may fetch the content: it has the claim now, or the store is passed over."""
        if key in self._held:
            return None
        try:
            outcome = await self.call(
                self._claims.take,
                self.names.content(key),
                self._wrong_tags.get(key, ""),
                within_s=self.answer_s,
            )
        except PassedOverError:
            return None
        if isinstance(outcome, Verdict):
            return outcome
        self._held[key] = outcome
        if outcome.took_over:
            self.counts.taken_over += 1
            self._recorder.note("shared", state="took over the claim of a machine that died", key=str(key))
        if not self._renewing:
            self._renewing = True
            self._nursery.start_soon(self._renew)
        return None

    async def give_back(self, key: ContentKey) -> None:
        """Releases the claim of a content, if this process has it, after a fetch that failed."""
        claim = self._held.pop(key, None)
        if claim is not None:
            with suppress(PassedOverError):  # Then it expires.
                await self.call(self._claims.give_back, claim, within_s=self.answer_s)

    def give_back_soon(self, key: ContentKey) -> None:
        """As `give_back`, in the background."""
        self._nursery.start_soon(self.give_back, key)

    async def give_back_all(self) -> None:
        """Releases all claims of this process."""
        for key in list(self._held):
            await self.give_back(key)

    def forget_claim(self, key: ContentKey) -> None:
        """Notes that the content has replaced the claim."""
        self._held.pop(key, None)
        self._wrong_tags.pop(key, None)

    async def _renew(self) -> None:
        try:
            while self._held:
                await trio.sleep(RENEW_S)
                for key, claim in list(self._held.items()):
                    with suppress(PassedOverError):
                        renewed = await self.call(self._claims.renew, claim, within_s=self.answer_s)
                        # Meanwhile the fetch may have ended.
                        if self._held.get(key) is claim:
                            if renewed is None:
                                del self._held[key]
                            else:
                                self._held[key] = renewed
        finally:
            self._renewing = False
