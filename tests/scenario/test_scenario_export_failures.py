"""Every state of failure of a report and its archives: a pull that meets it dies, and the next one completes.

With ``RCFS_LONG=1`` in the environment all states are tried, each with a process that dies and with one that
does not; otherwise a few.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from rcfs.errors import RcfsError
from rcfs.filenames import StateFiles
from rcfs.model import CHUNK_BYTES, AttachmentKey
from rcfs.pull import Via
from rcfs.simulator import AccountSpec, Quirk
from rcfs.store._room import Room
from rcfs.store._table import ChunkTable
from tests.fakes.call_rig import CallRig, CallWorld
from tests.fakes.integrity import LONG
from tests.fakes.mortal import Life, install
from tests.scenario.test_scenario_pull_exports import (
    ARCHIVE,
    ASK,
    CONTENT,
    FILES,
    LIST,
    POLL,
    Pulled,
    read,
    truth_of,
    world,
)

SPEC = AccountSpec(messages=24, months=1)
CACHE_BYTES = 3 << 20
"""The attachments have 1 MB, database and log up to 1."""
DIES_AFTER_S = 2.0
"""Virtual seconds from the first fault, the first download, or the seventh poll to the process's death."""
LEAST = 5
"""Attachments of the account, at least."""
USUAL = {
    ("createMessageStoreReport 503", False),
    ("messageStoreReportArchiveContent reset_body", True),
    ("archive replaced meanwhile", True),
    ("disk full", True),
    ("list of exports lost", True),
}
"""The states that are always tried, each with whether the process dies."""

Cause = Callable[[CallWorld], object]


@attrs.frozen
class Failure:
    """One state of failure."""

    name: str
    """Its name."""
    cause: Cause = lambda _world: None
    """Causes it."""
    config: dict[str, Any] = attrs.field(factory=dict)
    """Further fields of the simulator's configuration."""
    asks: int = 2
    """Most reports that may be asked for: another one only after a failure, or if an answer was lost."""
    over_after_s: float = 1.0
    """Virtual seconds until nobody remembers it."""
    machine: Callable[[pytest.MonkeyPatch], object] = lambda _patch: None
    """Breaks the machine of the process that meets it."""
    files: Callable[[Path], object] = lambda _state: None
    """Breaks files in the state directory afterwards."""


def refused(operation: str, status: int, code: str) -> Failure:
    """The platform refuses every request of an operation."""

    def cause(world: CallWorld) -> None:
        if status == 429:
            world.platform.fault("rate_limited", operation=operation, count=3)
        elif status == 401:
            world.platform.fault("status", operation=operation, status=401, code="OAU-213", count=None)
        else:
            world.platform.fault("status", operation=operation, status=status, code=code, count=None)

    return Failure(f"{operation} {status}", cause, over_after_s=90_000 if status == 403 else 1)


def broken(operation: str, kind: str, **options: Any) -> Failure:
    """Connections break."""
    fault = {"operation": operation, "count": 20, **options}
    # A report whose answer cannot be read is asked for again every ten minutes, for an hour.
    asks = 7 if kind == "malformed_json" else 2
    return Failure(f"{operation} {kind}", lambda world: world.platform.fault(kind, **fault), asks=asks)


def states(*names: str) -> Failure:
    """A task passes through states, and stays in the last one."""
    return Failure("task " + " ".join(names), lambda world: world.backend.reports.plan(states=names))


def odd(quirk: Quirk) -> Failure:
    """The archives have a quirk."""
    return Failure(f"archive {quirk.value}", config={"export_quirks": {quirk}})


def replace_archives(world: CallWorld) -> None:
    """Lets the first archive of contents be replaced as soon as somebody has read half of it."""
    world.platform.fault("reset_body", operation=ARCHIVE, count=1, at_byte=100_000)
    find = world.backend.reports.find
    seen: list[str] = []

    def find_and_replace(task_id: str, now_s: float) -> Any:
        task = find(task_id, now_s)
        if not seen and world.sent(ARCHIVE):
            seen.append(task_id)
            archive = task.archives()[0]
            archive.replace(archive.read(0, archive.size_bytes) + bytes(1000))
        return task

    world.backend.reports.find = find_and_replace  # type: ignore[method-assign]


