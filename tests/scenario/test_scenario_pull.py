"""`rcfs pull` against a platform that polices, in virtual time."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import attrs
import httpx
import pytest
import trio

from rcfs.errors import ForbiddenError, NotFoundError, TransportError, UnreachableError
from rcfs.model import PRIOR_PLANS, AttachmentKey, ContentKey, Filter, Plan, UsageGroup
from rcfs.pull import Copy, Pull, Walk
from rcfs.store import FetchHistory
from tests.fakes.rig import EXTENSION_ID, Rig, noise, open_rig
from tests.fakes.scripted import ACCOUNT_ID, PLATFORM, Reply, ScriptedPlatform, Unreachable
from tests.fakes.zips import Mails
from tests.scenario.conftest import OpenRig

FETCH = "readMessageContent"
EVERYTHING = ((),)


def add_voicemails(platform: ScriptedPlatform, count: int, size_bytes: int = 300) -> dict[int, bytes]:
    """Messages 1 to `count` with a voicemail each; their bytes by message."""
    return Mails.of(platform, count, size_bytes).contents


async def pull_everything(pull: Pull) -> None:
    plan, unknown = await pull.survey(EVERYTHING, Filter())
    assert unknown == []
    await pull.run(plan)


async def test_pulled_contents_cost_no_further_request(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    contents = add_voicemails(platform, 100)
    async with new_rig() as rig:
        pull = Pull(rig.engine)
        await pull_everything(pull)
        assert (pull.progress.files, pull.progress.fetched, pull.progress.failures) == (100, 100, [])
        assert pull.progress.size_bytes == sum(map(len, contents.values()))
        assert await pull.lost((await pull.survey(EVERYTHING, Filter()))[0]) == 0
        # As fast as the quota allows, and by bulk's rules.
        assert rig.now == pytest.approx(150, rel=0.02)
    async with new_rig() as rig:
        plan, _unknown = await Pull(rig.engine).survey(EVERYTHING, Filter())
        assert (plan.present, plan.missing) == (100, 0)
    assert len(platform.sent(FETCH)) == 100


async def test_an_unexpected_error_in_one_file_is_one_failure(
    platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_voicemails(platform, 5)
    wrote = Copy.write

    def write(copy: Copy, parts: tuple[str, ...], mtime_s: float, data: bytes) -> None:
        if data == noise(300, 4):
            raise ValueError("embedded null byte")
        wrote(copy, parts, mtime_s, data)

    monkeypatch.setattr(Copy, "write", write)
    async with new_rig() as rig:
        crashes: list[Exception] = []
        monkeypatch.setattr(rig.engine.recorder, "crash", lambda _event, error: crashes.append(error))
        with Copy.open(tmp_path / "copy", ACCOUNT_ID) as copy:
            pull = Pull(rig.engine, copy)
            await pull_everything(pull)
        assert pull.progress.failures
        assert len(crashes) == len(pull.progress.failures)
        assert len(list((tmp_path / "copy").rglob("*.wav"))) == 4


@pytest.mark.parametrize("latency_s", [0.1, 5.0, 40.0])
async def test_the_window_is_used_at_any_latency(
    platform: ScriptedPlatform, new_rig: OpenRig, latency_s: float
) -> None:
    platform.latency_s = latency_s
    add_voicemails(platform, 160)
    async with new_rig() as rig:
        begun_s = trio.current_time()
        await pull_everything(Pull(rig.engine))
        # Forty per window and round trip, which is what a slot is held for.
        assert trio.current_time() - begun_s <= 160 / 40 * (60 + latency_s) + 2 * latency_s + 2


@attrs.define
class Sample:
    """The forecast at one moment."""

    at_s: float
    left_s: float


async def watched(rig: Rig, pull: Pull) -> list[Sample]:
    """The forecasts of a pull of everything, every three seconds; the last one is its end."""
    samples = []
    plan, _unknown = await pull.survey(EVERYTHING, Filter())

    def sample() -> None:
        samples.append(Sample(rig.now, pull.left_s()))

    async def watch() -> None:
        while True:
            sample()
            await trio.sleep(3)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await pull.run(plan)
        nursery.cancel_scope.cancel()
    sample()
    return samples


@pytest.mark.parametrize(
    ("limit", "count", "latency_s", "penalty_at"),
    [(40, 240, 0.1, None), (40, 240, 3.0, 3), (10, 60, 0.1, 22)],
)
async def test_the_forecast_is_within_five_percent(
    tmp_path: Path, limit: int, count: int, latency_s: float, penalty_at: int | None
) -> None:
    plans = {**PRIOR_PLANS, UsageGroup("medium"): Plan(limit)}
    platform = ScriptedPlatform(plans, latency_s, admin=False)
    add_voicemails(platform, count)
    async with open_rig(platform, tmp_path) as rig:
        pull = Pull(rig.engine)
        if penalty_at is not None:
            usual = [platform._usual] * penalty_at
            platform.script(FETCH, *usual, Reply.error(429, "CMN-301", headers={"Retry-After": "60"}))
        samples = await watched(rig, pull)
        assert pull.progress.fetched == count
    end_s = samples[-1].at_s
    assert samples[-1].left_s == 0
    assert len(samples) > 50
    frozen = {} if penalty_at is None else {"from": _penalty(platform, samples)}
    judged = 0
    for sample in samples:
        left_s = end_s - sample.at_s
        if left_s < 60 or ("from" in frozen and sample.at_s <= frozen["from"]):
            continue  # Nobody can foresee a penalty; and five per cent of nothing is nothing.
        judged += 1
        assert sample.left_s == pytest.approx(left_s, rel=0.05), f"at {sample.at_s:.0f} s of {end_s:.0f} s"
    assert judged > 20


async def test_the_forecast_on_a_slow_line_follows_its_speed(tmp_path: Path) -> None:
    """All the quota that one could wish, but each content takes 20 to 40 s to come, 64 at a time.

    The last of them come more slowly, as fewer are left to come at the same time.
    """
    platform = ScriptedPlatform({**PRIOR_PLANS, UsageGroup("medium"): Plan(1000)}, 0.1, admin=False)
    count = 300
    add_voicemails(platform, count)
    dice = Random(1)

    def slowly(request: httpx.Request) -> Reply:
        reply = platform._usual(request)
        parts = [reply.body[start : start + 60] for start in range(0, len(reply.body), 60)]
        return attrs.evolve(reply, pieces=parts, gap_s=dice.uniform(5, 10))

    platform.script(FETCH, *[slowly] * count)
    async with open_rig(platform, tmp_path) as rig:
        pull = Pull(rig.engine)
        samples = await watched(rig, pull)
        assert pull.progress.fetched == count
    begun_s, end_s = samples[0].at_s + 60, samples[-1].at_s - 50
    judged = [sample for sample in samples if begun_s <= sample.at_s <= end_s]
    assert len(judged) > 5
    for sample in judged:
        left_s = samples[-1].at_s - sample.at_s
        assert sample.left_s == pytest.approx(left_s, rel=0.3), f"with {left_s:.0f} s left"


def _penalty(platform: ScriptedPlatform, samples: list[Sample]) -> float:
    """When the refusal was seen: before the longest silence between two requests."""
    times = platform.times(FETCH)
    gaps = [(later - earlier, earlier) for earlier, later in pairwise(times)]
    origin_s = samples[0].at_s
    return max(gaps)[1] - times[0] + origin_s + 2 * platform.latency_s


async def test_each_failed_file_is_one_failure_and_one_request(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_voicemails(platform, 6)
    platform.script(FETCH, Reply.error(403, "CMN-408"), Reply.error(404, "CMN-102"))
    async with new_rig() as rig:
        pull = Pull(rig.engine)
        await pull_everything(pull)
        assert (pull.progress.files, pull.progress.requests_left) == (4, 0)
        assert {type(failure.error) for failure in pull.progress.failures} == {ForbiddenError, NotFoundError}
        assert all("/voicemail 2" in failure.path for failure in pull.progress.failures)
    assert len(platform.sent(FETCH)) == 6


async def test_a_server_that_fails_all_the_time_ends_the_pull(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_voicemails(platform, 200)
    platform.script(FETCH, *[Unreachable.RESET] * 1000)
    async with new_rig() as rig:
        pull = Pull(rig.engine)
        plan, _unknown = await pull.survey(EVERYTHING, Filter())
        with pytest.raises(TransportError):
            await pull.run(plan)
        assert len(pull.progress.failures) == 20
    platform.script(FETCH)


async def test_an_unreachable_server_ends_the_pull(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    add_voicemails(platform, 200)
    async with new_rig() as rig:
        pull = Pull(rig.engine)
        plan, _unknown = await pull.survey(EVERYTHING, Filter())
        platform.away = [PLATFORM]
        gone_s = rig.now
        with pytest.raises(UnreachableError):
            await pull.run(plan)
        assert rig.now - gone_s == pytest.approx(60, abs=3), "bulk waits for what may be over soon"
        assert pull.progress.failures == [], "it is about no file"


def add_bob(platform: ScriptedPlatform) -> None:
    """Another extension, number 102 in lists and 102 as an id; the login is an administrator."""
    platform.admin = True
    platform.extensions = [{"id": 101, "extensionNumber": "101", "name": "Jane"}, {"id": 102, "name": "Bob"}]


def refusing(platform: ScriptedPlatform, code: str) -> Callable[[Any], Reply]:
    """A script for lists of messages that refuses Bob's mailbox with `code`."""

    def answer(request: Any) -> Reply:
        if "/102/" in str(request.url):
            return Reply.error(403, code)
        return Reply.of_json({"records": platform.messages, "navigation": {}})

    return answer


