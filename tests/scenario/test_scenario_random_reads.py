"""Random reads, by many handles, of contents from a server that breaks, splits and mislabels bodies.

``RCFS_RANDOM_READS=N`` sets how many reads there are in all; 20,000 without it. Chunks are small here, so
that there are many of them.
"""

import gzip
import math
import os
from contextlib import suppress
from pathlib import Path
from random import Random

import attrs
import httpx
import pytest
import trio

from rcfs.content import Content
from rcfs.errors import RcfsError
from rcfs.model import PRIOR_PLANS, Plan, Priority, UsageGroup
from tests.fakes.rig import Rig, noise, open_rig
from tests.fakes.scripted import End, Reply, ScriptedPlatform

READS = int(os.environ.get("RCFS_RANDOM_READS", "20000"))
SEEDS = 5
CHUNK = 64 << 10
READERS = 8
ROUNDS = 3
CONTENTS = 8
"""Contents of a round, one after another. Each round ends an engine at any moment, and begins one."""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (
        "content._content",
        "content._download",
        "content._price",
        "content._library",
        "content._storage",
    ):
        monkeypatch.setattr(f"rcfs.{module}.CHUNK_BYTES", CHUNK)
    for module in ("store._cache", "store._content"):
        monkeypatch.setattr(f"rcfs.{module}.CHUNK_BYTES", CHUNK)
    monkeypatch.setattr("rcfs.content._price.NEAR_BYTES", 2 * CHUNK)


