"""Which messages a mailbox holds: kinds, moments, threads and life, but not yet their words.

A plan is made at once for a whole mailbox, some microseconds a message, since order and threads tie
messages together. All else about a message is derived from it when it is asked for.
"""

import attrs

from rcfs.simulator import _texts
from rcfs.simulator._account_dice import Dice
from rcfs.simulator._account_fixtures import Fixture

DAY_S = 86_400.0
"""Seconds of a day."""

UTC_OFFSET_S = -8 * 3600
"""The office's clock: Pacific standard time the whole year, which is realistic enough."""
_FIRST_ID = 1_000_000_004
"""Least id of a planned message; the documentation's examples have ten digits and end in 004, too."""
ID_STEP = 16_000
"""Distance of two message ids: room for the ids of 15 more attachments, 1,000 apart."""
DELETED_KEPT_S = 5 * DAY_S
"""How long the platform keeps a deleted message before it purges it."""
_WRITTEN_DOWN = 100
"""More messages than are written down for any mailbox; there are some 40."""


@attrs.define
class SimMessage:
    """One message: its place in the account, and the state that a client can change.

    Some 250 bytes each, so a million of them fit into memory.
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


@attrs.frozen
class MailboxPlan:
    """What decides the messages of one mailbox."""

    seed: int
    """The account's seed."""
    slot: int
    """Place of the extension in the account."""
    slots: int
    """Number of extensions."""
    extension_id: int
    """Internal id of the extension."""
    count: int
    """How many messages."""
    start_s: float
    """No planned message is older."""
    end_s: float
    """All messages are older."""
    fixtures: tuple[Fixture, ...] = ()
    """Messages that are written down; they count, and come even if `count` is less."""

    def messages(self) -> list[SimMessage]:
        """All messages, newest first."""
        dice = Dice(self.seed, "mailbox", self.slot)
        drafts = self._threads(dice, max(0, self.count - len(self.fixtures)))
        drafts.sort(key=lambda draft: (draft.last_modified, draft.thread, draft.turn))
        in_order = [*drafts, *(self._written_down(fixture) for fixture in self.fixtures)]
        in_order.sort(key=lambda message: message.last_modified)
        recent = len(in_order) - len(in_order) // 10
        for order, message in enumerate(in_order):
            fixture = message.fixture
            if fixture is None or fixture.id is None:
                message.id = _FIRST_ID + (order * self.slots + self.slot) * ID_STEP
            if fixture is None:
                # 3 in 10 of the newest tenth: 3 in 100 of all, which is what a trash of days holds.
                self._live(message, dice, may_be_deleted=order >= recent)
        in_order.reverse()
        return in_order

    def _threads(self, dice: Dice, count: int) -> list[SimMessage]:
        """`count` messages, in any order."""
        pagers = round(0.07 * count) if self.slots > 1 else 0
        voicemails, faxes = round(0.17 * count), round(0.11 * count)
        left = {"VoiceMail": voicemails, "Fax": faxes, "Pager": pagers}
        left["SMS"] = count - sum(left.values())
        contacts = min(400, max(8, count // 25))
        made: list[SimMessage] = []
        thread = 0
        for kind in ("SMS", "VoiceMail", "Fax", "Pager"):
            while left[kind]:
                turns = self._turns(kind, thread, dice)[: left[kind]]
                left[kind] -= len(turns)
                moment = office_moment(dice, self.start_s, self.end_s)
                who = dice.rank(contacts)
                for turn, direction in enumerate(turns):
                    moment = min(moment, self.end_s - 1)
                    message = self._message(kind, direction, moment, thread, turn)
                    message.contact = who
                    # 10 of the 65 in 100 messages that are SMS.
                    message.has_files = kind == "SMS" and dice.chance(0.154)
                    made.append(message)
                    moment += dice.between(20, 1500)  # seconds between two lines
                thread += 1
        return made

    def _turns(self, kind: str, thread: int, dice: Dice) -> list[str]:
        """Directions of the lines of a thread."""
        if kind in ("SMS", "Pager"):
            lines = dialogue(self.seed, self.slot, kind, thread)
            return ["Inbound" if line[0] == "<" else "Outbound" for line in lines]
        return ["Outbound" if kind == "Fax" and dice.chance(0.35) else "Inbound"]

    def _message(
        self, kind: str, direction: str, created_s: float, thread: int = 0, turn: int = 0
    ) -> SimMessage:
        return SimMessage(
            id=0,
            extension_id=self.extension_id,
            type=kind,
            direction=direction,
            created_s=created_s,
            read_status="Read",
            availability="Alive",
            last_modified=created_s,
            thread=thread,
            turn=turn,
        )

    def _written_down(self, fixture: Fixture) -> SimMessage:
        created_s = max(self.end_s - fixture.age_s, self.start_s)
        message = self._message(fixture.type, fixture.direction, created_s)
        message.fixture = fixture
        message.read_status = fixture.read_status
        message.id = fixture.id or 0
        if "creationTime" in fixture.absent:
            message.created_s = None
        return message

    def _live(self, message: SimMessage, dice: Dice, *, may_be_deleted: bool) -> None:
        """What has happened to a planned message since it was created."""
        created_s = message.last_modified
        age_s = self.end_s - created_s
        changed_s = created_s + dice.below(500) / 1000  # the platform touches a message while it stores it
        unread = 0.5 if age_s < 3 * DAY_S else 0.04
        if message.direction == "Inbound" and dice.chance(unread):
            message.read_status = "Unread"
        elif message.direction == "Inbound":
            changed_s = created_s + dice.unit() * min(age_s, DAY_S)
        if may_be_deleted and dice.chance(0.3):
            message.availability = "Deleted"
            changed_s = self.end_s - dice.unit() * min(age_s, DELETED_KEPT_S)
        message.last_modified = int(changed_s * 1000) / 1000


def office_moment(dice: Dice, start_s: float, end_s: float) -> float:
    """A moment in whole seconds, mostly on a weekday, mostly by day; not before `start_s`.

    It may lie some hours behind `end_s`, on the day of that.
    """
    day = int((start_s + dice.unit() * (end_s - start_s) + UTC_OFFSET_S) // DAY_S)
    if (day + 3) % 7 >= 5 and dice.chance(0.8):  # day 0 was a Thursday
        day -= 2
    hour = 24 * dice.unit() if dice.chance(0.05) else 8 + 5.5 * (dice.unit() + dice.unit())
    moment = day * DAY_S + float(int(hour * 3600)) - UTC_OFFSET_S
    return max(moment, start_s)


def first_free_id(messages: int, slots: int) -> int:
    """An id above those of all planned messages of an account; written-down ones never differ by a step.

    Args:
        messages: How many the account was asked to have; what is written down comes on top of that.
        slots: Number of extensions.
    """
    return _FIRST_ID + (messages + _WRITTEN_DOWN) * slots * ID_STEP


def dialogue(seed: int, slot: int, kind: str, thread: int) -> list[str]:
    """The lines of a thread of SMS or Pager messages, braces not yet filled in."""
    dialogues = _texts.SMS_DIALOGUES if kind == "SMS" else _texts.PAGER_DIALOGUES
    return list(Dice(seed, "dialogue", slot, thread).pick(dialogues))
