"""Pulls on several machines that share the work."""

import subprocess
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from rcfs.model import Filter
from rcfs.pull import Copy, Pull, Shard
from rcfs.quota import Ledger, MemoryHome
from rcfs.tree import COPY_MANIFEST
from tests.fakes.parts import MemoryList
from tests.fakes.rig import EXTENSION_ID, add_voicemail, noise, open_rig
from tests.fakes.scripted import ACCOUNT_ID, ScriptedPlatform

FETCH = "readMessageContent"
MONTHS = [f"{year}-{month:02}" for year in (2024, 2025) for month in range(1, 11)]
"""More than a pull works on at the same time."""
COUNT = 3 * len(MONTHS)
"""More than the quota lets a login fetch in a minute."""
FILES = 2 * COUNT + 1
"""A recording and a record for each message, and the record of the extension."""


@pytest.fixture(autouse=True)
def voicemails(platform: ScriptedPlatform) -> None:
    """Three messages in each month."""
    for number in range(COUNT):
        time = f"{MONTHS[number % len(MONTHS)]}-03T10:00:00Z"
        add_voicemail(platform, number + 1, noise(300, number), time=time)


@pytest.fixture
def parts() -> MemoryList:
    return MemoryList(trio.current_time)


@attrs.define(eq=False)
class Machines:
    """Machines with one login and one ledger."""

    platform: ScriptedPlatform
    directory: Path
    parts: MemoryList
    ledger: Ledger = attrs.field(init=False)
    notes: list[str] = attrs.field(factory=list)
    pulls: dict[str, Pull] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ledger = Ledger(MemoryHome(self.platform.plans))

    @property
    def target(self) -> Path:
        return self.directory / "copy"

    async def pull(self, name: str, *, shard: Shard | None = None, to: bool = True) -> None:
        shared = None if shard else self.parts.client()
        async with open_rig(self.platform, self.directory / name, ledger=self.ledger) as rig:
            new = partial(Pull, rig.engine, shard=shard, shared=shared, on_note=self.notes.append)
            if not to:
                await self._run(name, new())
                return
            with Copy.open(self.target, ACCOUNT_ID, shared=True) as copy:
                await self._run(name, new(copy))

    async def _run(self, name: str, pull: Pull) -> None:
        self.pulls[name] = pull
        survey, _unknown = await pull.survey([()], Filter())
        await pull.run(survey)

    def fetched(self) -> Counter[str]:
        """Requests by content."""
        return Counter(seen.url for seen in self.platform.sent(FETCH))

    def check_copy(self) -> None:
        command = ["sha256sum", "--check", "--strict", "--quiet", COPY_MANIFEST]
        subprocess.run(command, cwd=self.target, check=True)
        with Copy.look(self.target, ACCOUNT_ID) as copy:
            assert len(list(copy._manifest.digests.below(""))) == FILES
        assert list(self.target.rglob(".rcfs-*")) == []


@pytest.fixture
def machines(platform: ScriptedPlatform, tmp_path: Path, parts: MemoryList) -> Machines:
    return Machines(platform, tmp_path, parts)


async def at_once(*pulls: Callable[[], object]) -> None:
    async with trio.open_nursery() as nursery:
        for pull in pulls:
            nursery.start_soon(pull)  # type: ignore[arg-type]


async def test_shares_bring_everything_once(machines: Machines) -> None:
    for number in (1, 2, 3):
        await machines.pull(str(number), shard=Shard(number, 3))
        await trio.sleep(60)
    assert len(machines.fetched()) == machines.fetched().total() == COUNT
    machines.check_copy()
    assert all(pull.progress.fetched for pull in machines.pulls.values())


async def test_machines_that_joined_bring_everything_once(machines: Machines) -> None:
    await at_once(partial(machines.pull, "1"), partial(machines.pull, "2"))
    assert len(machines.fetched()) == machines.fetched().total() == COUNT
    machines.check_copy()
    progress = [pull.progress for pull in machines.pulls.values()]
    assert sum(each.fetched for each in progress) == COUNT
    assert [(each.parts_done, each.parts_left, each.requests_left) for each in progress] == [
        (len(MONTHS) + 1, 0, 0)
    ] * 2
    assert all(each.files + each.elsewhere == FILES for each in progress)
    assert machines.notes == []


async def test_the_parts_of_a_machine_that_died_are_taken_over(machines: Machines) -> None:
    part = f"{EXTENSION_ID}/{MONTHS[0]}"
    machines.parts.leases[part] = 1000.0, machines.parts.client()
    await machines.pull("1")
    assert 1000 < trio.current_time() < 1010
    assert machines.parts.taken[-1] == part
    machines.check_copy()


async def test_a_machine_leaves_a_part_that_another_has_now(machines: Machines) -> None:
    parts = machines.parts
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(machines.pull, "1", to=False))
        await trio.sleep(30)
        # It was suspended for longer than its lease, say; and the other machine dies at once.
        (part, *_others) = parts.leases
        parts.leases[part] = 300.0, parts.client()
    assert trio.current_time() > 300
    assert (parts.taken.count(part), parts.taken[-1]) == (2, part)
    assert len(machines.fetched()) == machines.fetched().total() == COUNT


async def test_a_pull_whose_server_is_away_finishes_its_parts_and_waits(machines: Machines) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(machines.pull, "1"))
        while not machines.parts.taken:  # noqa: ASYNC110 - in virtual time
            await trio.sleep(0.05)
        machines.parts.is_away = True
        await trio.sleep(600)
        (note,) = machines.notes
        assert note.startswith("the ledger server cannot be reached: this pull finishes the ")
        sent = machines.fetched().total()
        assert machines.pulls["1"].progress.parts_left
        machines.parts.is_away = False
        machines.parts.forget()
    assert machines.notes[1:] == ["the list of the parts can be reached again"]
    assert len(machines.fetched()) == machines.fetched().total() == COUNT > sent
    assert len(machines.parts.done) == len(MONTHS) + 1, "the server was told again of all that is done"
    machines.check_copy()


async def test_an_interrupted_pull_gives_its_parts_back(machines: Machines) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(machines.pull, "1"))
            await trio.sleep(30)
            assert machines.parts.leases
            scope.cancel()
    assert machines.parts.leases == {}
    await trio.sleep(60)
    await machines.pull("1")
    machines.check_copy()


async def test_what_fails_here_is_left_to_another_machine(
    machines: Machines, platform: ScriptedPlatform
) -> None:
    path = next(path for path in platform.contents)
    data = platform.contents.pop(path)
    await machines.pull("1")
    assert len(machines.pulls["1"].progress.failures) == 1
    platform.contents[path] = data
    await trio.sleep(400)
    await machines.pull("2")
    assert machines.pulls["2"].progress.failures == []
    machines.check_copy()
