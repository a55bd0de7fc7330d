"""Processes that change messages of the simulated account: all in one event loop, in virtual time."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from rcfs.engine import Engine
from rcfs.model import Availability, ChangeRules, Message, message_from
from rcfs.outbox import Outbox
from rcfs.simulator import AccountSpec
from rcfs.simulator.account._plan import SimMessage
from tests.fakes.call_rig import CallRig, CallWorld, open_calls
from tests.fakes.mortal import Life

CHANGES = ("updateMessage", "patchMessage", "deleteMessage", "deleteMessageByFilter")
"""The operations that change messages."""
MANY = ChangeRules(read_write=True, delete_limit=100_000)


@attrs.define(eq=False)
class Changer:
    """A process."""

    world: "ChangeWorld"
    rig: CallRig

    @property
    def engine(self) -> Engine:
        return self.rig.engine

    @property
    def outbox(self) -> Outbox:
        return self.rig.engine.outbox

    def messages(self, owner_id: int | None = None) -> dict[int, Message]:
        """All messages of a mailbox as the index shows them, by id."""
        owner_id = owner_id or self.world.owner_id
        state = self.engine.index.reader.mailbox(self.engine.account.id, owner_id)
        assert state is not None
        rows = self.engine.index.reader.records_of(state.number, -1, 100_000)
        found = (message_from(json.loads(raw), raw) for _id, raw in rows)
        return {message.id: message for message in found if message is not None}

    def ids(self, count: int, availability: str = Availability.ALIVE, read_status: str = "") -> list[int]:
        """Ids of `count` messages of the mailbox with this state."""
        found = [
            message.id
            for message in self.messages().values()
            if message.availability == availability and read_status in ("", message.read_status)
        ]
        assert len(found) >= count
        return found[:count]

    def shows(self, message_ids: Sequence[int]) -> set[tuple[str, str]]:
        """The (availability, readStatus) of messages, as the index shows them; empty texts if it has not."""
        found = self.messages()
        return {
            (found[each].availability, found[each].read_status) if each in found else ("", "")
            for each in message_ids
        }

    async def sync(self) -> None:
        """Sync the mailbox."""
        await self.engine.account.mailboxes.refresh(self.world.owner_id)


class ChangeWorld:
    """The platform, and processes that share a state directory."""

    def __init__(self, calls: CallWorld) -> None:
        self.calls = calls
        self.platform = calls.platform
        self.backend = calls.backend
        self.owner_id = calls.extensions[0]

    def sent(self, *operations: str) -> list[str]:
        """Method, path and query of the requests of these operations, by default of `CHANGES`."""
        return [
            f"{each.method} {each.path.rpartition('/extension/')[2]}{'?' if each.query else ''}{each.query}"
            for each in self.calls.sent(*(operations or CHANGES))
        ]

    def message(self, message_id: int) -> SimMessage:
        """A message at the platform."""
        found = self.backend.account.message(self.owner_id, message_id)
        assert found is not None
        return found

    def states(self, message_ids: Sequence[int]) -> set[tuple[str, str]]:
        """The (availability, readStatus) of messages at the platform; empty texts if it is gone."""
        found = (self.backend.account.message(self.owner_id, each) for each in message_ids)
        return {(str(each.availability), each.read_status) if each else ("", "") for each in found}

    @property
    def violations(self) -> list[str]:
        """A line for each request that no careful client sends."""
        return self.platform.simulator.journal.violations()

    def put_back(self, message_ids: Sequence[int]) -> None:
        """Make messages Alive and Read at the platform, as somebody else would."""
        for each in map(self.message, message_ids):
            self.backend.messages.restore(each, self.platform.now_s)
            self.backend.messages.mark(each, "Read", self.platform.now_s)

    @property
    def mailbox(self) -> list[SimMessage]:
        """All messages at the platform, oldest first."""
        return list(self.backend.account.mailbox(self.owner_id).newest_first())[::-1]

    @asynccontextmanager
    async def process(
        self, *, rules: ChangeRules = MANY, runs: bool = True, life: Life | None = None, **options: Any
    ) -> AsyncIterator[Changer]:
        """A process whose mailbox is loaded; with `runs`, it sends its outbox."""
        async with self.calls.engine(rules=rules, life=life, **options) as rig:
            await rig.engine.account.mailboxes.open(self.owner_id)
            async with trio.open_nursery() as nursery:
                if runs:
                    nursery.start_soon(rig.engine.outbox.run)
                yield Changer(self, rig)
                nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_changes(directory: Path, *, messages: int = 200, **config: Any) -> AsyncIterator[ChangeWorld]:
    """A world with that many messages; at its end nothing was changed that nobody wanted."""
    spec = AccountSpec(messages=messages, extensions=2)
    async with open_calls(directory, spec=spec, **config) as calls:
        world = ChangeWorld(calls)
        yield world
        assert world.violations == []
