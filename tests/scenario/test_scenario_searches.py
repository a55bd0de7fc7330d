"""Searches in a mount whose mailboxes another process syncs as well."""

import json
from pathlib import Path

from tests.fakes.world import open_world


async def test_links_to_messages_that_another_process_changed_are_forgotten(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        process, other = await world.start(), await world.start()
        extension = world.extensions[0]
        world.arrive(extension, "SMS")
        newest = next(world.account.mailbox(extension.id).newest_first())
        for one in (process, other):
            assert await world.sync(one, extension)
        known = process.engine.account.mailboxes.catalogue(extension.id)
        assert known is not None
        message = known.read(newest.id)
        assert message is not None
        query = max(str(json.loads(message.raw)["subject"]).split(), key=len).strip(".,:;!?").lower()
        await process.engine.searches.keep(query)
        (name,) = [
            name for name in await process.kernel.names(("Search", query)) if name.endswith(f"[{newest.id}]")
        ]
        await process.kernel.look(("Search", query, name))

        world.delete(extension, 0, purge=True)
        assert await world.sync(other, extension)
        assert ("Search", query, name) in process.kernel.remembered(("Search",)), "it has not heard of that"
        assert await world.sync(process, extension)
        assert ("Search", query, name) not in process.kernel.remembered(("Search",))
        assert name not in await process.kernel.names(("Search", query))
