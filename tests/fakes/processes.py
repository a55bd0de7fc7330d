"""Simulated processes of an account that share its state directory, and die at any moment."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Generic, TypeVar

import attrs
import trio

from rcfs.errors import RcfsError
from tests.fakes.call_rig import CallWorld
from tests.fakes.in_memory import Line
from tests.fakes.mortal import Life

P = TypeVar("P")


@attrs.define(eq=False)
class Person(Generic[P]):
    """A process, and somebody who uses it."""

    process: P
    line: Line
    life: Life

    def kill(self) -> None:
        """Kill it now."""
        self.life.end()
        self.life.on_end()


@attrs.define(eq=False)
class People(Generic[P]):
    """The processes of an account, those that have died included."""

    calls: CallWorld
    nursery: trio.Nursery
    open: Callable[[Life], AbstractAsyncContextManager[P]]
    """Opens another process with that life."""
    line_of: Callable[[P], Line]
    """The connection of a process to the platform."""
    everybody: list[Person[P]] = attrs.field(factory=list)

    @property
    def alive(self) -> list[Person[P]]:
        """Those whose processes live."""
        return [each for each in self.everybody if not each.life.is_over]

    def some(self, which: int) -> Person[P] | None:
        """One of those that live, by any number; None if nobody does."""
        return self.alive[which % len(self.alive)] if self.alive else None

    async def start(self) -> None:
        """Another process; it may die before it is up."""
        scope, up, lines = trio.CancelScope(), trio.Event(), list[Line]()
        name = f"process {self.calls.started + 1}"

        def die() -> None:
            with suppress(KeyError):  # It has not opened its ledger yet.
                self.calls.ledgers.kill(name, trio.current_time())
            for line in lines:
                line.is_cut = True
            scope.cancel()

        life = Life(die)

        async def live() -> None:
            try:
                with suppress(RcfsError), scope:
                    async with self.open(life) as process:
                        lines.append(self.line_of(process))
                        self.everybody.append(Person(process, lines[0], life))
                        up.set()
                        await trio.sleep_forever()
            except Exception:
                if not life.is_over:
                    raise
            finally:
                up.set()

        self.nursery.start_soon(live)
        await up.wait()
