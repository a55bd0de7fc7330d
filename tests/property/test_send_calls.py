"""A process that is killed between two system calls while it sends a message: the next one finds it.

It finds it done, or sends it once. ``RCFS_SOAK=1`` kills at each system call that changes the outbox.
"""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
import trio

from rcfs.filenames import StateFiles
from rcfs.model import SendKind, SendState
from rcfs.outbox import sends_of
from rcfs.simulator import AccountSpec
from rcfs.simulator._conduct import SendBook, Sent
from rcfs.store import OutboxBook
from tests.fakes.call_rig import CallWorld, open_calls
from tests.fakes.deaths import deaths, run_alone
from tests.fakes.sending import all_settled, outbox_of, outgoing_of, sending

SPEC = AccountSpec(messages=5, months=1)


async def _send_one(state: Path, files: Path, kind: SendKind, log: Path) -> None:
    """Sends a message; `log` gets the id of the account, and a word when the platform has the message."""
    add = SendBook.add

    def noted(book: SendBook, sent: Sent) -> str:
        with log.open("a") as words:
            words.write(" sent")
        return add(book, sent)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SendBook, "add", noted)
        async with open_calls(state, spec=SPEC, calls=0) as world, sending(world) as rig:
            log.write_text(rig.engine.account.id)
            outgoing, paths = outgoing_of(world, kind, files)
            sent = await all_settled(rig.engine.sends, [await rig.engine.sends.add(outgoing, paths)])
            assert sent[0].state is SendState.SENT


async def _continue(state: Path, files: Path, kind: SendKind, was_sent: bool, is_kept: bool) -> None:
    """Lets another process continue, which finds the message of the dead one at the platform or not."""
    async with open_calls(state, spec=SPEC, calls=0) as world:
        if was_sent:
            (files / "first").mkdir()
            first = CallWorld(world.platform, files / "first")
            async with sending(first) as rig:
                outgoing, paths = outgoing_of(world, kind, files)
                await all_settled(rig.engine.sends, [await rig.engine.sends.add(outgoing, paths)])
        async with sending(world) as rig:
            await rig.engine.sends.read()
            sent = await all_settled(rig.engine.sends, rig.engine.sends.all())
            assert [each.state for each in sent] == [SendState.SENT] * is_kept, sent
            assert [each.message_id for each in sent] == outbox_of(world)[: len(sent)]
            assert len(outbox_of(world)) == max(was_sent, is_kept)
            await trio.sleep(300)
            assert len(outbox_of(world)) == max(was_sent, is_kept)
            assert not is_kept or not any(state.glob("outbox/*/*/*")), "its files are gone"
        assert world.platform.simulator.journal.violations() == []


@pytest.mark.parametrize("kind", [SendKind.SMS, SendKind.FAX])
def test_a_process_that_is_killed_between_two_system_calls(tmp_path: Path, kind: SendKind) -> None:
    state, files, log = tmp_path / "state", tmp_path / "files", tmp_path / "log"
    for each in (state, files):
        each.mkdir()
    died = 0
    for death in deaths(lambda: run_alone(_send_one, state, files, kind, log), state, log, "outbox"):
        account_id, *sent = death.words or [""]
        was_sent = bool(sent)
        died += 1
        for may_be_sent in {was_sent, True}:
            left = death.leave(tmp_path / f"{death.number} {may_be_sent}")
            with closing(OutboxBook.open(StateFiles(left), lambda _line: None)) as book:
                kept = sends_of(book.all(account_id))
            if may_be_sent > was_sent and not any(each.state is SendState.ASKED for each in kept):
                continue
            elsewhere = tmp_path / f"files {death.number} {may_be_sent}"
            elsewhere.mkdir()
            run_alone(_continue, left, elsewhere, kind, may_be_sent, bool(kept))
            shutil.rmtree(left)
    assert died > 3
    print(f"{kind.value}: killed at {died} system calls")  # noqa: T201
