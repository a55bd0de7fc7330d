"""Loads the call log of a large account in virtual time, with the simulator in the same process.

Run as a program: ``python -m bench._calls_load FOLDER CALLS USERS``. It leaves the index in FOLDER, and
prints a `Loaded` as JSON. Its peak memory is that of rcfs and the simulator together.
"""

import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import TypeVar, TypeVarTuple
from unittest.mock import patch
from warnings import warn

import attrs
import structlog
import trio
from trio.testing import MockClock

from bench._peers import CREDENTIAL
from rcfs.engine import Engine, open_engine
from rcfs.engine_status import mount_status
from rcfs.mailbox import CallShelving, Shelving
from rcfs.model import COMPANY, HEAVY, PRIOR_PLANS, login_digest
from rcfs.platform import AllowedHosts, Client, Credentials
from rcfs.quota import Ledger, MemoryHome
from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator._exchange import PLATFORM
from rcfs.status import ReadersStatus, render_status
from rcfs.store import ContentCache, MailboxIndex, SizeIndex
from rcfs.transport import Recorder
from rcfs.tree import PURGED, SHELVING_EDITION, name_folder, shelve, shelve_call, shown_extensions
from tests.fakes.in_memory import URLS, Line, Platform

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NOW, BEFORE = "2026-11", "2026-10"
"""The months of the simulated account in which it has calls: its present is 2026-11-20T12:00:00Z."""
PLATFORM_URL = URLS[PLATFORM]
"""The server of the login whose index it is; nothing listens there."""
DAYS = 30
"""Days before its present on which there were calls."""
_LATENCY_S = 0.1
_LOOKS_S = 3600.0
"""Time for which somebody looks at the log afterwards, once a minute."""
_LOOK_EVERY_S = 60.0
_SAY_EVERY_S = 600.0


@attrs.frozen
class Month:
    """The first look into a month."""

    month: str
    """Its name."""
    calls: int
    """Calls that were loaded."""
    requests: int
    """Heavy requests."""
    seconds: float
    """Its time on the account's clock."""
    share: float
    """Share of the Heavy budget that it used in this time, 0 to 1."""
    taken_s: float
    """Time on the clock of the machine, with the simulator's."""


@attrs.frozen
class Loaded:
    """The whole run."""

    months: tuple[Month, ...]
    """In the order of loading."""
    extensions: int
    """Extensions of the account."""
    refused: int
    """Requests that were one too many (429)."""
    looked_s: float
    """Time for which somebody looked afterwards."""
    look_requests: int
    """Heavy requests in that time."""
    idle_bytes: int
    """Memory of the process before rcfs started in it: the simulator's."""
    index_bytes: int
    """Size of the index on the disk."""
    status: str
    """The text of the status then."""


async def load(folder: Path, per_day: int, users: int) -> Loaded:
    """Loads the two months of an account with these calls a day; see `Loaded`."""
    config = SimulatorConfig(
        AccountSpec(messages=0, extensions=users),
        calls_per_day=per_day,
        call_days=DAYS,
        latency_s=_LATENCY_S,
    )
    async with trio.open_nursery() as nursery:
        platform = Platform(config, nursery)
        idle_bytes = _resident_bytes()
        async with _engine(platform, folder) as engine, trio.open_nursery() as telling:
            telling.start_soon(_tell, engine)
            months = [await _first_look(platform, engine, month) for month in (NOW, BEFORE)]
            before = len(platform.simulator.journal.entries(group="heavy"))
            await _look(engine)
            look_requests = len(platform.simulator.journal.entries(group="heavy")) - before
            status = await mount_status(engine, folder, engine.wall_clock(), ReadersStatus(0, 0))
            telling.cancel_scope.cancel()
        entries = platform.simulator.journal.entries()
        nursery.cancel_scope.cancel()
    return Loaded(
        tuple(months),
        len(platform.backend.account.extensions),
        sum(entry.status == 429 for entry in entries),
        _LOOKS_S,
        look_requests,
        idle_bytes,
        (folder / "mailboxes.sqlite").stat().st_size,
        render_status(status),
    )


async def _first_look(platform: Platform, engine: Engine, month: str) -> Month:
    journal = platform.simulator.journal
    before, began_s, began = len(journal.entries(group="heavy")), trio.current_time(), time.perf_counter()
    await engine.account.open_collection(f"calls/company/{month}")
    seconds = trio.current_time() - began_s
    requests = len(journal.entries(group="heavy")) - before
    plan = PRIOR_PLANS[HEAVY]
    state = engine.account.calls.catalogue.month(COMPANY, month)
    return Month(
        month,
        0 if state is None else state.calls,
        requests,
        seconds,
        requests / (plan.limit * (seconds // plan.window_s + 1)),
        time.perf_counter() - began,
    )


async def _look(engine: Engine) -> None:
    """Looks at the newest month for a while, as somebody does who has its folder open."""
    end_s = trio.current_time() + _LOOKS_S
    while trio.current_time() < end_s:
        engine.account.visit(f"calls/company/{NOW}")
        await trio.sleep(_LOOK_EVERY_S)


async def _tell(engine: Engine) -> None:
    while True:
        for collection_id, progress in engine.account.calls.loads():
            sys.stderr.write(
                f"{collection_id}: {progress.records:,} of {progress.of_records or 0:,} calls,"
                f" {_resident_bytes() / 1e6:.0f} MB\n"
            )
        await trio.sleep(_SAY_EVERY_S)


@asynccontextmanager
async def _engine(platform: Platform, folder: Path) -> AsyncIterator[Engine]:
    endpoints = platform.endpoints

    def now_s() -> float:
        return platform.now_s

    with ExitStack() as stack:
        cache = ContentCache.open(folder / "cache", size_limit_bytes=1 << 30, free_floor_bytes=0, warn=warn)
        stack.enter_context(closing(cache))
        index = stack.enter_context(closing(MailboxIndex.open(folder / "mailboxes.sqlite", warn)))
        sizes = stack.enter_context(closing(SizeIndex.open(folder / "sizes.sqlite", warn)))
        async with open_engine(
            login=login_digest(endpoints.platform_url, CREDENTIAL, CREDENTIAL),
            client=Client(
                AllowedHosts(endpoints.platform_url, endpoints.media_url),
                user_agent="rcfs/bench",
                transport=Line(platform),
                clock=now_s,
                boot_clock=trio.current_time,
            ),
            credentials=Credentials(endpoints.client_id, endpoints.client_secret, endpoints.jwt),
            ledger=Ledger(MemoryHome(PRIOR_PLANS)),
            cache=cache,
            index=index,
            sizes=sizes,
            shelving=Shelving(
                shelve,
                name_folder,
                frozenset({PURGED}),
                SHELVING_EDITION,
                CallShelving(shelve_call, shown_extensions),
            ),
            recorder=Recorder(structlog.get_logger(), now_s),
            wall_clock=now_s,
        ) as engine:
            yield engine


async def run_inline(work: Callable[[*Ts], T], *arguments: *Ts, **_options: object) -> T:
    """Runs the work of a thread in the event loop, since virtual time passes while a task waits."""
    await trio.lowlevel.checkpoint()
    return work(*arguments)


def _resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
    return int(sizes["VmRSS"]) * 1024


def main() -> None:
    """Runs the program."""
    folder, per_day, users = sys.argv[1:]
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    with patch.object(trio.to_thread, "run_sync", run_inline):
        loaded = trio.run(load, Path(folder), int(per_day), int(users), clock=MockClock(autojump_threshold=0))
    print(json.dumps(attrs.asdict(loaded)))


if __name__ == "__main__":
    main()
