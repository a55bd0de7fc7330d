"""Carries a pull out: loads the mailboxes, finds what is missing, fetches and copies it.

Concurrency: all methods run in the trio thread. What needs a request is fetched by many workers, so that
the whole window is used at any latency; what is cached or rendered is copied by a few others meanwhile, so
that no slot waits for a disk. Every content is asked for once, whatever becomes of it.
"""

import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
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
from rcfs.model import CHUNK_BYTES, ContentKey, Priority
from rcfs.platform import MEDIUM
from rcfs.pull._choice import Choice, Entry, Parts, choose, covers, leads_anywhere
from rcfs.pull._copy import Copy
from rcfs.pull._former import former_paths
from rcfs.transport import run_together
from rcfs.tree import AttachmentFile, Directory, ExtensionDirectory, Link, Root, TextFile

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
_LOOKED_UP_AT_ONCE = 500
"""Contents looked up in one go: about 50 µs each, so an interrupt waits for 25 ms."""
_LEAST_PACED = 20
"""Contents from which a pace is taken, at least: with fewer it is wrong by more than 5 %."""
_MOST_FAILURES = 20
"""Failures of the server in a row after which the pull ends: each has been repeated five times, so that is an
outage of several minutes, and every further one costs requests."""


@attrs.frozen
class Failure:
    """Something that could not be pulled."""

    path: str
    """Where it is in the tree."""
    error: Exception
    """Why: an RcfsError, an OSError of the copy, or what nobody expected, which the log then has."""


