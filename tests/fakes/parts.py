"""A list of parts in memory, as `rcfs.store.SharedParts` has one on a server."""

from collections.abc import Callable, Sequence

import attrs

from rcfs.errors import SharedLedgerError
from rcfs.store._server_parts import PART_LEASE_S, Standing


@attrs.define(eq=False)
class MemoryList:
    """The list on the server."""

    now_s: Callable[[], float]
    done: set[str] = attrs.field(factory=set)
    leases: dict[str, tuple[float, object]] = attrs.field(factory=dict)
    taken: list[str] = attrs.field(factory=list)
    """Each part as often as a client took it."""
    born: int = 1
    is_away: bool = False

    def forget(self) -> None:
        """Start again without data."""
        self.done.clear()
        self.leases.clear()
        self.born += 1

    def client(self) -> "MemoryParts":
        return MemoryParts(self)


@attrs.define(eq=False)
class MemoryParts:
    """One client of the list."""

    list: MemoryList

    def exchange(
        self,
        *,
        done: Sequence[str] = (),
        freed: Sequence[str] = (),
        held: Sequence[str] = (),
        choice: Sequence[str] = (),
        most: int = 0,
    ) -> Standing:
        shared, now_s = self.list, self.list.now_s()
        if shared.is_away:
            raise SharedLedgerError("the ledger server cannot be reached")
        shared.done.update(done)
        for part in (*freed, *done):
            if shared.leases.get(part, (0, self))[1] is self:
                shared.leases.pop(part, None)

        def is_free(part: str) -> bool:
            end_s, owner = shared.leases.get(part, (0.0, self))
            return part not in shared.done and (end_s < now_s or owner is self)

        lost = tuple(part for part in held if not is_free(part))
        taken = tuple(part for part in choice if is_free(part))[:most]
        for part in (*taken, *(part for part in held if part not in lost)):
            shared.leases[part] = now_s + PART_LEASE_S, self
        shared.taken += taken
        finished = tuple(part for part in choice if part in shared.done)
        return Standing(str(shared.born), len(shared.done), lost, taken, finished)
