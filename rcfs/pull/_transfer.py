"""Brings files to their places: contents into the cache and the copy, texts into the copy.

Concurrency: all methods run in the trio thread, and send disk work to worker threads. Each content is asked
for once, whatever becomes of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import attrs
import trio

from rcfs.content import Content
from rcfs.engine import Engine
from rcfs.errors import AuthError, NotFoundError, RcfsError, StoreError, UnreachableError
from rcfs.model import CHUNK_BYTES, AttachmentKey, ContentKey, Priority, UsageGroup
from rcfs.pull._copy import Copy
from rcfs.pull._forecast import Forecast
from rcfs.pull._needs import Parts
from rcfs.pull._survey import Failure
from rcfs.pull._todo import Step, Todo
from rcfs.pull._walk import Item, find
from rcfs.tree import ContentFile, Root, TextFile

PROGRAM = "rcfs pull"
"""The name of the program in the record of fetches."""
_MOST_FAILURES = 20
"""Failures of the server in a row that end a pull: each has been repeated five times, so this is an outage of
several minutes, and every further one costs requests."""


@attrs.define
class Progress:
    """How far a pull is; changes while it runs."""

    files: int = 0
    """Files that are at their places."""
    size_bytes: int = 0
    """Size of the files that this run fetched or copied."""
    fetched: int = 0
    """Contents that this run fetched."""
    failures: list[Failure] = attrs.field(factory=list)
    """Files and mailboxes that could not be pulled."""
    left: Counter[UsageGroup] = attrs.field(factory=Counter)
    """Contents that are still to be fetched, by the usage plan group of their requests."""
    expected: int = 0
    """Contents that are to come in the archives of exports."""
    exported: int = 0
    """Contents that have come in archives."""
    archives: int = 0
    """Archives that were read."""
    waits_for: int = 0
    """Exports that are still to come."""
    parts_done: int | None = None
    """Parts of the account that all machines together have done; None if this pull has not joined others."""
    parts_left: int = 0
    """Parts that this pull still waits for, because it or another machine works on them, or nobody yet."""
    elsewhere: int = 0
    """Files that other machines have brought meanwhile."""

    @property
    def requests_left(self) -> int:
        """Contents that are still to be fetched."""
        return self.left.total()


class Transfer:
    """The work of one pull on single files, and its progress."""

    def __init__(
        self,
        engine: Engine,
        copy: Copy | None,
        on_done: Callable[[Item, int], None],
        on_failure: Callable[[Failure], None],
    ) -> None:
        """See `Pull`."""
        self._engine = engine
        self._copy = copy
        self._on_done = on_done
        self._on_failure = on_failure
        self._failures_in_row = 0
        self._asked: dict[Content, UsageGroup] = {}
        """Contents that were not cached when this pull asked for them, and have not come yet."""
        self._forecast = Forecast(engine.budget)
        self.progress = Progress()
        """How far the pull is."""

    def left_s(self) -> float:
        """Seconds until the last content comes; see `Forecast`."""
        return self._forecast.left_s(self.progress.left, Counter(self._asked.values()))

    def interval_s(self, group: UsageGroup) -> float:
        """See `Budget.interval_s`."""
        return self._engine.budget.interval_s(group)

    async def fetch_all(self, root: Root, steps: Iterator[Step]) -> None:
        """Brings the contents of `steps`, each of which costs a request; several tasks may share `steps`.

        Raises:
            AuthError: The credentials are refused.
            StoreError: The disk of the copy fails.
            PlatformError: The server fails for one file after the other.
        """
        for step in steps:
            await self._bring(root, step)
            if step.key is not None:
                self.progress.left[step.key.group] -= 1

    async def take_exported(self, root: Root, todo: Todo, key: ContentKey, size_bytes: int) -> None:
        """Brings a content that an archive has brought into the cache, if the pull wants it.

        Raises: See `fetch_all`.
        """
        step = await trio.to_thread.run_sync(todo.arrived, key)
        if step is None:
            return
        if self._copy is None:
            node = root.content_file(key)
            self.progress.files += 1
            self.progress.size_bytes += size_bytes
            if node is not None:
                self._on_done(Item(step.parts, node), size_bytes)
        else:
            await self._bring(root, step)
        self.progress.exported += 1
        self.progress.expected -= 1

    async def copy_all(self, root: Root, steps: Iterator[Step]) -> None:
        """Brings the texts and cached contents of `steps`, in the same way."""
        for step in steps:
            await self._bring(root, step)

    async def finish_asked(self) -> None:
        """Waits for the contents whose requests were sent; they go into the cache."""
        for content in tuple(self._asked):
            with suppress(Exception):
                await content.wait_complete()
                self.progress.fetched += 1

    def fail(self, path: str, error: Exception) -> None:
        """Notes a failure."""
        failure = Failure(path, error)
        self.progress.failures.append(failure)
        self._on_failure(failure)

    async def _bring(self, root: Root, step: Step) -> None:
        path = "/".join(step.parts)
        try:
            if step.key is None:
                item, size_bytes = await trio.to_thread.run_sync(self._write_text, root, step.parts)
            else:
                node = root.content_file(step.key)
                if node is None:
                    what = "message" if isinstance(step.key, AttachmentKey) else "recording or greeting"
                    raise NotFoundError(f"the {what} is gone")
                item = Item(step.parts, node)
                size_bytes = await self._obtain(item, node)
        except (AuthError, StoreError, UnreachableError):
            raise
        except Exception as exc:
            if not isinstance(exc, (RcfsError, OSError)):
                self._engine.recorder.crash("pull", exc)
            self.fail(path, exc)
            # A refusal concerns one file, but a server that fails for file after file fails for all.
            self._failures_in_row += isinstance(exc, RcfsError) and exc.retryable
            if self._failures_in_row >= _MOST_FAILURES:
                raise
        else:
            self._failures_in_row = 0
            self.progress.files += 1
            self.progress.size_bytes += size_bytes
            self._on_done(item, size_bytes)

    def _write_text(self, root: Root, parts: Parts) -> tuple[Item, int]:
        """Copies a text, and returns it and its size in bytes; for worker threads."""
        assert self._copy is not None  # noqa: S101 - only a copy has texts
        node = find(root, parts)
        if not isinstance(node, TextFile):
            raise NotFoundError("the message is gone")
        size_bytes = self._copy.write_pieces(parts, node.times().mtime_s, _pieces(node))
        return Item(parts, node), size_bytes

    async def _obtain(self, item: Item, node: ContentFile) -> int:
        """Brings a content into the cache and the copy, if there is one; returns its size in bytes."""
        library = self._engine.library
        content = await library.look(node.wanted())
        library.fetch(content, Priority.BULK, PROGRAM)
        if not content.complete:
            self._asked[content] = node.key.group
        try:
            await content.wait_complete()
            if self._asked.pop(content, None) is not None:
                self.progress.fetched += 1
                self._forecast.note_arrival(node.key.group)
            assert content.size_bytes is not None  # noqa: S101 - a complete content knows its size
            if self._copy is not None:
                await self._write(self._copy, item.parts, node.times().mtime_s, content)
            return content.size_bytes
        except RcfsError:
            self._asked.pop(content, None)
            raise
        finally:
            library.release(content)

    async def _write(self, copy: Copy, parts: Parts, mtime_s: float, content: Content) -> None:
        """Copies a complete content: a small one in one step, a large one piece by piece."""
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
        NotFoundError: Its source is gone, so the text would be empty.
    """
    is_empty = True
    for piece in node.pieces():
        is_empty = is_empty and not piece
        yield piece
    if is_empty and node.size_bytes and node.size_is_exact:
        raise NotFoundError("the message is gone")
