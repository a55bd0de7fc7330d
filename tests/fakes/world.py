"""A simulated platform, and processes that mount its account: all in one event loop, in virtual time.

Processes share a state directory, die at any moment and start again. After each undisturbed sync of a
mailbox, the tree that the process's kernel shows of it is compared with the platform's records.
"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path as FilePath
from typing import Any

import attrs
import pyfuse3
import pytest
import structlog
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.engine import Engine, open_engine
from rcfs.errors import RcfsError
from rcfs.files import FileSystem, Waits
from rcfs.fuse._operations import Operations
from rcfs.mailbox import Change, MailboxChanged, Shelving
from rcfs.model import Plan, UsageGroup
from rcfs.platform import AllowedHosts, Client, Credentials
from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator.account._message_store import new_message
from rcfs.simulator.account._people import SimExtension
from rcfs.simulator.account._plan import ID_STEP, SimMessage
from rcfs.store import ContentCache, MailboxIndex, SizeIndex
from rcfs.transport import Recorder
from rcfs.tree import build_root, name_folder, shelve
from tests.fakes import mortal
from tests.fakes.expected_tree import expected, plain
from tests.fakes.in_memory import Line, Platform
from tests.fakes.kernel import Kernel, Path, Seen, install
from tests.fakes.ledgers import InMemory
from tests.fakes.mortal import Life
from tests.fakes.rig import run_inline

LATENCY_S = 0.1
FALLBACK_S = 1e9
"""Time of entries that have none of their own."""
PLANS = {UsageGroup(name): Plan(limit=100_000) for name in ("auth", "light", "medium", "heavy")}
KINDS = ("SMS", "VoiceMail", "Fax", "Pager")


class Death(trio.abc.Instrument):
    """Kills a process after a number of steps, by any task.

    Work in a thread is part of a step here; `Process.die_at` kills in the middle of such work.
    """

    def __init__(self, steps: int, process: "Process") -> None:
        self._steps = steps
        self._process = process

    def after_task_step(self, _task: trio.lowlevel.Task) -> None:
        self._steps -= 1
        if self._steps == 0 and not self._process.world.is_calm:
            self._process.die()


@attrs.define(eq=False)
class Process:
    """A process that mounts the account."""

    world: "World"
    directory: FilePath
    line: Line
    engine: Engine = attrs.field(init=False)
    files: FileSystem = attrs.field(init=False)
    operations: Operations = attrs.field(init=False)
    kernel: Kernel = attrs.field(init=False)
    ended: trio.Event = attrs.field(factory=trio.Event)
    dying: trio.Event = attrs.field(factory=trio.Event)
    is_up: bool = False
    heard: dict[int, int] = attrs.field(factory=dict)
    """Revision of each extension's mailbox when this process last heard of a change in it, or was mounted."""
    _life: Life = attrs.field(init=False)
    _cache: ContentCache = attrs.field(init=False)
    _logger: structlog.testing.CapturingLogger = attrs.field(factory=structlog.testing.CapturingLogger)
    _warnings: list[str] = attrs.field(factory=list)
    _complaints: list[object] = attrs.field(factory=list)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def __attrs_post_init__(self) -> None:
        self._life = Life(self.die)

    def die(self) -> None:
        """Die as with kill -9.

        A task cannot be stopped without its `finally` blocks, which a killed process does not run. So from
        this moment on nothing that they do leaves the process: it sends nothing, and the server sees the end
        of its connections; no database accepts anything, each being left as SQLite leaves it (`Life.end`);
        the ledger knows that the process is dead, and does not hear of it any more; its claims are gone.
        Errors that follow from this are ignored.

        The cache's files beside its database are not checked: other tests show what a kill makes of them.
        """
        if self.dying.is_set():
            return
        self.is_up = False
        self.dying.set()
        self._complaints = self._all_complaints()
        self.line.is_cut = True
        self._life.end()
        self._cache.claims.close()
        self.world.ledgers.kill(self._name, trio.current_time())
        self._scope.cancel()

    def die_at(self, statements: int) -> None:
        """Die as `die` does, after this number of SQL statements, even in the middle of a transaction."""
        self._life.statements_left = statements

    def live_on(self) -> None:
        """Cancel a `die_at` that has not happened."""
        self._life.statements_left = None

    async def end(self) -> None:
        """End in order, as with SIGTERM."""
        self.is_up = False
        self._scope.cancel()
        await self.ended.wait()

    def revision(self, extension_id: int) -> int:
        """Revision of a mailbox in the index, which every change by any process increases; 0 for none."""
        state = self.engine.index.reader.mailbox(self.engine.account.id, extension_id)
        return 0 if state is None else state.revision

    def _note(self, change: Change) -> None:
        if isinstance(change, MailboxChanged) and change.paths:
            self.heard[change.extension_id] = self.revision(change.extension_id)

    @property
    def _name(self) -> str:
        return f"process {id(self)}"

    def _all_complaints(self) -> list[object]:
        crashes = [call for call in self._logger.calls if call.method_name == "error"]
        return [*crashes, *self._warnings]

    async def ask(self, question: Callable[[], Awaitable[object]]) -> bool:
        """Whether `question` was answered without an error before this process died."""
        answered = False
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                await self.dying.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(give_up)
            try:
                await question()
                answered = self.is_up
            except RcfsError:
                pass
            except (AssertionError, pyfuse3.FUSEError):
                if not self.dying.is_set():
                    raise
            nursery.cancel_scope.cancel()
        return answered

    async def run(  # noqa: ASYNC114 - it is started in a nursery that outlasts it
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Mount until it dies; it does not mount if the account is unknown and cannot be fetched."""
        self._life.begin()
        try:
            with self._scope:
                async with self._opened() as engine:
                    await self._mount(engine)
                    task_status.started()
                    with self.kernel.serving():
                        await self.operations.invalidation.run()
        except RcfsError:
            assert not self.is_up
        except Exception:
            if not self.dying.is_set():
                raise
        finally:
            self.is_up = False
            self.ended.set()
        assert not self._complaints
        if not hasattr(self, "kernel"):
            task_status.started()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Engine]:
        world, endpoints = self.world, self.world.platform.endpoints
        warn = self._warnings.append
        self._cache = cache = ContentCache.open(
            self.directory / "cache", size_limit_bytes=1 << 30, free_floor_bytes=0, warn=warn
        )
        index = MailboxIndex.open(self.directory / "mailboxes.sqlite", warn)
        sizes = SizeIndex.open(self.directory / "sizes.sqlite", warn)
        try:
            async with open_engine(
                login="somebody",
                client=Client(
                    AllowedHosts(endpoints.platform_url, endpoints.media_url),
                    user_agent="rcfs/test",
                    transport=self.line,
                    clock=world.wall_s,
                    boot_clock=trio.current_time,
                ),
                credentials=Credentials(endpoints.client_id, endpoints.client_secret, endpoints.jwt),
                ledger=world.ledgers.open(self._name),
                cache=cache,
                index=index,
                sizes=sizes,
                shelving=Shelving(shelve, name_folder),
                recorder=Recorder(self._logger),
                wall_clock=world.wall_s,
            ) as engine:
                yield engine
        finally:
            for store in (cache, index, sizes):
                store.close()
            if not self.dying.is_set():
                self._complaints = self._all_complaints()

    async def _mount(self, engine: Engine) -> None:
        """Mount as `serve_mount` does."""
        self.engine = engine
        root = build_root(engine.account.extensions, fallback_s=FALLBACK_S, searches=engine.searches)
        self.files = files = FileSystem(root, engine, Waits(), max_wait_s=300.0, render_live=_no_live_files)
        self.operations = operations = Operations(files, keep_listings=True)
        self.kernel = Kernel(operations)

        def served(listener: Any, *arguments: Any) -> None:
            with self.kernel.serving():
                listener(*arguments)

        shown = files.collections
        engine.account.changes.subscribe(self._note)
        engine.account.changes.subscribe(partial(served, shown.heard))
        self.heard = {extension.id: self.revision(extension.id) for extension in self.world.extensions}
        served(shown.extensions_changed)
        self.is_up = True
        await trio.lowlevel.checkpoint()


async def _no_live_files(_topic: str) -> str:  # noqa: ASYNC124 - the mount's are asynchronous
    raise AssertionError("nobody asks for those")


class World:
    """The platform and the processes; see `open_world`."""

    def __init__(self, platform: Platform, directory: FilePath, nursery: trio.Nursery) -> None:
        self.platform = platform
        self.backend = platform.backend
        self.account = platform.simulator.account
        self.ledgers = InMemory(PLANS, directory)
        self.skew_s = 0.0
        """This machine's clock minus the platform's."""
        self.is_calm = False
        """Whether processes are no longer killed."""
        self.compared = 0
        """Number of comparisons of a mailbox."""
        self.shown = 0
        """Number of paths in these."""
        self._directory = directory
        self.nursery = nursery
        """Holds the tasks that end with the world."""
        self._processes: list[Process] = []
        self._touched = 0
        # A sync reports only tombstones of messages in the trash, so the tree shows what it knew before.
        self._versions: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for extension in self.extensions:
            for message in self.account.mailbox(extension.id).newest_first():
                self._note(message)
        self.backend.messages.listen(lambda message, _is_new: self._note(message))

    @property
    def extensions(self) -> list[SimExtension]:
        """The extensions whose mailboxes are compared."""
        return list(self.account.extensions[:2])

    @property
    def processes(self) -> list[Process]:
        """The processes that are up."""
        return [process for process in self._processes if process.is_up]

    def calm_down(self) -> None:
        """Kill no process from now on."""
        self.is_calm = True
        for process in self.processes:
            process.live_on()

    def wall_s(self) -> float:
        """This machine's clock."""
        return self.platform.now_s + self.skew_s

    async def start(self) -> Process:
        """Another process with the same state directory."""
        process = Process(self, self._directory, Line(self.platform))
        self._processes.append(process)
        await self.nursery.start(process.run)
        return process

    # Changes at the platform.

    def arrive(self, extension: SimExtension, kind: str, direction: str = "Inbound") -> None:
        now_s = self._settle(extension)
        message = new_message(self.account, extension.id, kind, direction, now_s)
        message.thread, message.contact = message.id, message.id // ID_STEP % 5
        self.backend.messages.arrive(message)

    def mark(self, extension: SimExtension, number: int, status: str) -> None:
        now_s = self._settle(extension)
        if message := self._pick(extension, number, "Alive"):
            self.backend.messages.mark(message, status, now_s)

    def delete(self, extension: SimExtension, number: int, *, purge: bool = False) -> None:
        now_s = self._settle(extension)
        if message := self._pick(extension, number, "Alive"):
            self.backend.messages.delete(message, now_s, purge=purge)

    def empty_trash(self, extension: SimExtension, number: int) -> None:
        now_s = self._settle(extension)
        if message := self._pick(extension, number, "Deleted"):
            self.backend.messages.delete(message, now_s)

    def restore(self, extension: SimExtension, number: int) -> None:
        now_s = self._settle(extension)
        if message := self._pick(extension, number, "Deleted"):
            self.backend.messages.restore(message, now_s)

    def rename(self, extension: SimExtension, name: str) -> None:
        self.account.rename(extension.id, name)

    def refuse_tokens(self) -> None:
        self.backend.store_rules.sync_tokens_since_s = self.platform.now_s

    # Checks of a process.

    async def sync(self, process: Process, extension: SimExtension) -> bool:
        """Sync a mailbox and compare all of it with the platform; returns whether that was possible."""
        mailboxes = process.engine.account.mailboxes

        async def refresh_and_compare() -> None:
            # The first call may join a running sync, whose answer is older than this moment.
            await mailboxes.refresh(extension.id)
            touched = self._touched
            await mailboxes.refresh(extension.id)
            await wait_all_tasks_blocked()  # until the kernel has been notified
            if touched != self._touched or not knows_all():
                return
            try:
                await self.compare(process, extension)
            except AssertionError:
                if knows_all():
                    raise

        def knows_all() -> bool:
            """Whether no other process knows more; this one would learn it only with its next sync."""
            return process.revision(extension.id) == process.heard[extension.id]

        return await process.ask(refresh_and_compare)

    async def refresh_account(self, process: Process) -> bool:
        """Sync the list of extensions and look at their names; returns whether that was possible."""

        async def refresh_and_look() -> None:
            await process.engine.account.refresh()
            names = await process.kernel.names(())
            for extension in self.extensions:
                record = self.account.extension_record(extension.id, self.platform.endpoints.platform_url)
                assert f"{extension.number} {plain(record['name'])}" in names

        return await process.ask(refresh_and_look)

    async def compare(self, process: Process, extension: SimExtension) -> None:
        """Check that the process's kernel shows the mailbox as the platform has it."""
        self._settle(extension)
        kernel = process.kernel
        known = next(e for e in process.engine.account.extensions if e.id == extension.id)
        own = json.loads(known.raw)
        top = (f"{own['extensionNumber']} {plain(own['name'])}",)
        # First the cached part, then everything: a listing would correct what was not invalidated.
        remembered: dict[Path, Seen] = {}
        for path in kernel.remembered(top):
            try:
                remembered[path[1:]] = await kernel.look(path)
            except pyfuse3.FUSEError as exc:
                raise AssertionError(f"{path} is still known to the kernel: {exc}") from exc
        found = {path[1:]: seen for path, seen in (await kernel.tree(top)).items()}
        wanted = expected(self._records(extension, found), own, fallback_s=FALLBACK_S, own_s=known.seen_s)
        assert found == wanted, difference(found, wanted)
        stale = {path: seen for path, seen in remembered.items() if wanted.get(path) != seen}
        assert not stale, difference(stale, {path: wanted.get(path) for path in stale})
        for path, seen in found.items():
            if isinstance(seen.what, str):
                assert _resolved(path, seen.what) in found, f"{path} points to nothing"
        self.compared += 1
        self.shown += len(found)

    async def read(self, process: Process, extension: SimExtension, number: int) -> None:
        """Check that the bytes of an attachment are those of the platform."""
        top = (process.files.root.name_of(extension.id) or "",)
        paths = [path for path in process.kernel.remembered(top) if path[-1].startswith("transcript")]
        if not paths:
            return
        path = paths[number % len(paths)]

        async def read_and_compare() -> None:
            try:
                message_id, attachment_id = (await process.kernel.look(path)).what
                data = await process.kernel.read_attachment(path)
            except pyfuse3.FUSEError:
                return  # It has gone, or cannot be fetched now.
            content = self.account.content(extension.id, message_id, attachment_id)
            assert content is None or data == content.read(0, content.size_bytes)

        await process.ask(read_and_compare)

    def may_say(self, message_id: int, text: bytes) -> bool:
        """Whether the record `text` was true of a message at some time, apart from its being in the trash."""
        record = json.loads(text)
        return any(
            {**version, "availability": record["availability"]} == record
            for version in self._versions[message_id]
        )

    def _records(self, extension: SimExtension, found: Mapping[Path, Seen]) -> list[Mapping[str, Any]]:
        """The records to be shown; for messages in the trash, possibly earlier ones."""
        thrown = {}
        for path, seen in found.items():
            if path[0] == "Trash" and path[-1] == "message.json":
                record = json.loads(seen.what)
                thrown[record["id"]] = record
        records = []
        for message in self.account.mailbox(extension.id).newest_first():
            if message.availability == "Alive":
                records.append(self._record(message))
            elif message.availability == "Deleted":
                versions = [{**version, "availability": "Deleted"} for version in self._versions[message.id]]
                shown = thrown.get(message.id)
                records.append(shown if shown in versions else versions[-1])
        return records

    def _record(self, message: SimMessage) -> Mapping[str, Any]:
        endpoints = self.platform.endpoints
        return self.account.record(message, endpoints.platform_url, endpoints.media_url)

    def _note(self, message: SimMessage) -> None:
        self._touched += 1
        self._versions[message.id].append(self._record(message))

    def _settle(self, extension: SimExtension) -> float:
        now_s = self.platform.now_s
        self.backend.messages.settle(extension.id, now_s)
        return now_s

    def _pick(self, extension: SimExtension, number: int, availability: str) -> SimMessage | None:
        mailbox = self.account.mailbox(extension.id)
        found = [message for message in mailbox.newest_first() if message.availability == availability]
        return found[number % len(found)] if found else None


@asynccontextmanager
async def open_world(
    directory: FilePath, *, messages: int = 19, page_messages: int = 1000
) -> AsyncIterator[World]:
    """A world whose processes keep their state in `directory`.

    Accounts of fewer than 20 messages have no fixtures. So no party has a name in one message and none in
    another, and the name of a folder does not depend on the messages that were there when it was made.
    """
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with trio.open_nursery() as nursery:
            config = SimulatorConfig(AccountSpec(messages=messages, months=2), PLANS, latency_s=LATENCY_S)
            platform = Platform(config, nursery, page_messages=page_messages)
            world = World(platform, directory, nursery)
            install(monkeypatch)
            mortal.install(monkeypatch)
            monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)
            yield world
            for process in world.processes:
                process.die()
                await process.ended.wait()
            nursery.cancel_scope.cancel()


def difference(found: Mapping[Path, Any], wanted: Mapping[Path, Any]) -> str:
    """The differences between two trees, in words."""
    lines = [f"not there: {path}" for path in wanted if path not in found]
    lines += [f"too much: {path}" for path in found if path not in wanted]
    lines += [
        f"{path}: {found[path]} instead of {wanted[path]}"
        for path in found
        if path in wanted and found[path] != wanted[path]
    ]
    return "\n" + "\n".join(lines[:12])


def _resolved(path: Path, target: str) -> Path:
    place = list(path[:-1])
    for part in target.split("/"):
        if part == "..":
            place.pop()
        else:
            place.append(part)
    return tuple(place)
