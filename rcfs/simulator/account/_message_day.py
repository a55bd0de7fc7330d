"""A scripted day: messages arrive, are read after a while, answered, and sometimes deleted.

The account's seed and the start of the day determine the script, so a day can be repeated. The clock decides
how fast it passes (`_clock`).
"""

from collections.abc import Sequence
from functools import partial

import attrs

from rcfs.simulator._dice import Dice
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._hours import UTC_OFFSET_S
from rcfs.simulator.account._message_store import MessageStore, new_message
from rcfs.simulator.account._people import SimExtension
from rcfs.simulator.account._plan import DAY_S, SimMessage, dialogue

THREADS_PER_DAY = 90
"""Threads of a day of the whole account. They make some 150 messages: a busy office of six."""

_FIRST_THREAD = 1 << 40
"""Smallest number of a scripted thread: beyond all planned ones, so that those keep their texts."""

_KINDS = ("SMS",) * 11 + ("VoiceMail",) * 5 + ("Fax",) * 3 + ("Pager",)
"""Kinds of threads, in about the same proportion as in the rest of the account."""


@attrs.frozen
class _Line:
    """One message of the script."""

    at_s: float
    """Time of its arrival."""
    owner: SimExtension
    """The owner of the mailbox."""
    kind: str
    """``type`` of the record."""
    direction: str
    """``Inbound`` or ``Outbound``."""
    contact: int
    """Index of the other party."""
    thread: int
    """Number of its thread."""
    turn: int
    """Position within the thread."""


def play_day(store: MessageStore, account: SimAccount, start_s: float) -> int:
    """Plan a day from `start_s` on; returns the number of messages that will arrive.

    Mailboxes that no login may read receive none.
    """
    dice = Dice(account.spec.seed, "day", int(start_s))
    people = [e for e in account.extensions if not e.mailbox_refused and e.status == "Enabled"]
    lines: list[_Line] = []
    first_thread = _FIRST_THREAD + int(start_s) * THREADS_PER_DAY
    for number in range(THREADS_PER_DAY):
        lines += _thread(account, people, start_s, first_thread + number, dice)
    # In the order of time, so that newer messages have larger ids.
    for line in sorted(lines, key=lambda line: line.at_s):
        _plan(store, account, line, start_s + DAY_S, dice)
    return len(lines)


def _thread(
    account: SimAccount, people: list[SimExtension], start_s: float, thread: int, dice: Dice
) -> list[_Line]:
    """The lines of one thread, each within the day; pagers need a colleague."""
    shares = [person for person in people for _ in range(person.share)]
    owner, kind = dice.pick(shares), dice.pick(_KINDS)
    if kind == "Pager" and len(account.extensions) == 1:
        kind = "SMS"
    turns: Sequence[str] = ["<"]
    if kind in ("SMS", "Pager"):
        turns = dialogue(account.spec.seed, owner.slot, kind, thread)
    local_s = 3600 * (8 + 5.5 * (dice.unit() + dice.unit()))  # mostly by day, as the planned ones
    moment = start_s + (local_s - UTC_OFFSET_S - start_s) % DAY_S
    who = dice.rank(40)
    lines = []
    for turn, text in enumerate(turns):
        if moment >= start_s + DAY_S:
            break
        direction = "Inbound" if text[0] == "<" else "Outbound"
        lines.append(_Line(moment, owner, kind, direction, who, thread, turn))
        moment += dice.between(20, 1500)  # seconds between two lines
    return lines


def _plan(store: MessageStore, account: SimAccount, line: _Line, end_s: float, dice: Dice) -> None:
    """Plan the arrival of a message, and its owner's reaction."""
    message = new_message(account, line.owner.id, line.kind, line.direction, line.at_s)
    message.contact, message.thread, message.turn = line.contact, line.thread, line.turn
    message.has_files = line.kind == "SMS" and dice.chance(0.154)
    store.plan(line.owner.id, line.at_s, partial(_arrive, store, message))
    read_s = line.at_s + dice.between(30, 7200)
    if line.direction == "Inbound" and dice.chance(0.8) and read_s < end_s:
        store.plan(line.owner.id, read_s, partial(_read, store, message))
    deleted_s = read_s + dice.between(5, 14_400)
    if dice.chance(0.15) and deleted_s < end_s:
        store.plan(line.owner.id, deleted_s, partial(_delete, store, message))


def _arrive(store: MessageStore, message: SimMessage, _due_s: float) -> None:
    store.arrive(message)


def _read(store: MessageStore, message: SimMessage, due_s: float) -> None:
    if message.availability == "Alive":
        store.mark(message, "Read", due_s)


def _delete(store: MessageStore, message: SimMessage, due_s: float) -> None:
    if message.availability == "Alive":
        store.delete(message, due_s)
