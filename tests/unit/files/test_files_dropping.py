"""Files that people drop into ``Outbox``, without a mount."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.files import _drop_store
from rcfs.files._changes import Changes
from rcfs.files._dropping import Dropping
from rcfs.outbox import DROPS_PREFIX
from rcfs.private import make_private_directory
from rcfs.tree import DropDirectory, Drops


async def test_the_first_files_share_a_directory_even_if_they_are_made_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_asked = threading.Event()

    def make_late(path: Path) -> None:
        all_asked.wait(60)
        make_private_directory(path)

    monkeypatch.setattr(_drop_store, "make_private_directory", make_late)
    engine: Any = SimpleNamespace(
        sends=SimpleNamespace(directory=tmp_path), recorder=None, wall_clock=lambda: 0.0
    )
    drops = Drops(lambda: 1, 0.0)
    dropping = Dropping(drops, engine, Changes())
    directory = DropDirectory(drops=drops, path=("Fax",))

    async def make(name: str) -> None:
        _file, opener = await dropping.create(directory, name)
        dropping.close(opener)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(make, f"{number}.pdf")
        await wait_all_tasks_blocked()
        all_asked.set()
    assert len(list(tmp_path.glob(f"{DROPS_PREFIX}*"))) == 1
