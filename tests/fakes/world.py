"""A simulated platform, and processes that mount its account: all in one event loop, in virtual time.

Processes share a state directory, die at any moment and start again. After each sync of a mailbox that was
not disturbed, what the process's kernel shows of it is compared with what the platform has.
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
from rcfs.mailbox import Shelving
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
"""The time of what has none."""
PLANS = {UsageGroup(name): Plan(limit=100_000) for name in ("auth", "light", "medium", "heavy")}
KINDS = ("SMS", "VoiceMail", "Fax", "Pager")


class Death(trio.abc.Instrument):
    """Kills a process when so many more steps were taken by any task.

    Work in a thread is part of a step here; `Process.die_at` kills in the middle of that.
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
    operations: Operations = attrs.field(init=False)
    kernel: Kernel = attrs.field(init=False)
    ended: trio.Event = attrs.field(factory=trio.Event)
    dying: trio.Event = attrs.field(factory=trio.Event)
    is_up: bool = False
    _life: Life = attrs.field(init=False)
    _cache: ContentCache = attrs.field(init=False)
    _logger: structlog.testing.CapturingLogger = attrs.field(factory=structlog.testing.CapturingLogger)
    _warnings: list[str] = attrs.field(factory=list)
    _complaints: list[object] = attrs.field(factory=list)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def __attrs_post_init__(self) -> None:
        self._life = Life(self.die)

    def die(self) -> None:
        """As kill -9.

        A task cannot be stopped without its `finally` blocks being run, which a killed process does not do.
        So from this moment on nothing that they do gets out of the process: nothing is sent, and the server
        sees that what was under way has ended; no database takes anything, each being left as SQLite leaves
        it (`Life.end`); the ledger knows that the process is dead, and hears no more of it; its claims are
        gone. What it says of its trouble with all that is not listened to.

        The cache's files beside its database are not watched: what a kill makes of them has tests of its own.
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
        """As `die`, when so many more SQL statements were run, be it in the middle of a transaction."""
        self._life.statements_left = statements

    def live_on(self) -> None:
        """What is told by `die_at` does not happen."""
        self._life.statements_left = None

    async def end(self) -> None:
        """As SIGTERM does it: in order."""
        self.is_up = False
        self._scope.cancel()
        await self.ended.wait()

    @property
    def _name(self) -> str:
        return f"process {id(self)}"

    def _all_complaints(self) -> list[object]:
        crashes = [call for call in self._logger.calls if call.method_name == "error"]
        return [*crashes, *self._warnings]

    async def ask(self, question: Callable[[], Awaitable[object]]) -> bool:
        """Whether the answer to `question` was no error, and came before this process died."""
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
        """Mounts, until it dies; an account that is not known and cannot be asked for is no mount."""
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
        """As `serve_mount` does it."""
        self.engine = engine
        root = build_root(engine.account.extensions, fallback_s=FALLBACK_S, searches=engine.searches)
        files = FileSystem(root, engine, Waits(), max_wait_s=300.0, render_live=_no_live_files)
        self.operations = operations = Operations(files)
        self.kernel = Kernel(operations)

        def served(listener: Any, *arguments: Any) -> None:
            with self.kernel.serving():
                listener(*arguments)

        shown = files.mailboxes
        engine.account.changes.subscribe(partial(served, shown.heard))
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
        """Whether nobody is killed any more."""
        self.compared = 0
        """How often a mailbox was compared."""
        self.shown = 0
        """How many paths these had."""
        self._directory = directory
        self.nursery = nursery
        """What ends with the world."""
        self._processes: list[Process] = []
        self._touched = 0
        # The trash of which a sync tells only tombstones shows what was known before.
        self._versions: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for extension in self.extensions:
            for message in self.account.mailbox(extension.id).newest_first():
                self._note(message)
        self.backend.messages.listen(lambda message, _is_new: self._note(message))

    @property
    def extensions(self) -> list[SimExtension]:
        """Those whose mailboxes are looked into."""
        return list(self.account.extensions[:2])

    @property
    def processes(self) -> list[Process]:
        """Those that are up."""
        return [process for process in self._processes if process.is_up]

    def calm_down(self) -> None:
        """From now on nobody is killed any more."""
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

    # What happens at the platform.

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

    # What a process shows.

    async def sync(self, process: Process, extension: SimExtension) -> bool:
        """Asks for news of a mailbox, and compares all of it with the platform; whether that was possible."""
        mailboxes = process.engine.account.mailboxes

        async def refresh_and_compare() -> None:
            # Whoever joins what is under way is told what was true when that began.
            if mailboxes.collections._entry(f"mailbox/{extension.id}").job is not None:
                await mailboxes.refresh(extension.id)
            touched = self._touched
            await mailboxes.refresh(extension.id)
            await wait_all_tasks_blocked()  # until the kernel was told
            if touched != self._touched or not knows_all():
                return
            try:
                await self.compare(process, extension)
            except AssertionError:
                if knows_all():
                    raise

        def knows_all() -> bool:
            """Whether no other process has heard of more, which this one is told with its next sync."""
            state = process.engine.index.reader.mailbox(process.engine.account.id, extension.id)
            return state is not None and state.revision == mailboxes._kind._revisions.get(extension.id)

        return await process.ask(refresh_and_compare)

    async def refresh_account(self, process: Process) -> bool:
        """Asks which extensions there are, and looks at their names; whether that was possible."""

        async def refresh_and_look() -> None:
            await process.engine.account.refresh()
            names = await process.kernel.names(())
            for extension in self.extensions:
                record = self.account.extension_record(extension.id, self.platform.endpoints.platform_url)
                assert f"{extension.number} {plain(record['name'])}" in names

        return await process.ask(refresh_and_look)

    async def compare(self, process: Process, extension: SimExtension) -> None:
        """What the process's kernel shows of a mailbox is what the platform has."""
        self._settle(extension)
        kernel = process.kernel
        known = next(e for e in process.engine.account.extensions if e.id == extension.id)
        own = json.loads(known.raw)
        top = (f"{own['extensionNumber']} {plain(own['name'])}",)
        # First what is remembered, and then everything: a listing would put right what was not told.
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
        """The bytes of an attachment are those of the platform."""
        top = (process.operations._files.root.name_of(extension.id) or "",)
        paths = [path for path in process.kernel.remembered(top) if path[-1].startswith("transcript")]
        if not paths:
            return
        path = paths[number % len(paths)]

        async def read_and_compare() -> None:
            try:
                message_id, attachment_id = (await process.kernel.look(path)).what
                data = await process.kernel.read_attachment(path)
            except pyfuse3.FUSEError:
                return  # It has gone, or cannot be had now.
            content = self.account.content(extension.id, message_id, attachment_id)
            assert content is None or data == content.read(0, content.size_bytes)

        await process.ask(read_and_compare)

    def may_say(self, message_id: int, text: bytes) -> bool:
        """Whether the record `text` was true of a message at some time, its being in the trash apart."""
        record = json.loads(text)
        return any(
            {**version, "availability": record["availability"]} == record
            for version in self._versions[message_id]
        )

    def _records(self, extension: SimExtension, found: Mapping[Path, Seen]) -> list[Mapping[str, Any]]:
        """The records of what is to be shown; in the trash that may be what was true before."""
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

    Of fewer than 20 messages none is written down: so nobody is named in one and nameless in another, and
    what a folder is called does not depend on which of them were there when it was made.
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
    """What tells two trees apart, in words."""
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
