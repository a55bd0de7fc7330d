"""Engines that show the calls of the simulated account: all in one event loop, in virtual time."""

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import structlog
import trio

from rcfs.engine import Engine, open_engine
from rcfs.filenames import StateFiles
from rcfs.mailbox import CallsChanged, CallShelving, CallsLoaded, Change, Shelving
from rcfs.model import PRIOR_PLANS, Call, ChangeRules, RecordingRow, call_from
from rcfs.platform import AllowedHosts, Client, Credentials
from rcfs.platform._client import SocketOpener
from rcfs.platform._socket import open_socket
from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator._journal import Entry
from rcfs.simulator.account import _call_plan
from rcfs.simulator.account._call_values import APPEARS_S, RECORDING_APPEARS_S, SimCall
from rcfs.simulator.account._calls import NewLeg
from rcfs.simulator.account._people import Contact
from rcfs.store import ContentCache, ExportBook, FetchHistory, MailboxIndex, OutboxBook, SizeIndex
from rcfs.transport import PoolLogin, Recorder
from rcfs.tree import name_folder, shelve, shelve_call, shown_extensions
from tests.fakes.in_memory import Line, Platform
from tests.fakes.ledgers import InMemory
from tests.fakes.mortal import Life

END_S = 1_795_176_000.0
"""Present of the simulated account when it starts: 2026-11-20T12:00:00Z."""
NOW, BEFORE = "2026-11", "2026-10"
"""The present month of the account, and the one before."""
MEETING_S = (300, 400)
"""Length of the longest calls: with recordings of 5 MB and not 70, which take a second of CPU to read."""
SHELVING = Shelving(shelve, name_folder, calls=CallShelving(shelve_call, shown_extensions))


@attrs.define(eq=False)
class CallRig:
    """A running engine."""

    world: "CallWorld"
    engine: Engine
    line: Line
    logged: list[structlog.testing.CapturedCall]
    """The events that the engine has logged."""
    heard: list[Change] = attrs.field(factory=list)
    """The events since the start."""

    def lines(self, owner: int, month: str = NOW) -> list[str]:
        """The lines of a call log as CSV; it must be loaded."""
        catalogue = self.engine.account.calls.catalogue
        assert catalogue.is_loaded(owner, month)
        return list(catalogue.lines(owner, month))

    def calls(self, owner: int, month: str = NOW) -> dict[str, Call]:
        """The calls of a log by id."""
        catalogue = self.engine.account.calls.catalogue
        assert catalogue.is_loaded(owner, month)
        calls = (call_from(json.loads(raw)) for raw in catalogue.records(owner, month))
        return {call.id: call for call in calls if call is not None}

    def recordings(self, owner: int, month: str = NOW) -> list[RecordingRow]:
        """The recordings that an owner shows in a month."""
        return self.engine.account.calls.catalogue.recordings(owner, month, 0, 100_000)

    async def open(self, owner: int, month: str = NOW) -> None:
        """Look into a month, as a person's first `ls` does."""
        await self.engine.account.open_collection(f"calls/{owner or 'company'}/{month}")

    def visit(self, owner: int, month: str = NOW) -> None:
        """Look into a month that is shown."""
        self.engine.account.visit(f"calls/{owner or 'company'}/{month}")

    async def watch(self, owner: int, time_s: float, month: str = NOW) -> None:
        """Look into a month every minute for `time_s`."""
        end_s = trio.current_time() + time_s
        while trio.current_time() < end_s:
            self.visit(owner, month)
            await trio.sleep(60)

    def changed(self, owner: int) -> set[tuple[str, ...]]:
        """The paths of an owner that have changed since the start or the last call."""
        found = [each for each in self.heard if isinstance(each, CallsChanged) and each.owner == owner]
        self.heard = [each for each in self.heard if each not in found]
        return {path for each in found for path in each.paths}

    @property
    def loaded(self) -> list[tuple[int, str]]:
        """(owner, month) of the logs that were loaded since the start."""
        return [(each.owner, each.month) for each in self.heard if isinstance(each, CallsLoaded)]


