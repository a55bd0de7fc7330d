"""Carries a pull out: loads the mailboxes, finds what is missing, fetches and copies it.

Concurrency: all methods run in the trio thread. What needs a request is fetched by many workers, so that
the whole window is used at any latency; what is cached or rendered is copied by a few others meanwhile, so
that no slot waits for a disk. Every content is asked for once, whatever becomes of it.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TypeVar

import attrs
import trio

from rcfs.content import Content
from rcfs.engine import Engine
from rcfs.errors import (
    AuthError,
    ForbiddenError,
    NotFoundError,
    RcfsError,
    StoreError,
    UnreachableError,
)
from rcfs.files import show_mailbox, tree_of
from rcfs.model import CHUNK_BYTES, Priority
from rcfs.platform import MEDIUM
from rcfs.pull._complete import CompleteMailboxes
from rcfs.pull._copy import Copy, Found
from rcfs.pull._filter import Filter
from rcfs.pull._manifest import Complete
from rcfs.pull._places import date_directories, make_places, sweep_directories
from rcfs.pull._survey import Failure, Survey, Surveyor
from rcfs.pull._todo import Kind, Step
from rcfs.pull._walk import (
    Item,
    Parts,
    Walk,
    are_whole_extensions,
    extensions_of,
    find,
    leads_anywhere,
)
from rcfs.transport import run_together
from rcfs.tree import AttachmentFile, ExtensionDirectory, Root, TextFile

T = TypeVar("T")

_ANOTHERS = "CMN-419"
"""``errorCode`` of what belongs to an extension that the login may not read. Other refusals are about the app
or the login itself, and so about every mailbox."""
_PROGRAM = "rcfs pull"
"""Who fetches, for the record of fetches."""
_FETCHERS = 64
"""Contents asked for at the same time, at most. A slot is taken for a window and the latency, so 40 a minute
keep 40 busy at a latency of a whole window, and 1,000 a minute keep 64 busy at 3.8 s."""
_COPIERS = 8
"""Files written at the same time: what waits is the sync, of which a disk takes several at once."""
_LOADERS = 8
"""Mailboxes loaded at the same time; as many as keep the light group busy at a latency of 10 s."""
_LEAST_PACED = 20
"""Contents from which a pace is taken, at least: with fewer it is wrong by more than 5 %."""
_LOOKED_AT_ONCE = 100
"""Entries looked at in one go: about 200 µs each, so an interrupt waits for 20 ms."""
_MOST_FAILURES = 20
"""Failures of the server in a row after which the pull ends: each has been repeated five times, so that is an
outage of several minutes, and every further one costs requests."""


@attrs.define
class Progress:
    """How far a pull is; changes while it runs."""

    files: int = 0
    """Files that are where they are to be."""
    size_bytes: int = 0
    """Their size, of those that this run fetched or copied."""
    fetched: int = 0
    """Contents that this run fetched."""
    failures: list[Failure] = attrs.field(factory=list)
    """What could not be pulled."""
    requests_left: int = 0
    """Contents that are still to be fetched."""


class Pull:
    """One pull; `survey`, then `run` or nothing."""

    def __init__(
        self,
        engine: Engine,
        copy: Copy | None = None,
        *,
        verify: bool = False,
        on_done: Callable[[Item, int], None] = lambda _item, _size_bytes: None,
        on_failure: Callable[[Failure], None] = lambda _failure: None,
    ) -> None:
        """Prepares a pull.

        Args:
            engine: Where mailboxes and contents come from.
            copy: Where files are copied to; None to fetch into the cache only.
            verify: Whether files that were copied before are read and checked.
            on_done: Gets each file that was fetched or copied, and its size in bytes.
            on_failure: Gets each failure when it happens.
        """
        self._engine = engine
        self._copy = copy
        self._verify = verify
        self._on_done = on_done
        self._on_failure = on_failure
        self._failures_in_row = 0
        self._closed: list[Failure] = []
        self._states: dict[str, str] = {}
        """What is to be there of the mailboxes that are walked through whole; see `CompleteMailboxes`."""
        self._found: dict[str, Found | None] = {}
        """What was there of them before; None where it cannot be told."""
        self._complete = CompleteMailboxes(engine, copy, Filter())
        self.surveyed = Survey()
        """What there is, as far as it was looked at."""
        self._open: set[Content] = set()
        """Contents that were not cached when they were asked for, and are not here yet."""
        self._paced = 0
        """How many contents have come since the last penalty; the first and the last of them came then:"""
        self._paced_from_s = self._paced_to_s = 0.0
        self.progress = Progress()
        """How far it is."""

    def left_s(self) -> float:
        """Seconds until all that is missing has been fetched: as the quota goes, and no faster than so far.

        A slow line, or others who share the login, may keep it from using what the quota allows.
        """
        left = self.progress.requests_left
        if not left:
            return 0.0
        by_quota_s = self._engine.lane.gate.answered_s(MEDIUM, Priority.BULK, max(0, left - len(self._open)))
        if any(state.group == MEDIUM and state.frozen_for_s for state in self._engine.lane.gate.states()):
            self._paced = 0  # A penalty says nothing of the pace that comes after.
        if self._paced < _LEAST_PACED:
            return by_quota_s
        # Their number and not that of the gaps: so a burst, after which the quota pauses, is no slow line.
        pace_s = (self._paced_to_s - self._paced_from_s) / self._paced
        return max(by_quota_s, self._paced_to_s + left * pace_s - trio.current_time())

    def _note_pace(self, now: float) -> None:
        """A content came."""
        self._paced_from_s, self._paced_to_s = self._paced_from_s if self._paced else now, now
        self._paced += 1

    async def tree(self, paths: Sequence[Parts]) -> tuple[Root, tuple[Failure, ...]]:
        """The tree with the mailboxes that `paths` lead into, and those that could not be loaded or synced.

        Of those that could not be synced it shows what was known. A mailbox that the login may not read, and
        never could, is no failure, unless there is no other.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The index of mailboxes fails.
        """
        root = tree_of(self._engine)
        names = {id(node): name for name, node in root.entries().items()}
        mailboxes = self._engine.account.mailboxes
        failures: list[Failure] = []

        async def load(extensions: Iterator[ExtensionDirectory]) -> None:
            for extension in extensions:
                extension_id = extension.extension.id
                try:
                    await mailboxes.refresh(extension_id, Priority.BULK)
                except AuthError:
                    raise
                except RcfsError as exc:
                    never_read = _is_closed(exc) and mailboxes.catalogue(extension_id) is None
                    (self._closed if never_read else failures).append(Failure(names[id(extension)], exc))
                except Exception as exc:  # noqa: BLE001 - one mailbox must not end the pull of the others
                    self._engine.recorder.crash("pull", exc)
                    failures.append(Failure(names[id(extension)], exc))
                show_mailbox(extension, mailboxes)

        self._closed = []
        wanted = extensions_of(root, paths).values()
        await run_together([_in_parallel(_LOADERS, load, wanted)])
        if not any(extension.is_filled for extension in wanted):
            failures, self._closed = failures + self._closed, []
        if leads_anywhere(paths):
            for extension in self._engine.account.extensions:
                show_mailbox(root.extension(extension.id), mailboxes)
        return root, tuple(failures)

    async def survey(self, paths: Sequence[Parts], wanted: Filter) -> tuple[Survey, list[Parts]]:
        """What is to be done for `paths`, and those that lead to nothing; `surveyed` tells how far it is.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The index of mailboxes fails.
        """
        self.surveyed = survey = Survey()
        await self._engine.retention.learn()
        root, survey.failures = await self.tree(paths)
        survey.root, survey.closed = root, tuple(self._closed)
        self._complete = CompleteMailboxes(self._engine, self._copy, wanted)
        self._states = {}
        if are_whole_extensions(paths):
            self._states = {
                name: self._complete.state_of(extension)
                for name, extension in extensions_of(root, paths).items()
                if extension.is_filled
            }
        await self._pass_over_unchanged(survey, root)
        walk = Walk(root, paths, wanted, without=frozenset(survey.unchanged))
        items = iter(walk)
        engine = self._engine
        surveyor = Surveyor(
            survey, root, engine.cache, self._copy, engine.retention.current, verify=self._verify
        )
        while await trio.to_thread.run_sync(surveyor.look_at, islice(items, _LOOKED_AT_ONCE), time.time()):
            pass
        self.progress = Progress(
            files=survey.present, failures=list(survey.failures), requests_left=survey.missing
        )
        return survey, walk.unknown

    async def _pass_over_unchanged(self, survey: Survey, root: Root) -> None:
        """Counts the mailboxes of which all is there as an earlier pull has noted it."""
        self._found = {}
        for name, state in self._states.items():
            extension = _extension(root, name)
            noted = self._complete.noted(name, extension)
            is_noted = noted is not None and noted.state == state and not self._verify
            if self._copy is not None and not is_noted:
                continue  # What is there is looked at when the pull is over.
            before = survey.looked
            self._found[name] = found = await self._look(name, extension)
            survey.looked = before
            if noted is not None and is_noted and found and noted.fingerprint == found.fingerprint:
                survey.looked += noted.files
                survey.present += noted.files
                survey.unchanged.add(name)

    async def _look(self, name: str, extension: ExtensionDirectory) -> Found | None:
        def looked(count: int) -> None:
            self.surveyed.looked += count
            with suppress(RuntimeError):  # Not in a thread of trio.
                trio.from_thread.check_cancelled()

        return await trio.to_thread.run_sync(self._complete.found, name, extension, looked)

    async def _note_complete(self, survey: Survey) -> None:
        """Notes the mailboxes of which all is there now, for the next pull."""
        root = survey.root
        failed = {failure.path.partition("/")[0] for failure in self.progress.failures}
        for name, state in self._states.items():
            if name in survey.unchanged | survey.lacking | failed:
                continue
            extension = _extension(root, name)
            found = await self._look(name, extension)
            if found is None:
                continue
            if self._copy is None:
                # The cache may drop what was there when it was looked at.
                is_all = found == self._found[name]
            else:
                # Somebody may have deleted what was there when it was looked at.
                is_all = found.confirmed == survey.files_in[name]
            if is_all:
                complete = Complete(state, survey.files_in[name], found.fingerprint)
                with suppress(StoreError):  # Then the next pull looks at everything.
                    await trio.to_thread.run_sync(self._complete.note, name, extension, complete)

    async def run(self, survey: Survey) -> None:
        """Does what is to be done; failures of single files are collected in `progress`.

        When it is cancelled, nothing more is begun, what waits for a slot is given up, and requests that
        were sent go on: see `finish_sent`.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The copy cannot be written any more.
            PlatformError: The server fails all the time.
        """
        todo, copy = survey.todo, self._copy
        work = partial(self._transfer_all, survey.root)
        jobs = [_in_parallel(_FETCHERS, partial(self._fetch_all, survey.root), todo.steps(Kind.FETCH))]
        if copy is not None:
            pairs = ((step.detail.split("/"), step.parts) for step in todo.steps(Kind.RENAME))
            for new, error in await trio.to_thread.run_sync(copy.rename, pairs):
                self._fail("/".join(new), error)
            # Before anything is written: what lies beside its place then is of a run that was killed.
            await trio.to_thread.run_sync(sweep_directories, copy, todo)
            jobs.append(partial(self._make_all, copy, survey))
            jobs.append(_in_parallel(_COPIERS, work, todo.steps(Kind.COPY)))
        await run_together(jobs)
        if copy is not None:
            await trio.to_thread.run_sync(date_directories, copy, todo)
        await self._note_complete(survey)

    async def lost(self, survey: Survey) -> int:
        """How many of the contents that were to be fetched into the cache are not there now.

        Those that failed, or that are copied, are not counted.
        """
        if self._copy is not None:
            return 0
        failed = {failure.path for failure in self.progress.failures}
        contains = self._engine.cache.contains

        def count() -> int:
            steps = survey.todo.steps(Kind.FETCH)
            keys = (step.key for step in steps if "/".join(step.parts) not in failed)
            return sum(contains(key) != "yes" for key in keys if key is not None)

        return await trio.to_thread.run_sync(count)

    async def finish_sent(self, within_s: float) -> None:
        """After `run` was cancelled: waits for what was sent, for a short time; it goes into the cache."""
        with trio.move_on_after(within_s):
            await trio.lowlevel.checkpoint()
            for content in tuple(self._open):
                with suppress(Exception):
                    await content.wait_complete()
                    self.progress.fetched += 1

    async def _make_all(self, copy: Copy, survey: Survey) -> None:
        """Makes directories and links of the copy; a directory may be empty."""
        for kind in (Kind.DIRECTORY, Kind.LINK):
            steps = survey.todo.steps(kind)
            while part := list(islice(steps, _LOOKED_AT_ONCE)):
                for path, error in await trio.to_thread.run_sync(make_places, copy, kind, part):
                    self._fail(path, error)

    async def _fetch_all(self, root: Root, steps: Iterator[Step]) -> None:
        for step in steps:
            await self._transfer(root, step)
            self.progress.requests_left -= 1

    async def _transfer_all(self, root: Root, steps: Iterator[Step]) -> None:
        for step in steps:
            await self._transfer(root, step)

    async def _transfer(self, root: Root, step: Step) -> None:
        """Brings one file to its place; what cannot be had is noted."""
        path = "/".join(step.parts)
        try:
            if step.key is None:
                item, size_bytes = await trio.to_thread.run_sync(self._write_text, root, step.parts)
            else:
                node = _extension(root, step.parts[0]).attachment(step.key)
                if node is None:
                    raise NotFoundError("the message is gone")
                item = Item(step.parts, node)
                size_bytes = await self._obtain(item, node)
        except (AuthError, StoreError, UnreachableError):
            raise
        except Exception as exc:
            if not isinstance(exc, (RcfsError, OSError)):
                self._engine.recorder.crash("pull", exc)
            self._fail(path, exc)
            # A refusal is about one file; a server that fails file after file is about all.
            self._failures_in_row += isinstance(exc, RcfsError) and exc.retryable
            if self._failures_in_row >= _MOST_FAILURES:
                raise
        else:
            self._failures_in_row = 0
            self.progress.files += 1
            self.progress.size_bytes += size_bytes
            self._on_done(item, size_bytes)

    def _fail(self, path: str, error: Exception) -> None:
        failure = Failure(path, error)
        self.progress.failures.append(failure)
        self._on_failure(failure)

    def _write_text(self, root: Root, parts: Parts) -> tuple[Item, int]:
        """Copies a text; it and its size in bytes. For worker threads."""
        assert self._copy is not None  # noqa: S101 - texts are only ever copied
        node = find(root, parts)
        if not isinstance(node, TextFile):
            raise NotFoundError("the message is gone")
        size_bytes = self._copy.write_pieces(parts, node.times().mtime_s, _pieces(node))
        return Item(parts, node), size_bytes

    async def _obtain(self, entry: Item, node: AttachmentFile) -> int:
        """Brings an attachment into the cache, and into the copy if there is one; its size in bytes."""
        library = self._engine.library
        content = await library.look(node.wanted())
        library.fetch(content, Priority.BULK, _PROGRAM)
        if not content.complete:
            self._open.add(content)
        try:
            await content.wait_complete()
            if content in self._open:
                self.progress.fetched += 1
                self._note_pace(trio.current_time())
                self._open.discard(content)
            assert content.size_bytes is not None  # noqa: S101 - a complete content knows its size
            if self._copy is not None:
                await self._write(self._copy, entry.parts, node.times().mtime_s, content)
            return content.size_bytes
        except RcfsError:
            self._open.discard(content)
            raise
        finally:
            library.release(content)

    async def _write(self, copy: Copy, parts: Parts, mtime_s: float, content: Content) -> None:
        """Copies a complete content: small ones in one step, large ones piece by piece."""
        run_sync = trio.to_thread.run_sync
        library = self._engine.library
        await library.reach(content, 0, CHUNK_BYTES)
        data = content.read(0, CHUNK_BYTES)
        if len(data) == content.size_bytes:
            await run_sync(copy.write, parts, mtime_s, data)
            return
        writer = await run_sync(copy.begin, parts)
        try:
            position = 0
            while data:
                await run_sync(copy.append, writer, data)
                position += len(data)
                await library.reach(content, position, CHUNK_BYTES)
                data = content.read(position, CHUNK_BYTES)
            await run_sync(copy.finish, parts, writer, mtime_s)
        finally:
            writer.close()


def _pieces(node: TextFile) -> Iterator[bytes]:
    """The bytes of a text.

    Raises:
        NotFoundError: What it tells of is gone, so that it would be written empty.
    """
    is_empty = True
    for piece in node.pieces():
        is_empty = is_empty and not piece
        yield piece
    if is_empty and node.size_bytes:
        raise NotFoundError("the message is gone")


def _is_closed(error: RcfsError) -> bool:
    """Whether the login may not read the mailbox of somebody else."""
    return isinstance(error, ForbiddenError) and error.code == _ANOTHERS


def _extension(root: Root, name: str) -> ExtensionDirectory:
    node = root.find(name)
    assert isinstance(node, ExtensionDirectory)  # noqa: S101 - mailboxes are nowhere else
    return node


def _in_parallel(
    count: int, work: Callable[[Iterator[T]], Awaitable[None]], items: Iterable[T]
) -> Callable[[], Awaitable[None]]:
    """A job: `count` tasks of `work` that share `items`."""
    shared = iter(items)
    return lambda: run_together([partial(work, shared)] * count)