async def test_a_mailbox_that_was_never_readable_is_no_failure(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_voicemails(platform, 2)
    add_bob(platform)
    platform.script("listMessages", *[refusing(platform, "CMN-419")] * 2)
    async with new_rig() as rig:
        pull = Pull(rig.engine)
        plan, _unknown = await pull.survey(EVERYTHING, Filter())
        await pull.run(plan)
        assert pull.progress.failures == []
        (closed,) = plan.closed
        assert (closed.path, type(closed.error)) == ("Bob", ForbiddenError)
        assert pull.progress.fetched == 2


async def test_a_pull_of_nothing_but_a_closed_mailbox_fails(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_bob(platform)
    platform.script("listMessages", refusing(platform, "CMN-419"))
    async with new_rig() as rig:
        plan, _unknown = await Pull(rig.engine).survey([("Bob",)], Filter())
        assert [failure.path for failure in plan.failures] == ["Bob"]
        assert plan.closed == ()


async def test_a_mailbox_that_is_no_longer_readable_is_a_failure(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_bob(platform)
    async with new_rig() as rig:
        await rig.mailbox(102)
        platform.script("syncMessages", *[sync_refusing] * 3)
        plan, _unknown = await Pull(rig.engine).survey(EVERYTHING, Filter())
        assert [failure.path for failure in plan.failures] == ["Bob"]
        assert plan.closed == ()


def sync_refusing(request: Any) -> Reply:
    if "/102/" in str(request.url):
        return Reply.error(403, "CMN-419")
    return Reply.of_json({"records": [], "syncInfo": {"syncToken": "1"}})


async def test_a_scope_that_is_missing_is_a_failure(platform: ScriptedPlatform, new_rig: OpenRig) -> None:
    add_voicemails(platform, 2)
    add_bob(platform)
    platform.script("listMessages", *[refusing(platform, "CMN-408")] * 2)
    async with new_rig() as rig:
        plan, _unknown = await Pull(rig.engine).survey(EVERYTHING, Filter())
        assert [failure.path for failure in plan.failures] == ["Bob"]


async def test_an_extension_without_a_mailbox_is_pulled_without_it(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_voicemails(platform, 2)
    add_bob(platform)
    platform.script("listMessages", *[refusing(platform, "CMN-403")] * 2)
    async with new_rig() as rig:
        plan, unknown = await Pull(rig.engine).survey(EVERYTHING, Filter())
        assert (plan.failures, plan.closed, unknown) == ((), (), [])
        items = Walk(plan.root, EVERYTHING, Filter())
        paths = {item.path for item in items if item.path.startswith("Bob")}
        assert paths == {"Bob", "Bob/extension.json"}
        assert plan.missing == 2


async def test_an_interrupted_pull_keeps_what_it_has_sent_and_repeats_nothing(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    platform.latency_s = 2.0
    add_voicemails(platform, 100)
    async with new_rig() as rig:
        pull = Pull(rig.engine)
        plan, _unknown = await pull.survey(EVERYTHING, Filter())
        with trio.move_on_after(1):  # 36 have been sent, none has been answered
            await pull.run(plan)
        assert (len(platform.sent(FETCH)), pull.progress.files) == (36, 0)
        ended_s = rig.now
        await pull.finish_sent(5)
        assert pull.progress.fetched == 36
        assert rig.now == ended_s + 1, "as soon as they are here"
        await trio.sleep(100)
        assert len(platform.sent(FETCH)) == 36, "what waited for a slot was given up"
    async with new_rig() as rig:
        await pull_everything(Pull(rig.engine))
    assert len(platform.sent(FETCH)) == 100


async def test_a_copy_is_made_and_repaired_without_a_second_request(
    platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path
) -> None:
    contents = add_voicemails(platform, 5, size_bytes=2_500_000)
    target = tmp_path / "copy"

    async def copy(*, verify: bool = False) -> tuple[int, list[str]]:
        written: list[str] = []
        await trio.sleep(60)  # each rig logs in on a ledger of its own
        async with new_rig() as rig:
            with Copy.open(target, ACCOUNT_ID) as opened:
                pull = Pull(
                    rig.engine,
                    opened,
                    on_done=lambda entry, _size: written.append(entry.parts[-1]),
                    verify=verify,
                )
                await pull_everything(pull)
                assert pull.progress.failures == []
                return pull.progress.files, written

    files, written = await copy()
    assert (files, len(written)) == (11, 11), "recordings, records, and the extension's"
    sounds = sorted(target.glob("101 Jane/Voicemail/2026-11/*/voicemail *.wav"))
    assert sorted(path.read_bytes() for path in sounds) == sorted(contents.values())
    assert {path.stat().st_mtime for path in sounds} == {1793726825.0}
    assert {path.parent.stat().st_mtime for path in sounds} == {1793726825.0}

    assert await copy() == (11, [])
    sounds[0].unlink()
    sounds[1].write_bytes(b"short")
    assert await copy() == (11, [sounds[0].name, sounds[1].name])
    sounds[2].write_bytes(b"x" * 2_500_000)
    assert await copy() == (11, []), "of the same size"
    assert await copy(verify=True) == (11, [sounds[2].name])
    assert sorted(path.read_bytes() for path in sounds) == sorted(contents.values())
    platform.change(**platform.messages[0] | {"readStatus": "Read"})
    assert await copy() == (11, ["message.json"]), "a record that changed"
    assert len(platform.sent(FETCH)) == 5


async def test_contents_that_do_not_fit_into_the_cache_are_reported(
    platform: ScriptedPlatform, new_rig: OpenRig
) -> None:
    add_voicemails(platform, 8, size_bytes=1 << 20)
    async with new_rig(cache_bytes=6 << 20) as rig:
        pull = Pull(rig.engine)
        plan, _unknown = await pull.survey(EVERYTHING, Filter())
        await pull.run(plan)
        assert await pull.lost(plan) >= 3


async def test_the_history_names_the_program_and_the_number_of_requests(
    platform: ScriptedPlatform, new_rig: OpenRig, tmp_path: Path
) -> None:
    history = FetchHistory.open(tmp_path / "history.sqlite", pytest.fail)
    add_voicemails(platform, 2)
    platform.script(FETCH, Reply.error(502))
    async with new_rig(history=history) as rig:
        pull = Pull(rig.engine)
        plan, _unknown = await pull.survey(EVERYTHING, Filter())
        await pull.run(plan)
        await pull.run(plan)  # from the cache, which is no fetch
    records = [record for each in history.fetches(_keys(2)).values() for record in each]
    assert [(each.program, each.priority, each.size_bytes) for each in records] == [
        ("rcfs pull", "bulk", 300)
    ] * 2
    assert sorted(each.requests for each in records) == [1, 2]
    history.close()


def _keys(count: int) -> list[ContentKey]:
    return [AttachmentKey(ACCOUNT_ID, EXTENSION_ID, number, number) for number in range(1, count + 1)]
