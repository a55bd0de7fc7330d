"""A process that is killed between two system calls while it changes a message: the next one finds that.

It finds the change made, or makes it once. If the change was not kept, nobody was told that it is, and
nothing changes. ``RCFS_SOAK=1`` kills at each system call that changes the outbox or the index.
"""

import shutil
from contextlib import closing
from pathlib import Path

import attrs
import pytest
import trio

from rcfs.filenames import StateFiles
from rcfs.model import Action, ChangeState
from rcfs.outbox._rows import changes_of
from rcfs.simulator.account._plan import SimMessage
from rcfs.store import OutboxBook
from tests.fakes.changing import CHANGES, Changer, ChangeWorld, open_changes
from tests.fakes.deaths import deaths, run_alone

OLD_S = 60.0
"""Time from the start of an account until somebody changes a message, in seconds."""
DEAD_S = 600.0
"""The same until another process starts, in seconds: after all that the dead one has done."""
BEFORE_AFTER = {
    Action.MARK_READ: (("Alive", "Unread"), ("Alive", "Read")),
    Action.TRASH: (("Alive", "Read"), ("Deleted", "Read")),
    Action.RESTORE: (("Deleted", "Read"), ("Alive", "Read")),
    Action.PURGE: (("Deleted", "Read"), ("", "")),
}
"""The state of a message before and after each action, as `Changer.shows` returns it."""


@attrs.frozen
class Case:
    """The message that is changed, in each new account the same."""

    action: Action
    world: ChangeWorld
    message: SimMessage

    @classmethod
    def of(cls, world: ChangeWorld, action: Action) -> "Case":
        """The case in an account that has just begun: the message is as it was before the change."""
        message = next(each for each in world.mailbox if each.availability == "Alive")
        (availability, read_status), _after = BEFORE_AFTER[action]
        world.backend.messages.mark(message, read_status, world.platform.now_s)
        if availability == "Deleted":
            world.backend.messages.delete(message, world.platform.now_s)
        return cls(action, world, message)

    async def wish(self, process: Changer) -> None:
        owner_id, ids = self.world.owner_id, [self.message.id]
        match self.action:
            case Action.MARK_READ:
                await process.outbox.mark(owner_id, ids, read=True)
            case Action.TRASH:
                await process.outbox.trash(owner_id, ids)
            case Action.RESTORE:
                await process.outbox.restore(owner_id, ids)
            case _:
                await process.outbox.purge(owner_id, ids)

    def make(self) -> None:
        """The platform carries the change out."""
        messages, now_s = self.world.backend.messages, self.world.platform.now_s
        match self.action:
            case Action.MARK_READ:
                messages.mark(self.message, "Read", now_s)
            case Action.RESTORE:
                messages.restore(self.message, now_s)
            case _:
                messages.delete(self.message, now_s, purge=self.action is Action.PURGE)

    def check(self, process: Changer, *, is_after: bool) -> None:
        """The index shows the message as it was before, or is after the change."""
        assert process.shows([self.message.id]) == {BEFORE_AFTER[self.action][is_after]}


async def _load(state: Path, action: Action) -> None:
    """Lets a process load the mailbox, so that the next ones have an index."""
    async with open_changes(state, messages=10, calls=0) as world:
        case = Case.of(world, action)
        async with world.process() as process:
            case.check(process, is_after=False)


async def _change_one(state: Path, action: Action, log: Path) -> None:
    """Changes a message; `log` gets the id of the account, and words when it is promised and carried out."""

    def say(word: str) -> None:
        with log.open("a") as words:
            words.write(f" {word}")

    async with open_changes(state, messages=10, calls=0) as world:
        case = Case.of(world, action)
        await trio.sleep(OLD_S)
        async with world.process() as process:
            say(process.engine.account.id)
            world.backend.messages.listen(lambda _message, _is_new: say("made"))
            await case.wish(process)
            say("promised")
            assert await process.outbox.flush(600) == 0
            case.check(process, is_after=True)


async def _continue(state: Path, action: Action, was_made: bool, is_kept: bool) -> None:
    """Lets another process continue, which finds the change of the dead one at the platform or not."""
    async with open_changes(state, messages=10, calls=0) as world:
        case = Case.of(world, action)
        await trio.sleep(OLD_S)
        if was_made:
            case.make()
        await trio.sleep(DEAD_S - OLD_S)
        async with world.process() as process:
            case.check(process, is_after=is_kept)
            assert await process.outbox.flush(600) == 0
            case.check(process, is_after=is_kept)
            await trio.sleep(100)  # longer than any answer is late
            await process.sync()
            case.check(process, is_after=is_kept)
            assert len(world.sent(*CHANGES)) == (is_kept and not was_made)
            assert process.outbox.left == 0
            there = {each.id: each for each in world.mailbox if each.availability != "Purged"}
            assert process.messages().keys() == there.keys()
            assert all(process.shows([each]) == world.states([each]) for each in there)


@pytest.mark.parametrize("action", BEFORE_AFTER)
def test_a_process_that_is_killed_between_two_system_calls(tmp_path: Path, action: Action) -> None:
    state, log = tmp_path / "state", tmp_path / "log"
    state.mkdir()
    run_alone(_load, state, action)
    died, found = 0, set[tuple[ChangeState | None, bool]]()
    for death in deaths(
        lambda: run_alone(_change_one, state, action, log), state, log, "outbox", "mailboxes"
    ):
        if not death.words:
            continue  # Nobody has wanted anything yet.
        account_id, *said = death.words
        died += 1
        for was_made in (False, True):
            left = death.leave(tmp_path / f"{death.number} {was_made}")
            with closing(OutboxBook.open(StateFiles(left), lambda _line: None)) as book:
                kept = next((each.state for each in changes_of(book, account_id)), None)
            assert kept or "promised" not in said, "a change is promised that is not kept"
            # After a request, a process cannot know whether it was carried out.
            if kept is ChangeState.ASKED or was_made is ("made" in said):
                found.add((kept, was_made))
                run_alone(_continue, left, action, was_made, kept is not None)
            shutil.rmtree(left)
    assert found == {
        (None, False),
        (ChangeState.WAITING, False),
        (ChangeState.ASKED, False),
        (ChangeState.ASKED, True),
        (ChangeState.DONE, True),
    }
    print(f"{action.value}: killed at {died} system calls")  # noqa: T201