class CallWorld:
    """The platform, and engines that share a state directory."""

    def __init__(self, platform: Platform, directory: Path) -> None:
        self.platform = platform
        self.backend = platform.backend
        self.extensions = [each.id for each in self.backend.account.extensions if each.type == "User"]
        """Ids of the users; the first is the administrator's."""
        self._directory = directory
        self.ledgers = InMemory(dict(PRIOR_PLANS), directory)
        """The ledgers of the processes, which are called ``process 1`` and so on."""
        self.more_ledgers: dict[int, InMemory] = {}
        """The same for each further login of the platform, counted from 0."""
        self.saved: dict[str, Credentials] = {}
        """Credentials that were saved since for the logins of the pool."""
        self.started = 0
        """Number of processes that were started."""

    @property
    def now_s(self) -> float:
        """The account's time."""
        return self.platform.now_s

    def sent(self, *operations: str, since: int = 0) -> list[Entry]:
        """The requests of these operations after number `since`."""
        return [
            each
            for each in self.platform.simulator.journal.entries(since=since)
            if each.operation in operations
        ]

    def heavy(self, since: int = 0) -> list[Entry]:
        """The requests that counted for the Heavy group."""
        return self.platform.simulator.journal.entries(since=since, group="heavy")

    def mark(self) -> int:
        """The number of the latest request."""
        entries = self.platform.simulator.journal.entries()
        return entries[-1].seq if entries else 0

    def truth(self, extension_id: int | None, month: str = NOW) -> dict[str, SimCall]:
        """The calls of a month that the platform tells now, by id."""
        calls = self.backend.calls.calls(extension_id, self.now_s)
        logs = self.backend.call_logs
        return {
            call.id: call for call in calls if _month(call.start_s) == month and logs.deleted_s(call) is None
        }

    def call(self, *extension_ids: int, duration_s: int = 60, number: str = "+12125557464") -> SimCall:
        """A call of some extensions that ends now; it is recorded."""
        made = self.backend.calls.add(
            [NewLeg(each, duration_s) for each in extension_ids],
            self.now_s,
            direction="Inbound",
            other=Contact("Bob Ray", number, "New York, NY"),
            log_after_s=APPEARS_S,
            recording_after_s=RECORDING_APPEARS_S,
        )
        self.backend.notify_of_call(made)
        return made

    def _pool_login(self, number: int, process: str) -> PoolLogin:
        given = self.platform.endpoints.more[number]
        plans = {**self.ledgers.plans, **self.platform.simulator.config.more_logins[number].plans}
        ledgers = self.more_ledgers.setdefault(number, InMemory(plans, self._directory))
        return PoolLogin(
            f"login {number + 2}",
            Credentials(given.client_id, given.client_secret, given.jwt),
            ledgers.open(process),
            reload=lambda: self.saved.get(f"login {number + 2}"),
        )

    @asynccontextmanager
    async def engine(
        self,
        *,
        offline: bool = False,
        sockets: SocketOpener = open_socket,
        life: Life | None = None,
        may_warn: bool = False,
        ahead_s: float = 0.0,
        exports: bool = False,
        rules: ChangeRules | None = None,
        outbox: bool = False,
        cache_bytes: int = 1 << 30,
        pool: bool = False,
        jwt: str = "",
        history: FetchHistory | None = None,
    ) -> AsyncIterator[CallRig]:
        """Another process with the same state directory; fails at the end on unexpected errors.

        With `life`, it may die as with SIGKILL, see `tests.fakes.mortal`. With `may_warn`, it may complain
        about its databases. The clock of its machine is `ahead_s` ahead of the platform's. With `exports`,
        it keeps exports; with `outbox` what is to be sent, and with `rules` also what is to be changed. Its
        cache holds `cache_bytes`. With `pool`, it fetches with all further logins of the platform as well,
        which are called ``login 2`` and so on. With `jwt`, it logs in with that; `history` gets its
        fetches.
        """
        if life is not None:
            life.begin()
        self.started += 1
        name, logger = f"process {self.started}", structlog.testing.CapturingLogger()
        warnings: list[str] = []
        recorder = Recorder(logger, lambda: self.now_s)
        line, endpoints = Line(self.platform), self.platform.endpoints
        with ExitStack() as stack:
            cache = stack.enter_context(
                closing(
                    ContentCache.open(
                        self._directory / "cache",
                        size_limit_bytes=cache_bytes,
                        free_floor_bytes=0,
                        warn=warnings.append,
                    )
                )
            )
            index = stack.enter_context(
                closing(MailboxIndex.open(self._directory / "mailboxes.sqlite", warnings.append))
            )
            sizes = stack.enter_context(
                closing(SizeIndex.open(self._directory / "sizes.sqlite", warnings.append))
            )
            book = None
            if exports:
                book = stack.enter_context(
                    closing(ExportBook.open(StateFiles(self._directory), warnings.append))
                )
            outbox_book = None
            if outbox or rules is not None:
                outbox_book = stack.enter_context(
                    closing(OutboxBook.open(StateFiles(self._directory), warnings.append))
                )
            async with open_engine(
                login="somebody",
                client=Client(
                    AllowedHosts(endpoints.platform_url, endpoints.media_url),
                    user_agent="rcfs/test",
                    transport=line,
                    sockets=sockets,
                    clock=lambda: self.now_s + ahead_s,
                    boot_clock=trio.current_time,
                ),
                credentials=Credentials(endpoints.client_id, endpoints.client_secret, jwt or endpoints.jwt),
                ledger=self.ledgers.open(name),
                pool=[self._pool_login(number, name) for number in range(len(endpoints.more) if pool else 0)],
                cache=cache,
                index=index,
                sizes=sizes,
                shelving=SHELVING,
                recorder=recorder,
                wall_clock=lambda: self.now_s + ahead_s,
                offline=offline,
                export_book=book,
                outbox_book=outbox_book,
                rules=rules or ChangeRules(),
                history=history,
            ) as engine:
                rig = CallRig(self, engine, line, logger.calls)
                engine.account.changes.subscribe(rig.heard.append)
                yield rig
        if life is not None and life.is_over:
            return
        assert may_warn or warnings == []
        assert [call for call in logger.calls if call.method_name == "error"] == []


def _month(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m")


@asynccontextmanager
async def open_calls(
    directory: Path, *, page_calls: int = 1000, page_messages: int = 1000, **config: Any
) -> AsyncIterator[CallWorld]:
    """A world with the simulated account; `config` as in `SimulatorConfig`. No request is one too many."""
    options: dict[str, Any] = {"spec": AccountSpec(messages=200, months=2), "latency_s": 0.1} | config
    with mock.patch.object(_call_plan, "_LARGE_S", MEETING_S):
        async with _open_calls(SimulatorConfig(**options), directory, page_calls, page_messages) as world:
            yield world


@asynccontextmanager
async def _open_calls(
    config: SimulatorConfig, directory: Path, page_calls: int, page_messages: int
) -> AsyncIterator[CallWorld]:
    async with trio.open_nursery() as nursery:
        platform = Platform(config, nursery, page_calls=page_calls, page_messages=page_messages)
        try:
            yield CallWorld(platform, directory)
        finally:
            platform.backend.reports.close()
            platform.backend.team_exports.close()
        entries = platform.simulator.journal.entries()
        limited = [each for each in entries if each.status == 429 and not each.fault]
        assert limited == []
        nursery.cancel_scope.cancel()
