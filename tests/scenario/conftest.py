"""Scenarios run in virtual time, against a platform that polices them."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.fakes.rig import Rig, open_rig, run_inline
from tests.fakes.scripted import ScriptedPlatform

HEADERS_WITHIN_S = 60.0
"""Longest wait of rcfs from sending a request to the headers of its answer."""

OpenRig = Callable[..., AbstractAsyncContextManager[Rig]]


def _run_in_virtual_time(test: Callable[..., Any], *, clock: object, instruments: Any) -> Any:
    assert clock is None
    return trio.run(test, clock=MockClock(autojump_threshold=0), instruments=instruments)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives every scenario its clock, which pytest-trio would only take from a test's own arguments."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.trio(run=_run_in_virtual_time))


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)


@pytest.fixture
def platform() -> Iterator[ScriptedPlatform]:
    """A platform whose login is no admin; at the end nothing was sent that it had to refuse."""
    platform = ScriptedPlatform(admin=False)
    yield platform
    assert len(platform.police.violations) == platform.refusals_expected
    assert [verdict for verdict in platform.police.violations if verdict.penalty_from_s is not None] == []


@pytest.fixture
def new_rig(platform: ScriptedPlatform, tmp_path: Path) -> OpenRig:
    """Starts an engine; the next one has the same cache and a new ledger."""
    return partial(open_rig, platform, tmp_path)


@pytest.fixture
async def rig(new_rig: OpenRig) -> AsyncIterator[Rig]:
    """An engine that has just started, on a budget of which nothing of medium is used."""
    async with new_rig() as rig:
        yield rig
