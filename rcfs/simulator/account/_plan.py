"""Which messages a mailbox holds: kinds, moments, threads and life, but not yet their words.

A plan is made block by block, each when it is asked for. Which time a block covers, how many messages it
has, how many of them are in the trash, and which block an id belongs to is arithmetic: so the hundredth
page of a large mailbox costs what the first costs, and nothing has to be kept but what a client has changed
(`_account_mailbox`). All else about a message is derived from its plan when it is asked for.
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
"""Messages that are planned together: enough for threads to mingle, and about 1 ms of work."""
_FIRST_ID = 1_000_000_004
"""Least id of a planned message; the documentation's examples have ten digits and end in 004, too."""
ID_STEP = 16_000
"""Distance of two message ids: room for the ids of 15 more attachments, 1,000 apart."""
DELETED_KEPT_S = 5 * DAY_S
"""How long the platform keeps a deleted message before it purges it."""
TRASH_RESTS_S = DAY_S
"""How long after the account's present nothing leaves the trash by itself: it was all thrown away later."""
QUIET_S = 10.0
"""Nothing has happened for so long before the account's present, in seconds: an incremental
synchronisation, which looks back less than that, finds no planned message that has changed."""
_TRASH_PART = 10
"""One in so many messages, the newest, may be in the trash; 3 in 10 of them are. That makes 3 in 100 of all,
which is what a trash of days holds."""
_WRITTEN_DOWN = 100
"""More messages than are written down for any mailbox; there are some 40."""


def _announce(message: "SimMessage", _attribute: object, value: Any) -> Any:
    """Tell of a change before it is made (a hook of attrs)."""
    if message.on_change is not None:
        message.on_change(message)
    return value


@attrs.define(on_setattr=_announce)
class SimMessage:
    """One message: its place in the account, and the state that a client can change.

    Which means ``read_status``, ``availability`` and ``last_modified`` once it is in a mailbox. Its mailbox
    keeps a message from its first change on; until then it gives a new one each time.
    """

    id: int
    """Unique within the account."""
    extension_id: int
    """Whose mailbox it is in."""
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
    """Seconds since 1970 UTC, in whole milliseconds; whoever changes the message changes this."""
    contact: int = 0
    """Index of the other party among the extension's contacts."""
    thread: int = 0
    """Number of the conversation's episode within the mailbox; its lines share facts."""
    turn: int = 0
    """Place within the episode."""
    has_files: bool = False
    """Whether an SMS is an MMS."""
    fixture: Fixture | None = None
    """What the message is when it is written down instead of derived."""
    on_change: "Callable[[SimMessage], None] | None" = attrs.field(
        default=None, eq=False, repr=False, on_setattr=attrs.setters.NO_OP
    )
    """Called before each change; its mailbox sets it."""


class Planned(NamedTuple):
    """A message as it was at the account's present; the fields are those of `SimMessage`."""

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
    """A message that has no id yet; comparing brings lines in order."""

    moment: float
    thread: int
    turn: int
    type: str
    direction: str
    contact: int
    has_files: bool


@attrs.frozen(eq=False)
class MailboxPlan:
    """What decides the messages of one mailbox. Any thread may ask."""

    seed: int
    """The account's seed."""
    slot: int
    """Place of the extension in the account."""
    slots: int
    """Number of extensions."""
    extension_id: int
    """Internal id of the extension."""
    derived: int
    """How many messages are derived from the seed; those that are written down come on top of that."""
    start_s: float
    """No message is older, seconds since 1970 UTC."""
    end_s: float
    """The account's present; all messages are older."""
    fixtures: tuple[Fixture, ...] = ()
    """Messages that are written down."""
    edges: Sequence[float] = attrs.field(init=False, repr=False)
    """Where the blocks meet: block n lies in ``[edges[n], edges[n + 1]]``."""
    _placed: dict[int, list[tuple[float, Fixture]]] = attrs.field(init=False, repr=False)
    """What is written down, by the block that it falls into, and when it came."""
    _starts: Sequence[int] = attrs.field(init=False, repr=False)
    """How many messages come before each block, and before the end."""

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
        """How many blocks there are, at least 1; the first has the oldest messages."""
        return len(self.edges) - 1

    def size(self, block: int) -> int:
        """How many messages `block` has."""
        return len(self._ordinals(block)) + len(self._placed.get(block, ()))

    def in_trash(self, block: int) -> int:
        """How many messages of `block` are in the trash."""
        ordinals = self._ordinals(block)
        first = max(ordinals.start, self.derived - self.derived // _TRASH_PART)
        return sum(map(self._is_deleted, range(first, ordinals.stop)))

    def block_at(self, time_s: float) -> int:
        """The block that `time_s` falls into; the first or last where it lies outside of all."""
        return max(0, min(bisect_right(self.edges, time_s), self.blocks) - 1)

    def block_of(self, message_id: int) -> int:
        """The block that `message_id` would be in; -1 when none can have it."""
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
        # In the order of time; of equal times what is written down comes last.
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
        """The places of the derived messages of `block` among all derived ones, the oldest being 0."""
        return range(block * BLOCK, min((block + 1) * BLOCK, self.derived))

    def _is_deleted(self, ordinal: int) -> bool:
        """Whether the derived message with this place is in the trash."""
        age = self.derived - 1 - ordinal
        ten, place = divmod(age, 10)
        # 7 is prime to 10, so exactly three places of each ten fulfil this; others in the next ten.
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
                # A thread that would last beyond its block, as in a mailbox full of them, is spoken faster.
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
        """The message of `line`, with what has happened to it since it came."""
        created_s = line.moment
        age_s = self.end_s - QUIET_S - created_s
        changed_s = created_s + dice.below(500) / 1000  # the platform touches a message while it stores it
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
    """An id above those of all planned messages of an account; written-down ones never differ by a step.

    Args:
        messages: How many the account was asked to have; what is written down comes on top of that.
        slots: Number of extensions.
    """
    return _FIRST_ID + (messages + _WRITTEN_DOWN) * slots * ID_STEP


def dialogue(seed: int, slot: int, kind: str, thread: int) -> Sequence[str]:
    """The lines of a thread of SMS or Pager messages, braces not yet filled in."""
    dialogues = _texts.SMS_DIALOGUES if kind == "SMS" else _texts.PAGER_DIALOGUES
    return Dice(seed, "dialogue", slot, thread).pick(dialogues)
