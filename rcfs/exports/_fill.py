"""The fast lane: an archive of a report is taken apart as it arrives, and its members fill the cache.

One request brings up to 1 GB of attachments, where each of them would cost a request. The archive itself is
never on the disk. After each MiB all members that have ended are in the cache, and a mark in the index tells
where the next one begins: a fill that was interrupted continues there with a ranged request, also after a
SIGKILL. An archive that the cache holds as a file is read from there, without a request.

Concurrency: all methods run in the trio thread, and one fill at a time has the claim of an archive, in all
processes. While a MiB is stored, the next one arrives; no more is in memory, besides one member of at most
8 MiB.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from rcfs.content import Content, Library, Part, Source, Storage
from rcfs.errors import PlatformError, RcfsError, ServerError, StoreError
from rcfs.exports._filling import Filling
from rcfs.exports._report import FillMark, FillReport
from rcfs.exports._unzip import DamagedArchiveError
from rcfs.mailbox import Account
from rcfs.model import CHUNK_BYTES, ByteRange, ContentKey, Export, ExportArchive, Priority, Wanted
from rcfs.store import Claims, FetchRecord, MailboxIndex
from rcfs.transport import Recorder, RequestOptions

_MOST_ANSWERS: Final = 1000
"""Answers that one archive may take: a server that sends smaller parts would use up the whole budget."""
_MOST_ARCHIVE_BYTES: Final = 16 << 30
"""Largest archive; the documentation allows 1 GB of contents in each."""
_POLL_S: Final = 0.5
"""Time between two looks whether another fill or fetch of the archive has ended, in seconds."""

Arrived = Callable[[ContentKey, int], Awaitable[None]]
"""Is told each content that was filled, and its size in bytes; nothing more arrives meanwhile."""
Progress = Callable[[FillReport], None]
"""Is told how far a fill is, after each MiB and at the end; the report changes afterwards."""


@attrs.frozen
class FillParts:
    """The parts of an engine that a fill uses."""

    account: Account
    library: Library
    storage: Storage
    source: Source
    index: MailboxIndex
    recorder: Recorder
    wall_clock: Callable[[], float]
    """Seconds since 1970 UTC."""
    share: Callable[[ContentKey], None] | None = None
    """Is told each content that was filled, to share it with other machines; None to share none."""


class FastLane:
    """Fills the cache from the archives of one account's reports."""

    def __init__(self, parts: FillParts) -> None:
        self._parts = parts

    async def fill_from(
        self,
        export: Export,
        archive: ExportArchive,
        *,
        priority: Priority = Priority.BULK,
        program: str = "",
        progress: Progress = lambda _report: None,
        arrived: Arrived | None = None,
        afresh: bool = False,
    ) -> FillReport:
        """Brings the members of an archive into the cache, and its records into the index.

        Mailboxes must be loaded before, or prepared (`Mailboxes.prepare_records`) and get their records first
        (archive 0): a member of which rcfs knows no message does not become a content. A fill that is whole
        is not repeated, unless the cache has lost the last content of it.

        Args:
            export: A completed report on messages.
            archive: One of its archives.
            priority: Class of the requests.
            program: Name of the program for the record of fetches.
            progress: Is told how far it is.
            arrived: Is told what has come, so that it can be used before the cache needs its place.
            afresh: Whether to begin at the beginning in any case. Contents in the cache are compared.

        Returns:
            The report. `is_whole` is False and `problem` tells why if the archive is damaged or cut.

        Raises:
            PlatformError: The server or the connection failed for good; the next call continues.
            NoRoomError: The cache takes no more now; the next call continues.
            StoreError: The index fails; the next call continues.
        """
        options = RequestOptions(priority, label=str(archive.key), program=program)
        run = _Run(self._parts, export, archive, options, progress, arrived)
        fill = f"fill {archive.key}"
        await self._claim(fill)
        try:
            # If somebody fetches the archive as a file at this moment, it comes from the cache afterwards. A
            # reader need not wait for the fill, which leaves no file.
            await self._claim(archive.key)
            self._claims.give_back(archive.key)
            return await run.run(afresh=afresh)
        finally:
            self._claims.give_back(fill)

    async def _claim(self, what: ContentKey | str) -> None:
        # No event tells when another process is done.
        while not self._claims.take(what):  # noqa: ASYNC110
            await trio.sleep(_POLL_S)

    @property
    def _claims(self) -> Claims:
        return self._parts.storage.cache.claims

    async def reported(self, archive: ExportArchive) -> FillReport:
        """How far the archive is, without doing anything.

        Raises:
            StoreError: The index fails.
        """
        return (await self._parts.storage.reading(_read_mark, self._parts, archive.key)).report()


