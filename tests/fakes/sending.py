"""Processes that send messages of the simulated account, in virtual time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from rcfs.model import Outgoing, Send, SendKind
from rcfs.outbox import Sends, described
from tests.fakes.call_rig import END_S, CallRig, CallWorld
from tests.fakes.mortal import Life

BOB = "+12125557464"
OPERATIONS = {
    SendKind.SMS: "createSMSMessage",
    SendKind.MMS: "createMMS",
    SendKind.FAX: "createFaxMessage",
    SendKind.PAGE: "createInternalTextMessage",
}


@asynccontextmanager
async def sending(world: CallWorld, *, life: Life | None = None) -> AsyncIterator[CallRig]:
    """A process that sends."""
    async with world.engine(outbox=True, life=life) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(rig.engine.sends.run)
        yield rig
        nursery.cancel_scope.cancel()


def outgoing_of(
    world: CallWorld, kind: SendKind, directory: Path, text: str = "hello", **changes: Any
) -> tuple[Outgoing, list[Path]]:
    """A message of that kind, and its files, which are in `directory`."""
    admin, other = world.backend.account.extensions[:2]
    if kind is SendKind.PAGE:
        return Outgoing(kind, (other.number,), admin.number, text, **changes), []
    if kind is SendKind.SMS:
        return Outgoing(kind, (BOB,), admin.phone_number, text, **changes), []
    path = directory / ("letter.txt" if kind is SendKind.FAX else "photo.jpg")
    path.write_text(text * 10_000)
    sender = "" if kind is SendKind.FAX else admin.phone_number
    return Outgoing(kind, (BOB,), sender, files=(described(kind, path),), **changes), [path]


async def settled(sends: Sends, send: Send, within_s: float = 600) -> Send:
    with trio.fail_after(within_s):
        found = await sends.wait(send.id, lambda each: each.state.is_settled)
    assert found is not None
    return found


async def all_settled(sends: Sends, sent: Sequence[Send]) -> list[Send]:
    return [await settled(sends, each) for each in sent]


async def add_each_kind(world: CallWorld, sends: Sends, tmp_path: Path) -> list[Send]:
    """Wants a message of each kind sent."""
    found = []
    for kind in SendKind:
        outgoing, paths = outgoing_of(world, kind, tmp_path)
        found.append(await sends.add(outgoing, paths))
    return found


def outbox_of(world: CallWorld) -> list[int]:
    """Ids of the messages that the login's own extension has sent, as the platform has them."""
    account, own = world.backend.account, world.extensions[0]
    found = (account.message(own, each) for each in account.message_ids(own))
    sent = [each for each in found if each is not None and each.direction == "Outbound"]
    return [each.id for each in sent if each.created_s is not None and each.created_s >= END_S]
