"""Contents without readers stay open for a while, but not after the cache has evicted them."""

import contextlib
import gc
from pathlib import Path

import pytest
import trio

from rcfs.store import ContentCache
from tests.fakes.rig import Rig, noise


@pytest.fixture(autouse=True)
def _nothing_before() -> None:
    gc.collect()  # Tests that end with a content open leave it to the collector.


def open_values() -> list[str]:
    """The value files that this process has open; those without a name end with ``(deleted)``."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # That of the directory is gone.
            found.append(str(entry.readlink()))
    return [name for name in found if ".val" in name]


async def read_some(rig: Rig, count: int = 5) -> None:
    for number in range(1, count + 1):
        data = noise(3000, seed=number)
        assert await rig.read(rig.wanted(number, data)) == data


async def test_room_comes_back_when_another_process_clears_the_cache(rig: Rig, tmp_path: Path) -> None:
    await read_some(rig)
    assert len(open_values()) >= 5
    directory = next(path.parent for path in tmp_path.rglob("cache.db"))
    other = ContentCache.open(directory, warn=pytest.fail)
    other.clear()
    other.close()
    await trio.sleep(1.1)
    assert not any(name.endswith("(deleted)") for name in open_values())


async def test_kept_contents_close_after_a_while_and_are_read_again_without_a_request(rig: Rig) -> None:
    await read_some(rig)
    await trio.sleep(62)
    assert open_values() == []
    sent = len(rig.fetch_times())
    await read_some(rig)
    assert len(rig.fetch_times()) == sent