def _read_mark(parts: FillParts, key: ContentKey) -> FillMark:
    """The mark of an archive: its beginning if the cache has lost what was filled. For a thread."""
    mark = FillMark.read(parts.index, key)
    try:
        last = ContentKey.parse(mark.last) if mark.last else None
    except ValueError:
        return FillMark()
    return mark if last is None or parts.storage.cache.contains(last) == "yes" else FillMark()


@attrs.define(eq=False)
class _Run:
    """One run of a fill."""

    _parts: FillParts
    _export: Export
    _archive: ExportArchive
    _options: RequestOptions
    _progress: Progress
    _arrived: Arrived | None
    _filling: Filling = attrs.field(init=False)
    _position: int = 0
    """The next byte of the archive to receive."""
    _is_replaced: bool = False
    """Whether the server has another archive now than at the beginning."""
    _batch: bytearray = attrs.field(factory=bytearray)
    """Bytes before the position that were not taken apart yet."""

    async def run(self, *, afresh: bool) -> FillReport:
        """See `FastLane.fill_from`."""
        parts, key = self._parts, self._archive.key
        mark = FillMark() if afresh else await parts.storage.reading(_read_mark, parts, key)
        self._position = mark.done_bytes
        self._filling = Filling(
            parts.account.id,
            parts.account.mailboxes,
            parts.storage,
            parts.index,
            mark,
            self._export.asked_s,
        )
        report = self._filling.report
        report.of_bytes = report.of_bytes or self._archive.size_bytes
        if not report.is_whole:
            try:
                await self._bring()
            except DamagedArchiveError as exc:
                report.problem = str(exc)
            finally:
                self._filling.abort()
                if self._is_replaced:
                    # Only here: what had come before was still taken apart, and moved the mark.
                    self._filling.mark = FillMark()
                with trio.CancelScope(shield=True):
                    await parts.storage.writing(self._write_mark)
        self._progress(report)
        return report

    async def _bring(self) -> None:
        """Reads the rest of the archive, from the cache or from the server."""
        content = await self._cached()
        if content is not None:
            try:
                await self._read(content)
            except StoreError as exc:
                if self._filling.is_done or not content.is_pending:
                    raise
                self._parts.recorder.fault("exports", str(exc), key=str(self._archive.key))
            finally:
                self._parts.library.release(content)
        if not self._filling.is_done:
            await self._receive()
        if not self._filling.is_done:
            raise DamagedArchiveError("the archive is cut: its end is missing")
        report = self._filling.report
        report.is_whole, report.problem = True, ""

    # From the cache

    async def _cached(self) -> Content | None:
        """The archive as a file in the cache, opened; None if the cache does not have all of it."""
        archive = self._archive
        wanted = Wanted(
            archive.key, archive.uri, "application/zip", size_known=archive.size_bytes is not None
        )
        content = await self._parts.library.look(wanted)
        if content.complete:
            return content
        self._parts.library.release(content)
        return None

    async def _read(self, content: Content) -> None:
        size_bytes = content.size_bytes or 0
        self._learn_total(size_bytes)
        while self._position < size_bytes:
            await self._parts.library.check(content, self._position, CHUNK_BYTES)
            data = content.read(self._position, CHUNK_BYTES)
            if not data:
                raise StoreError("the cache has lost a part of the archive")
            self._position += len(data)
            await self._take(data)

    # From the server

    async def _receive(self) -> None:
        """Receives the rest of the archive; a MiB is taken apart while the next one arrives."""
        failure: RcfsError | None = None
        ready, batches = trio.open_memory_channel[bytes](0)
        async with trio.open_nursery() as nursery:

            async def take_apart() -> None:
                nonlocal failure
                try:
                    async for batch in batches:
                        await self._take(batch)
                except RcfsError as exc:
                    failure = exc
                    nursery.cancel_scope.cancel()
                except Exception as exc:  # noqa: BLE001 - one archive must not end the mount
                    self._parts.recorder.crash("exports", exc)
                    failure = ServerError("unexpected error while rcfs took an archive apart; see the log")
                    nursery.cancel_scope.cancel()

            nursery.start_soon(take_apart)
            try:
                async with ready:
                    await self._ask(ready)
            except RcfsError as exc:
                failure = failure or exc
        if failure is not None:
            raise failure

    async def _ask(self, ready: trio.MemorySendChannel[bytes]) -> None:
        """Asks for the rest until all has come."""
        archive, filling = self._archive, self._filling
        wanted = Wanted(archive.key, archive.uri, "application/zip")
        transfer = self._parts.source.transfer(wanted)
        begin, before = self._position, -1

        async def take(part: Part) -> None:
            await self._take_part(part, ready)

        def count(*, is_request: bool = True) -> None:
            filling.report.requests += is_request

        failure: RcfsError | None = None
        try:
            for _answer in range(_MOST_ANSWERS):
                if self._position in (before, filling.archive_bytes) or filling.is_done:
                    break  # Nothing more comes, or nothing is missing.
                before = self._position
                await transfer.run(
                    lambda: ByteRange(self._position),
                    take,
                    self._options,
                    progress=lambda: self._position - begin,
                    confirm=count,
                )
        except RcfsError as exc:
            failure = exc
        await self._hand_over(ready)  # After a failure, too: the next run need not ask for these bytes again.
        if failure is not None:
            raise failure

    async def _hand_over(self, ready: trio.MemorySendChannel[bytes]) -> None:
        """Lets the bytes be taken apart that have come."""
        batch = bytes(self._batch)
        self._batch.clear()
        if batch:
            await ready.send(batch)

    async def _take_part(self, part: Part, ready: trio.MemorySendChannel[bytes]) -> None:
        if part.total is not None:
            self._learn_total(part.total)
        position = part.start
        while piece := await part.receive():
            if part.stop is not None:
                piece = piece[: part.stop - position]
            position += len(piece)
            # A server that does not know ranges sends the beginning again.
            new = memoryview(piece)[max(0, len(piece) - (position - self._position)) :]
            while new:
                fitting = new[: CHUNK_BYTES - len(self._batch)]
                new = new[len(fitting) :]
                self._batch += fitting
                self._position += len(fitting)
                if len(self._batch) == CHUNK_BYTES:
                    await self._hand_over(ready)
            if self._filling.is_done:
                return  # A server without an end must not hold it up.
            if position > _MOST_ARCHIVE_BYTES:
                raise DamagedArchiveError(f"the archive has more than {_MOST_ARCHIVE_BYTES:,} bytes")
        if part.is_whole and part.total is None:
            self._learn_total(position)

    def _learn_total(self, total: int) -> None:
        """Notes the size of the archive.

        The size in the platform's list is not compared: it may be one of the contents.

        Raises:
            PlatformError: The archive had another size before; the next run begins again.
        """
        filling, before = self._filling, self._filling.archive_bytes
        if before not in (None, total):
            self._is_replaced = True
            raise PlatformError(f"the archive has {total:,} bytes now, and had {before:,} before")
        filling.report.of_bytes = filling.archive_bytes = total

    # On the disk

    async def _take(self, data: bytes) -> None:
        parts, filling = self._parts, self._filling
        await parts.storage.writing(self._take_in_thread, data)
        parts.storage.idle.sweep()
        for key, text in filling.take_texts():
            parts.storage.tell(key, text)
        for key, size_bytes in filling.take_arrived():
            if parts.share is not None:
                parts.share(key)
            if self._arrived is not None:
                await self._arrived(key, size_bytes)
        self._progress(filling.report)

    def _take_in_thread(self, data: bytes) -> None:
        self._filling.take(data)
        self._write_mark()

    def _write_mark(self) -> None:
        parts, filling = self._parts, self._filling
        report, history = filling.report, parts.storage.history
        mark = attrs.evolve(filling.mark, is_whole=report.is_whole)
        mark.write(parts.index, self._archive.key, parts.wall_clock)
        if report.is_whole and history is not None and report.requests:
            history.add(
                FetchRecord(
                    key=self._archive.key,
                    at_s=parts.wall_clock(),
                    program=self._options.program,
                    priority=self._options.priority.name.lower(),
                    requests=report.requests,
                    size_bytes=report.done_bytes - report.resumed_bytes,
                )
            )
