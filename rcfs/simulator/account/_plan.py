"""The plan of a mailbox: types, times, threads and states of its messages, but not their texts.

A plan is made block by block on demand. The period of a block, its number of messages, how many of them are
in the trash, and the block of an id follow by arithmetic. So the hundredth page of a large mailbox costs as
much as the first, and only the changes of clients are stored (`_mailbox`). Everything else about a message is
derived from its plan on demand.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import attrs

from rcfs.simulator._dice import Dice
from rcfs.simulator.account import _texts
from rcfs.simulator.account._fixtures import Fixture
from rcfs.simulator.account._hours import OfficeHours

DAY_S = 86_400.0
"""Seconds of a day."""

BLOCK = 200
"""Messages planned together: enough for threads to alternate, and about 1 ms of work."""
_FIRST_ID = 1_000_000_004
"""Smallest id of a planned message; the documentation's examples also have ten digits and end in 004."""
ID_STEP = 16_000
"""Distance between two message ids: room for the ids of 15 more attachments, 1,000 apart."""
DELETED_KEPT_S = 5 * DAY_S
"""How long the platform keeps a deleted message before it purges it."""
TRASH_RESTS_S = DAY_S
"""Time after the account's present in which nothing leaves the trash: all of it was deleted later."""
QUIET_S = 10.0
"""Nothing changed in these last seconds before the account's present. An incremental synchronisation looks
back less than that, so it finds no planned message."""
_TRASH_PART = 10
"""Among the newest messages, one in this number of all, 3 in 10 are in the trash. That makes 3 % of all
messages, a realistic trash of some days."""
_WRITTEN_DOWN = 100
"""An upper bound for the number of fixtures of a mailbox; there are some 40."""


def _announce(message: "SimMessage", _attribute: object, value: Any) -> Any:
    """Report a change before it is made (a hook of attrs)."""
    if message.on_change is not None:
        message.on_change(message)
    return value


@attrs.define(on_setattr=_announce)
class SimMessage:
    """One message: its place in the account, and the state that a client can change.

    A client can change ``read_status``, ``availability`` and ``last_modified``. A mailbox stores a message
    from its first change on; before that it makes a new object for each read.
    """

    id: int
    """Unique within the account."""
    extension_id: int
    """The owner of its mailbox."""
    type: str
    """``SMS``, ``VoiceMail``, ``Fax``, ``Pager``; anything in a hostile record."""
    direction: str
    """``Inbound`` or ``Outbound``."""
    created_s: float | None
    """Seconds since 1970 UTC, in whole milliseconds; None where the record has no creation time."""
    read_status: str
    """``Read`` or ``Unread``; may be changed."""
    availability: str
    """``Alive``, ``Deleted`` or ``Purged``; may be changed."""
    last_modified: float
    """Seconds since 1970 UTC, in whole milliseconds; every change of the message must update it."""
    contact: int = 0
    """Index of the other party among the extension's contacts."""
    thread: int = 0
    """Number of its thread within the mailbox; the lines of a thread share facts."""
    turn: int = 0
    """Position within the thread."""
    has_files: bool = False
    """Whether an SMS is an MMS."""
    fixture: Fixture | None = None
    """The fixture that defines the message; None for a generated one."""
    on_change: "Callable[[SimMessage], None] | None" = attrs.field(
        default=None, eq=False, repr=False, on_setattr=attrs.setters.NO_OP
    )
    """Called before each change; the mailbox sets it."""


class Planned(NamedTuple):
    """A message at the account's present; the fields are those of `SimMessage`."""

    id: int
    extension_id: int
    type: str
    direction: str
    created_s: float | None
    read_status: str
    availability: str
    last_modified: float
    contact: int = 0
    thread: int = 0
    turn: int = 0
    has_files: bool = False
    fixture: Fixture | None = None


class _Line(NamedTuple):
    """A message without an id; ordered by time."""

    moment: float
    thread: int
    turn: int
    type: str
    direction: str
    contact: int
    has_files: bool