@attrs.frozen
class Plan:
    """What is to be done."""

    entries: tuple[Entry, ...] = ()
    """All that was chosen."""
    present: tuple[Entry, ...] = ()
    """Attachments and texts that are where they are to be."""
    local: tuple[Entry, ...] = ()
    """What is to be copied without a request: texts, and attachments from the cache."""
    missing: tuple[Entry, ...] = ()
    """Attachments that cost a request each, every content once."""
    copies: tuple[Entry, ...] = ()
    """Further files of the contents in `missing`, to be copied when those are cached."""
    gone: tuple[Entry, ...] = ()
    """Attachments that cannot be had: the platform purged them before they were fetched."""
    failures: tuple[Failure, ...] = ()
    """Mailboxes that could not be loaded or synced."""
    closed: tuple[Failure, ...] = ()
    """Mailboxes of others that this login may not read, and never could: left out, which is no failure."""

    @property
    def files(self) -> int:
        """Number of files in all, but those that are gone."""
        return len(self.present) + len(self.local) + len(self.missing) + len(self.copies)

    @property
    def estimated_bytes(self) -> int:
        """Size of what is missing: exact where it is known, else an estimate that is rather too large."""
        return sum(node.size_bytes for node in map(_attachment, self.missing))

    @property
    def is_exact(self) -> bool:
        """Whether `estimated_bytes` is exact."""
        return all(node.size_is_exact for node in map(_attachment, self.missing))


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
    """One pull; `plan`, then `run` or nothing."""

    def __init__(
        self,
        engine: Engine,
        copy: Copy | None = None,
        *,
        verify: bool = False,
        on_done: Callable[[Entry, int], None] = lambda _entry, _size_bytes: None,
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
        self._former: dict[Parts, Parts] = {}
        """Where the copy may have files under other names, by their paths."""
        self._to_rename: dict[Parts, Entry] = {}
        """What the copy has under another name, by its path there; it is renamed before all else."""
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
        wanted = covers(root, paths)
        await run_together([_in_parallel(_LOADERS, load, wanted)])
        if not any(extension.is_filled for extension in wanted):
            failures, self._closed = failures + self._closed, []
        if leads_anywhere(paths):
            for extension in self._engine.account.extensions:
                show_mailbox(root.extension(extension.id), mailboxes)
        return root, tuple(failures)

    async def plan(self, paths: Sequence[Parts], choice: Choice) -> tuple[Plan, list[Parts]]:
        """What is to be done for `paths`, and those that lead to nothing.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The index of mailboxes fails.
        """
        await self._engine.retention.learn()
        root, failures = await self.tree(paths)
        entries, strays = await trio.to_thread.run_sync(choose, root, paths, choice)
        kinds = AttachmentFile if self._copy is None else (AttachmentFile, TextFile)
        files = [entry for entry in entries if isinstance(entry.node, kinds)]
        if self._copy is not None:
            self._former = await trio.to_thread.run_sync(former_paths, self._copy.paths, entries)
        self._to_rename = {}
        present: list[Entry] = []
        local: list[Entry] = []
        missing: dict[ContentKey, Entry] = {}
        copies: list[Entry] = []
        gone: list[Entry] = []
        ends: dict[ContentKey, tuple[float, float]] = {}
        for start in range(0, len(files), _LOOKED_UP_AT_ONCE):
            part = files[start : start + _LOOKED_UP_AT_ONCE]
            states, their_ends = await trio.to_thread.run_sync(self._look_at, part, time.time())
            ends |= their_ends
            for entry, state in zip(part, states, strict=True):
                if state == "present":
                    present.append(entry)
                elif state == "local":
                    local.append(entry)
                elif state == "gone":
                    gone.append(entry)
                elif _attachment(entry).key in missing:
                    copies.append(entry)
                else:
                    missing[_attachment(entry).key] = entry
        plan = Plan(
            entries=tuple(entries),
            present=tuple(present),
            local=tuple(local),
            missing=tuple(missing[key] for key in sorted(missing, key=ends.__getitem__)),
            copies=tuple(copies),
            gone=tuple(gone),
            failures=failures,
            closed=tuple(self._closed),
        )
        self.progress = Progress(files=len(present), failures=list(failures), requests_left=len(plan.missing))
        return plan, strays

    def _look_at(
        self, files: Iterable[Entry], now_s: float
    ) -> tuple[list[str], dict[ContentKey, tuple[float, float]]]:
        """(states of files, order of those that are missing).

        A state is ``present``, ``local`` (it can be copied), ``missing`` or ``gone``. What the platform drops
        first goes first, and then what is older: a mailbox that is full drops its oldest.
        """
        states = []
        order: dict[ContentKey, tuple[float, float]] = {}
        for entry in files:
            states.append(self._state(entry))
            if states[-1] == "missing":
                message = entry.node.message()
                end = None if message is None else self._engine.retention.current.end_of(message, now_s)
                created_s = None if message is None else message.created_s
                order[_attachment(entry).key] = (
                    math.inf if end is None else end.at_s,
                    math.inf if created_s is None else created_s,
                )
        return states, order

    def _state(self, entry: Entry) -> str:
        try:
            if self._copy is not None and self._is_copied(self._copy, entry):
                return "present"
        except RcfsError:
            raise
        except Exception:  # noqa: BLE001, S110 - the file is tried again, and fails by itself
            pass
        if isinstance(entry.node, AttachmentFile) and self._engine.cache.contains(entry.node.key) != "yes":
            return "gone" if entry.node.purged else "missing"
        return "present" if self._copy is None else "local"

    def _is_copied(self, copy: Copy, entry: Entry) -> bool:
        former = self._former.get(entry.parts)
        if former is not None and self._is_former(copy, former, entry):
            self._to_rename[former] = entry
            return True
        digest, size_bytes = copy.digest(entry.parts), copy.size_of(entry.parts)
        if digest is None or size_bytes is None:
            return False
        node = entry.node
        if isinstance(node, TextFile):
            # A text may change, and making it costs less than reading the copy.
            data = node.content()
            as_it_was = size_bytes == len(data) and digest == sha256(data).hexdigest()
            return as_it_was and (not self._verify or copy.is_sound(entry.parts))
        known = _attachment(entry)
        if known.size_is_exact and not self._verify:
            return size_bytes == known.size_bytes
        return copy.is_sound(entry.parts)

    def _is_former(self, copy: Copy, former: Parts, entry: Entry) -> bool:
        """Whether the file at `former` has the bytes of `entry`, also when a killed run has renamed it."""
        there = former if copy.size_of(former) is not None else entry.parts
        known = _attachment(entry)
        if known.size_is_exact and copy.size_of(there) != known.size_bytes:
            return False
        return copy.is_sound(there, former)

    async def run(self, plan: Plan) -> None:
        """Does what is planned; failures of single files are collected in `progress`.

        When it is cancelled, nothing more is begun, what waits for a slot is given up, and requests that
        were sent go on: see `finish_sent`.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The copy cannot be written any more.
            PlatformError: The server fails all the time.
        """
        if self._copy is not None and self._to_rename:
            pairs = [(old, entry.parts) for old, entry in self._to_rename.items()]
            for old, error in await trio.to_thread.run_sync(self._copy.rename, pairs):
                self._fail(self._to_rename[tuple(old)], error)
        jobs = [_in_parallel(_FETCHERS, self._fetch_all, plan.missing)]
        if self._copy is not None:
            # Before anything is written: what lies beside its place then is of a run that was killed.
            await trio.to_thread.run_sync(_sweep_directories, self._copy, plan.entries)
            jobs.append(partial(self._make_all, self._copy, plan.entries))
            jobs.append(_in_parallel(_COPIERS, self._transfer_all, plan.local))
        await run_together(jobs)
        if self._copy is not None:
            await run_together([_in_parallel(_COPIERS, self._transfer_all, plan.copies)])
            await trio.to_thread.run_sync(_date_directories, self._copy, plan.entries)

    async def lost(self, plan: Plan) -> int:
        """How many of the contents that were to be fetched into the cache are not there now.

        Those that failed, or that are copied, are not counted.
        """
        if self._copy is not None:
            return 0
        failed = {failure.path for failure in self.progress.failures}
        keys = [_attachment(entry).key for entry in plan.missing if entry.path not in failed]
        contains = self._engine.cache.contains
        return await trio.to_thread.run_sync(lambda: sum(contains(key) != "yes" for key in keys))

    async def finish_sent(self, within_s: float) -> None:
        """After `run` was cancelled: waits for what was sent, for a short time; it goes into the cache."""
        with trio.move_on_after(within_s):
            await trio.lowlevel.checkpoint()
            for content in tuple(self._open):
                with suppress(Exception):
                    await content.wait_complete()
                    self.progress.fetched += 1

    async def _make_all(self, copy: Copy, entries: Sequence[Entry]) -> None:
        """Makes directories and links of the copy; a directory may be empty."""
        made = [entry for entry in entries if isinstance(entry.node, (Directory, Link))]
        for start in range(0, len(made), _LOOKED_UP_AT_ONCE):
            part = made[start : start + _LOOKED_UP_AT_ONCE]
            for entry, error in await trio.to_thread.run_sync(_make, copy, part):
                self._fail(entry, error)

    async def _fetch_all(self, entries: Iterator[Entry]) -> None:
        for entry in entries:
            await self._transfer(entry)
            self.progress.requests_left -= 1

    async def _transfer_all(self, entries: Iterator[Entry]) -> None:
        for entry in entries:
            await self._transfer(entry)

    async def _transfer(self, entry: Entry) -> None:
        """Brings one file to its place; what cannot be had is noted."""
        try:
            if isinstance(entry.node, TextFile):
                size_bytes = await self._write_text(entry, entry.node)
            else:
                size_bytes = await self._obtain(entry, _attachment(entry))
        except (AuthError, StoreError, UnreachableError):
            raise
        except Exception as exc:
            if not isinstance(exc, (RcfsError, OSError)):
                self._engine.recorder.crash("pull", exc)
            self._fail(entry, exc)
            # A refusal is about one file; a server that fails file after file is about all.
            self._failures_in_row += isinstance(exc, RcfsError) and exc.retryable
            if self._failures_in_row >= _MOST_FAILURES:
                raise
        else:
            self._failures_in_row = 0
            self.progress.files += 1
            self.progress.size_bytes += size_bytes
            self._on_done(entry, size_bytes)

    def _fail(self, entry: Entry, error: Exception) -> None:
        failure = Failure(entry.path, error)
        self.progress.failures.append(failure)
        self._on_failure(failure)

    async def _write_text(self, entry: Entry, node: TextFile) -> int:
        assert self._copy is not None  # noqa: S101 - texts are only ever copied
        data = await trio.to_thread.run_sync(node.content)
        if not data and node.size_bytes:
            raise NotFoundError("the message is gone")
        await trio.to_thread.run_sync(self._copy.write, entry.parts, node.times().mtime_s, data)
        return len(data)

    async def _obtain(self, entry: Entry, node: AttachmentFile) -> int:
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


def _is_closed(error: RcfsError) -> bool:
    """Whether the login may not read the mailbox of somebody else."""
    return isinstance(error, ForbiddenError) and error.code == _ANOTHERS


def _attachment(entry: Entry) -> AttachmentFile:
    assert isinstance(entry.node, AttachmentFile)  # noqa: S101 - the caller has chosen attachments
    return entry.node


def _make(copy: Copy, entries: Iterable[Entry]) -> list[tuple[Entry, Exception]]:
    """Makes directories and links of the copy; gives those that could not be made.

    Raises:
        StoreError: Nothing can be written any more.
    """
    failures = []
    for entry in entries:
        try:
            if isinstance(entry.node, Link):
                copy.link(entry.parts, entry.node.target)
            else:
                copy.make_directory(entry.parts)
        except RcfsError:
            raise
        except Exception as exc:  # noqa: BLE001 - one name must not end the pull
            failures.append((entry, exc))
    return failures


def _sweep_directories(copy: Copy, entries: Iterable[Entry]) -> None:
    """Removes what killed runs left behind; 30 µs for a directory."""
    copy.sweep(())
    for entry in entries:
        if isinstance(entry.node, Directory):
            copy.sweep(entry.parts)


def _date_directories(copy: Copy, entries: Sequence[Entry]) -> None:
    """Gives the directories their times: the inner ones first, as what is made in one changes its time."""
    for entry in reversed(entries):
        if isinstance(entry.node, Directory):
            copy.date_directory(entry.parts, entry.node.times().mtime_s)


def _in_parallel(
    count: int, work: Callable[[Iterator[T]], Awaitable[None]], items: Iterable[T]
) -> Callable[[], Awaitable[None]]:
    """A job: `count` tasks of `work` that share `items`."""
    shared = iter(items)
    return lambda: run_together([partial(work, shared)] * count)
