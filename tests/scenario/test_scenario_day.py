"""A scripted day of the simulated office in virtual time, on a mount that is read all the time."""

import errno
import re
import stat
from collections import defaultdict
from itertools import pairwise
from pathlib import Path as FilePath
from random import Random

import attrs
import pyfuse3
import trio

from rcfs.simulator.account._plan import DAY_S
from tests.fakes.kernel import Path
from tests.fakes.world import Process, World, open_world

MINUTES = 10
"""How long the day takes, in minutes of virtual time."""
READERS = 3
PAUSE_S = 3.0
"""Between two looks of a reader, on the average."""


@attrs.define
class Tally:
    """Counts of what the readers saw."""

    files: int = 0
    vanished: int = 0


async def walk(world: World, process: Process, dice: Random, tally: Tally) -> None:
    """Goes down into a mailbox, taking its time, and reads what it comes across."""
    extension = dice.choice(world.extensions)
    path: Path = (process.operations._files.root.name_of(extension.id) or "",)
    while True:
        names = await process.kernel.names(path)
        await trio.sleep(dice.expovariate(1 / PAUSE_S))
        if not names:
            return
        path = (*path, dice.choice(names))
        try:
            seen = await process.kernel.look(path)
        except pyfuse3.FUSEError as exc:
            if exc.errno != errno.ENOENT:
                raise
            assert has_moved(world, extension.id, path), f"{path} is where it was"
            tally.vanished += 1
            return
        if path[-1] == "message.json":
            assert world.may_say(message_id_of(path[-2]), seen.what), path
        tally.files += 1
        if not stat.S_ISDIR(seen.mode):
            return


def message_id_of(name: str) -> int:
    match = re.search(r"\[(\d+)\]\Z", name)
    assert match, name
    return int(match[1])


def has_moved(world: World, extension_id: int, path: Path) -> bool:
    """Whether the message that `path` is of, or all in the folder that it is, need not be there any more."""
    named = [name for name in path if name.endswith("]")]
    message = world.account.message(extension_id, message_id_of(named[0])) if named else None
    if message is None:
        return path[1] in ("Conversations", "By-Contact") or bool(named)
    is_unread = message.read_status == "Unread"
    place = {"Trash": "Deleted"}.get(path[1], "Alive")
    return message.availability != place or (path[1] == "Unread" and not is_unread)


async def test_a_day_of_changes_in_an_office_while_readers_look(tmp_path: FilePath) -> None:
    tally = Tally()
    async with open_world(tmp_path) as world:
        process = await world.start()
        for extension in world.extensions:
            assert await world.sync(process, extension)
        begun = len(world.platform.simulator.journal.entries())
        assert world.backend.play_day(DAY_S / (60 * MINUTES)) > 100

        async def read_all_the_time(seed: int) -> None:
            dice = Random(seed)
            while True:
                await trio.lowlevel.checkpoint()
                try:
                    await walk(world, process, dice, tally)
                except pyfuse3.FUSEError as exc:
                    # A directory that was looked at a moment ago is gone, and so it cannot be listed.
                    if exc.errno not in (errno.ENOENT, errno.ESTALE):
                        raise

        with trio.move_on_after(60 * MINUTES):
            async with trio.open_nursery() as nursery:
                for seed in range(READERS):
                    nursery.start_soon(read_all_the_time, seed)
        entries = world.platform.simulator.journal.entries(since=begun)
        for extension in world.extensions:
            assert await world.sync(process, extension)
        assert world.compared == 4
    assert tally.files > 300
    times = defaultdict(list)
    for entry in entries:
        times[entry.operation, entry.path].append(entry.time_s)
    syncs = [of_one for (operation, _path), of_one in times.items() if operation == "syncMessages"]
    assert len(syncs) == len(world.extensions)
    others = {operation for operation, _path in times} - {"syncMessages"}
    assert others <= {"readMessage"}, "what came and was thrown away between two syncs is read"
    for of_one in syncs:
        assert MINUTES - 1 <= len(of_one) <= MINUTES
        assert all(later - earlier > 59.9 for earlier, later in pairwise(of_one)), "one in any minute"
