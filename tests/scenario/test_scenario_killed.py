"""A sync that is killed at each of its steps in turn."""

from functools import partial
from pathlib import Path

import trio

from tests.fakes.world import open_world

STRIDE = 3
"""Every so manyth of the statements of a sync is one at which it is killed: most transactions have more."""


async def test_after_a_sync_is_killed_at_any_point_the_next_one_is_complete(tmp_path: Path) -> None:
    statements, killed = 0, True
    async with open_world(tmp_path, messages=5) as world:
        extension = world.extensions[0]
        while killed:
            process = await world.start()
            assert await world.sync(process, extension)
            assert world.compared > statements // STRIDE
            world.arrive(extension, "SMS")
            world.delete(extension, 1)
            # Longer than a sync looks back before the last one, which would make up for a lot.
            await trio.sleep(10)
            process.die_at(statements)
            await process.ask(partial(process.engine.account.mailboxes.refresh, extension.id))
            killed = process.dying.is_set()
            statements += STRIDE
    assert statements > 40