def fill_disk(patch: pytest.MonkeyPatch) -> None:
    """Lets no file of the cache be written."""

    def write_value(_path: Path, _key: str, _payload: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr("rcfs.store._disk.write_value", write_value)


def fill_cache(patch: pytest.MonkeyPatch) -> None:
    """Lets the cache have no room, as if it were full of pinned contents."""
    patch.setattr(Room, "make_for", lambda *_arguments: False)


def overwrite(path: Path) -> None:
    """Damages a database from its second page on."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(range(256)) * ((size - 4096) // 256))


def lose_list(state: Path) -> None:
    """Puts an empty file into the place of the list of exports."""
    StateFiles(state).exports.write_bytes(b"")
    for path in state.glob("exports.sqlite-*"):
        path.unlink()


FAILURES = [
    *(states(*names) for names in (["Accepted"], ["Accepted", "Pending"], ["Accepted", "InProgress"])),
    *(states("Accepted", "AttemptFailed", *rest) for rest in ([], ["InProgress", "Failed"], ["Completed"])),
    *(states("Accepted", end) for end in ("Failed", "Cancelled")),
    Failure("task forgotten when it ends", config={"export_kept_s": 5.0}, asks=3),
    Failure("archives deleted when it ends", config={"archives_kept_s": 5.0}, asks=3),
    *(
        refused(operation, *answer)
        for operation, answer in product(
            (ASK, POLL, LIST, ARCHIVE),
            ((400, "CMN-101"), (401, ""), (403, "CMN-408"), (404, "CMN-102"), (429, ""), (503, "CMN-203")),
        )
    ),
    *(broken(operation, kind) for operation in (ASK, POLL, LIST) for kind in ("reset", "malformed_json")),
    broken(ARCHIVE, "reset"),
    broken(ARCHIVE, "reset_body", at_byte=100_000),
    broken(ARCHIVE, "truncate", at_byte=150_000),
    broken(ARCHIVE, "ignored_range"),
    broken(ARCHIVE, "unasked_partial", first_bytes=60_000),
    broken(ARCHIVE, "stall", at_byte=50_000, for_s=300.0),
    Failure("archive replaced meanwhile", replace_archives),
    Failure("disk full", machine=fill_disk),
    Failure("cache full of pins", machine=fill_cache),
    Failure("list of exports lost", files=lose_list),
    Failure("list of exports damaged", files=lambda state: overwrite(StateFiles(state).exports)),
    Failure("index damaged", files=lambda state: overwrite(state / "mailboxes.sqlite")),
    *(odd(quirk) for quirk in Quirk if quirk is not Quirk.DIFFERENT_BYTES),
]
"""`Quirk.DIFFERENT_BYTES` is missing: without an earlier fetch nobody could tell."""


def tried() -> list[Any]:
    """The states to try, each with whether the process that meets it dies."""
    return [
        pytest.param(failure, dies, id=f"{failure.name}{' dies' if dies else ''}")
        for failure, dies in product(FAILURES, (True, False))
        if LONG or (failure.name, dies) in USUAL
    ]


@contextmanager
def watched_disk(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails if the cache ever takes more than its limit and two chunks."""
    write, most = ChunkTable.write, [0]

    def write_and_measure(table: ChunkTable, *arguments: Any, **options: Any) -> list[object]:
        replaced = write(table, *arguments, **options)
        files = list(directory.rglob("*"))
        most[0] = max(most[0], sum(file.stat().st_blocks * 512 for file in files))
        return replaced

    monkeypatch.setattr(ChunkTable, "write", write_and_measure)
    yield
    assert 0 < most[0] <= CACHE_BYTES + 2 * CHUNK_BYTES


async def meet(world: CallWorld, dies: bool) -> None:
    """Pulls until the process dies, or to the end; an error is what the caller of rcfs would read."""
    scope = trio.CancelScope()
    life = Life(scope.cancel)

    async def die() -> None:
        faults = world.platform.simulator.faults
        # No event tells of a fault. A task that hangs is polled more often than six times.
        while not (  # noqa: ASYNC110
            any(each["fired"] for each in faults.as_json())
            or world.sent(ARCHIVE)
            or len(world.sent(POLL)) > 6
        ):
            await trio.sleep(1)
        await trio.sleep(DIES_AFTER_S)
        life.end()
        scope.cancel()

    with suppress(RcfsError, ExceptionGroup) if dies else suppress(RcfsError), scope:
        async with (
            world.engine(exports=True, cache_bytes=CACHE_BYTES, life=life, may_warn=True) as rig,
            trio.open_nursery() as nursery,
        ):
            if dies:
                nursery.start_soon(die)
            with trio.fail_after(8000):
                await Pulled(rig, via=Via.EXPORTS).run(wanted=FILES)
            nursery.cancel_scope.cancel()
    life.end()


async def count_right(rig: CallRig) -> int:
    """The number of contents in the cache, each of which has the right bytes."""
    count = 0
    for key, digest in truth_of(rig).items():
        if isinstance(key, AttachmentKey) and rig.engine.cache.contains(key) == "yes":
            assert sha256(await read(rig, key)).hexdigest() == digest
            count += 1
    return count


@pytest.mark.parametrize(("failure", "dies"), tried())
async def test_after_any_failure_the_next_pull_completes_and_nothing_comes_twice(
    tmp_path: Path, failure: Failure, dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch)
    with watched_disk(tmp_path / "cache", monkeypatch):
        async with world(tmp_path, SPEC, export_s=60.0, **failure.config) as calls:
            failure.cause(calls)
            with monkeypatch.context() as patch:
                failure.machine(patch)
                async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - it dies in a task of its own
                    nursery.start_soon(meet, calls, dies)
            calls.platform.simulator.faults.clear()
            failure.files(tmp_path)
            await trio.sleep(failure.over_after_s)
            async with calls.engine(exports=True, cache_bytes=CACHE_BYTES, may_warn=True) as rig:
                made = Pulled(rig, via=Via.EXPORTS)
                await made.run(wanted=FILES)
                assert made.pull.progress.failures == []
            mark = calls.mark()
            async with calls.engine(exports=True, cache_bytes=CACHE_BYTES) as rig:
                whole = Pulled(rig, via=Via.EXPORTS)
                survey = await whole.plan(wanted=FILES)
                assert survey.missing == 0
                assert await count_right(rig) >= LEAST
            assert calls.sent(CONTENT, ASK, ARCHIVE, since=mark) == []
            fetched = [each.path for each in calls.sent(CONTENT) if each.status == 200]
            assert len(fetched) - len(set(fetched)) <= dies, (
                "only what was under way when it died comes twice"
            )
            assert len([each for each in calls.sent(ASK) if each.status == 202]) <= failure.asks
