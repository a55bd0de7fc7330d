"""Loads the call log of a large account in virtual time, with the simulator in the same process.

Run as a program: ``python -m bench._calls_load FOLDER CALLS USERS``. It leaves the index in FOLDER, and
prints a `Loaded` as JSON. Its peak memory is that of rcfs and the simulator together.
"""

import sys
import time
from pathlib import Path

import attrs
import trio

from bench._virtual import print_result, virtual_engine
from rcfs.engine import Engine
from rcfs.engine_status import mount_status
from rcfs.mailbox import CallShelving
from rcfs.model import COMPANY, HEAVY, PRIOR_PLANS
from rcfs.simulator import AccountSpec, SimulatorConfig
from rcfs.simulator._exchange import PLATFORM
from rcfs.status import ReadersStatus, render_status
from rcfs.tree import shelve_call, shown_extensions
from tests.fakes.in_memory import URLS, Line, Platform

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
        calls = CallShelving(shelve_call, shown_extensions)
        async with (
            virtual_engine(folder, Line(platform), cache_bytes=1 << 30, calls=calls) as engine,
            trio.open_nursery() as telling,
        ):
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


def _resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
    return int(sizes["VmRSS"]) * 1024


def main() -> None:
    """Runs the program."""
    folder, per_day, users = sys.argv[1:]
    print_result(load, Path(folder), int(per_day), int(users))


if __name__ == "__main__":
    main()