@attrs.frozen(eq=False)
class MailboxPlan:
    """The parameters that determine the messages of one mailbox. Any thread may use it."""

    seed: int
    """The account's seed."""
    slot: int
    """Place of the extension in the account."""
    slots: int
    """Number of extensions."""
    extension_id: int
    """Internal id of the extension."""
    derived: int
    """Number of generated messages; fixtures come in addition."""
    start_s: float
    """Earliest time of a message, seconds since 1970 UTC."""
    end_s: float
    """The account's present; all messages are older."""
    fixtures: tuple[Fixture, ...] = ()
    """Messages written by hand."""
    edges: Sequence[float] = attrs.field(init=False, repr=False)
    """The borders of the blocks: block n covers ``[edges[n], edges[n + 1]]``."""
    _placed: dict[int, list[tuple[float, Fixture]]] = attrs.field(init=False, repr=False)
    """The fixtures with their times, by block."""
    _starts: Sequence[int] = attrs.field(init=False, repr=False)
    """Number of messages before each block, and before the end."""

    @edges.default
    def _lay_edges(self) -> Sequence[float]:
        hours = OfficeHours(self.start_s, self.end_s - QUIET_S)
        between = [hours.moment(first / self.derived) for first in range(BLOCK, self.derived, BLOCK)]
        return hours.start_s, *between, hours.stop_s

    @_placed.default
    def _place_fixtures(self) -> dict[int, list[tuple[float, Fixture]]]:
        placed: dict[int, list[tuple[float, Fixture]]] = {}
        for fixture in sorted(self.fixtures, key=attrgetter("age_s"), reverse=True):
            moment = max(self.end_s - fixture.age_s, self.start_s)
            placed.setdefault(self.block_at(moment), []).append((moment, fixture))
        return placed

    @_starts.default
    def _count_starts(self) -> Sequence[int]:
        return tuple(accumulate(map(self.size, range(self.blocks)), initial=0))

    @property
    def blocks(self) -> int:
        """Number of blocks, at least 1; the first has the oldest messages."""
        return len(self.edges) - 1

    def size(self, block: int) -> int:
        """Number of messages in `block`."""
        return len(self._ordinals(block)) + len(self._placed.get(block, ()))

    def in_trash(self, block: int) -> int:
        """Number of messages of `block` that are in the trash."""
        ordinals = self._ordinals(block)
        first = max(ordinals.start, self.derived - self.derived // _TRASH_PART)
        return sum(map(self._is_deleted, range(first, ordinals.stop)))

    def block_at(self, time_s: float) -> int:
        """The block that covers `time_s`; the first or last for a time outside of all."""
        return max(0, min(bisect_right(self.edges, time_s), self.blocks) - 1)

    def block_of(self, message_id: int) -> int:
        """The block that would contain `message_id`; -1 if none can."""
        for block, placed in self._placed.items():
            if any(fixture.id == message_id for _, fixture in placed):
                return block
        place, rest = divmod(message_id - _FIRST_ID, ID_STEP)
        order, slot = divmod(place, self.slots)
        if rest or slot != self.slot or not 0 <= order < self._starts[-1]:
            return -1
        return bisect_right(self._starts, order) - 1

    def messages(self, block: int) -> tuple[Planned, ...]:
        """The messages of `block`, oldest first; some 5 µs each."""
        dice = Dice(self.seed, "mailbox", self.slot, block)
        ordinals = iter(self._ordinals(block))
        # In the order of time; fixtures come last among equal times.
        found: list[_Line | tuple[float, Fixture]] = [*sorted(self._lines(dice, block))]
        found += self._placed.get(block, ())
        found.sort(key=itemgetter(0))
        made = []
        for order, line in enumerate(found, self._starts[block]):
            message_id = _FIRST_ID + (order * self.slots + self.slot) * ID_STEP
            if isinstance(line, _Line):
                made.append(self._derived(message_id, line, next(ordinals), dice))
            else:
                made.append(self._written_down(message_id, *line))
        return tuple(made)

    def _ordinals(self, block: int) -> range:
        """The positions of the generated messages of `block` among all generated ones, from the oldest, 0."""
        return range(block * BLOCK, min((block + 1) * BLOCK, self.derived))

    def _is_deleted(self, ordinal: int) -> bool:
        """Whether the generated message at this position is in the trash."""
        age = self.derived - 1 - ordinal
        ten, place = divmod(age, 10)
        # 7 is prime to 10, so exactly three positions of each ten satisfy this, varying from ten to ten.
        return age < self.derived // _TRASH_PART and (7 * place + 3 * ten + 5) % 10 < 3

    def _lines(self, dice: Dice, block: int) -> Iterator[_Line]:
        """The lines of all threads of `block`, in any order."""
        hours = OfficeHours(self.edges[block], self.edges[block + 1])
        count = len(self._ordinals(block))
        left = {"SMS": 0, "VoiceMail": round(0.17 * count), "Fax": round(0.11 * count), "Pager": 0}
        left["Pager"] = round(0.07 * count) if self.slots > 1 else 0
        left["SMS"] = count - sum(left.values())
        contacts = min(400, max(8, self.derived // 25))
        thread = block * BLOCK
        for kind, wanted in left.items():
            made = 0
            while made < wanted:
                directions = self._turns(kind, thread, dice)[: wanted - made]
                made += len(directions)
                who, moment = dice.rank(contacts), hours.moment(dice.unit())
                after = [0, *accumulate(dice.between(20, 1500) for _ in directions[1:])]  # seconds
                # A thread that would last beyond its block, as in a full mailbox, is compressed in time.
                haste = min(1.0, (hours.stop_s - moment) / (after[-1] + 1))
                for turn, direction in enumerate(directions):
                    # 10 of the 65 in 100 messages that are SMS.
                    has_files = kind == "SMS" and dice.chance(0.154)
                    line_s = moment + int(after[turn] * haste)
                    yield _Line(line_s, thread, turn, kind, direction, who, has_files)
                thread += 1

    def _turns(self, kind: str, thread: int, dice: Dice) -> list[str]:
        """Directions of the lines of a thread."""
        if kind in ("SMS", "Pager"):
            lines = dialogue(self.seed, self.slot, kind, thread)
            return ["Inbound" if line[0] == "<" else "Outbound" for line in lines]
        return ["Outbound" if kind == "Fax" and dice.chance(0.35) else "Inbound"]

    def _derived(self, message_id: int, line: _Line, ordinal: int, dice: Dice) -> Planned:
        """The message of `line`, with its state at the account's present."""
        created_s = line.moment
        age_s = self.end_s - QUIET_S - created_s
        changed_s = created_s + dice.below(500) / 1000  # the platform modifies a message while storing it
        read_status, availability = "Read", "Alive"
        if line.direction == "Inbound":
            if dice.chance(0.5 if age_s < 3 * DAY_S else 0.04):
                read_status = "Unread"
            else:
                changed_s = created_s + dice.unit() * min(age_s, DAY_S)
        if self._is_deleted(ordinal):
            availability = "Deleted"
            changed_s = created_s + age_s - dice.unit() * min(age_s, DELETED_KEPT_S - TRASH_RESTS_S)
        return Planned(
            message_id,
            self.extension_id,
            line.type,
            line.direction,
            created_s,
            read_status,
            availability,
            int(changed_s * 1000) / 1000,
            line.contact,
            line.thread,
            line.turn,
            line.has_files,
        )

    def _written_down(self, message_id: int, moment: float, fixture: Fixture) -> Planned:
        return Planned(
            message_id if fixture.id is None else fixture.id,
            self.extension_id,
            fixture.type,
            fixture.direction,
            None if "creationTime" in fixture.absent else moment,
            fixture.read_status,
            "Alive",
            moment,
            fixture=fixture,
        )


def first_free_id(messages: int, slots: int) -> int:
    """An id above those of all planned messages; steps of `ID_STEP` from it never meet a fixture's id.

    Args:
        messages: Number of messages that the account was asked for; fixtures come in addition.
        slots: Number of extensions.
    """
    return _FIRST_ID + (messages + _WRITTEN_DOWN) * slots * ID_STEP


def dialogue(seed: int, slot: int, kind: str, thread: int) -> Sequence[str]:
    """The lines of a thread of SMS or Pager messages, with placeholders."""
    dialogues = _texts.SMS_DIALOGUES if kind == "SMS" else _texts.PAGER_DIALOGUES
    return Dice(seed, "dialogue", slot, thread).pick(dialogues)