class Liberties:
    """Answers requests for content with whatever a server may do, by dice."""

    def __init__(self, platform: ScriptedPlatform, dice: Random) -> None:
        self.platform = platform
        self.dice = dice
        self.taken: set[str] = set()

    def __call__(self, request: httpx.Request) -> Reply:
        dice = self.dice
        data = self.platform.contents[request.url.path]
        usual = self.platform._content(request)
        kind = dice.choice(["usual"] * 8 + ["broken"] * 5 + sorted(KINDS))
        if usual.status == 416:
            return usual
        self.taken.add(kind)
        reply = usual
        start = data.index(usual.body) if usual.body and usual.status == 206 else 0
        if kind in ("whole", "unlong", "gzip"):
            reply = Reply.sized(data)
        if kind == "less" and len(usual.body) > 1:
            reply = Reply.part(data, start, start + dice.randrange(1, len(usual.body)))
        if kind == "earlier" and start:
            reply = Reply.part(data, dice.randrange(start), start + len(usual.body))
        if kind == "later" and usual.status == 206 and len(usual.body) > 9:
            reply = Reply.part(data, start + 9, start + len(usual.body))
        if kind == "unsaid" and usual.status == 206:
            reply = Reply(206, usual.body)
        if kind == "total" and usual.status == 206:
            reply = Reply.part(data, start, start + len(usual.body), total="*")
        if kind == "fault":
            return dice.choice([Reply.error(503), Reply.error(401, "OAU-213"), Reply.error(416), PAGE])
        if kind == "refused":
            return Reply.error(429, "CMN-301", headers={"Retry-After": "2"})
        return self._delivered(reply, kind)

    def _delivered(self, reply: Reply, kind: str) -> Reply:
        dice = self.dice
        body, headers, end = reply.body, dict(reply.headers), End.CLEAN
        if kind in ("unlong", "gzip"):
            headers.pop("Content-Length")
        if kind == "gzip":
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        if kind == "broken":
            end = dice.choice([End.RESET, End.TRUNCATED, End.STALL])
            body = body[: dice.randrange(len(body) + 1)]
        size = dice.choice([CHUNK // 3, CHUNK, 3 * CHUNK])
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        rate = dice.choice([20_000, 200_000, 5_000_000])
        return attrs.evolve(reply, headers=headers, pieces=pieces, gap_s=min(20, size / rate), end=end)


KINDS = {"whole", "unlong", "gzip", "less", "earlier", "later", "unsaid", "total", "fault", "refused"}
PAGE = Reply(200, b"<html>Maintenance</html>", {"Content-Type": "text/html"})


@attrs.frozen
class Reading:
    """The readers of one content, and their reads."""

    rig: Rig
    number: int
    data: bytes
    done: dict[int, int]
    """Reads so far, by the number of the content."""
    enough: int

    async def read_with_handles(self, dice: Random) -> None:
        """Reads by handles that come and go; a content that fails is opened again, as a person would."""
        wanted = self.rig.wanted(self.number, self.data)
        library = self.rig.engine.library
        while self.done[self.number] < self.enough:
            with suppress(RcfsError):
                content = await self.rig.open(wanted, dice.choice([*Priority]))
                try:
                    await content.wait_size()
                    await self.read_with_handle(content, dice, dice.randrange(1, 60))
                finally:
                    library.release(content)
            await trio.sleep(dice.choice([0.0, 0.1]))

    async def read_with_handle(self, content: Content, dice: Random, count: int) -> None:
        """Up to `count` reads of one handle, each compared with the truth."""
        data = self.data
        at = dice.randrange(len(data))
        for _ in range(count):
            jump = dice.random()
            if jump < 0.3:
                at = dice.randrange(len(data))
            elif jump < 0.35:
                at = max(0, len(data) - dice.choice([1, 1000, CHUNK]))
            elif jump < 0.4:
                at = dice.choice([0, len(data) + 5])
            size = dice.choice([1, 100, 4096, 4096, 20_000, dice.randrange(1, 2 * CHUNK)])
            await self.rig.engine.library.reach(content, at, size)
            assert content.read(at, size) == data[at : at + size]
            self.done[self.number] += 1
            at += size
            if dice.random() < 0.15:
                await trio.sleep(dice.choice([0.0, 0.003, 0.2, 2.0]))


async def read_all(rig: Rig, number: int, data: bytes, seed: str, done: dict[int, int], enough: int) -> None:
    """Reads one content with many readers until there were `enough` reads of it."""
    reading = Reading(rig, number, data, done, enough)
    async with trio.open_nursery() as nursery:
        for reader in range(READERS):
            nursery.start_soon(reading.read_with_handles, Random(f"{seed} {number} {reader}"))


async def read_whole(rig: Rig, number: int, data: bytes) -> bytes:
    """All of a content, though that may fail a few times first."""
    for _ in range(20):
        with suppress(RcfsError):
            return await rig.read(rig.wanted(number, data))
    raise AssertionError("it failed again and again")


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_read_ever_gives_a_wrong_byte(tmp_path: Path, seed: int) -> None:
    dice = Random(seed)
    # Where requests are cheap, more reads are worth one.
    plans = dict(PRIOR_PLANS) | {UsageGroup("medium"): Plan(limit=dice.choice([40, 400]))}
    platform = ScriptedPlatform(admin=False, plans=plans)
    liberties = Liberties(platform, dice)
    platform.script("readMessageContent", *[liberties] * 5000)
    each = math.ceil(READS / (SEEDS * ROUNDS * CONTENTS))
    total = 0
    for turn in range(ROUNDS):
        numbers = range(turn * CONTENTS, (turn + 1) * CONTENTS)
        contents = {number: noise(dice.randrange(1, 16 * CHUNK), number) for number in numbers}
        done = dict.fromkeys(contents, 0)
        async with open_rig(platform, tmp_path, cache_bytes=4 << 20) as rig:
            for number, data in contents.items():
                with trio.move_on_after(dice.choice([2, 10, 1e9])):
                    await read_all(rig, number, data, f"{seed} first", done, each // 2)
        await trio.sleep(61)  # The next engine has a new ledger, and the police do not forget.
        async with open_rig(platform, tmp_path, cache_bytes=4 << 20) as rig:
            for number, data in contents.items():
                await read_all(rig, number, data, f"{seed} second", done, each)
                assert await read_whole(rig, number, data) == data
        total += sum(done.values())
        await trio.sleep(61)
    assert total >= READS // SEEDS
    assert platform.police.violations == []
    # Which dice fall for whom depends on trio, which runs tasks in any order.
    assert len(liberties.taken) >= len(KINDS) - 2, "nearly all that there are"
    assert sum(seen.byte_range != "" for seen in platform.sent("readMessageContent")) > CONTENTS
