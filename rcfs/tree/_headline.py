"""A message or a call in one line: its time, its type, and the other party."""

from collections.abc import Iterable

from rcfs.model import Leg, Message, Party, one_line
from rcfs.tree._facts import UNKNOWN
from rcfs.tree._times import clock_text

_NAMED_PARTIES = 3
"""Most parties named in a line; the others are counted."""


def headline(message: Message) -> str:
    """The time, type and parties of a message: ``2026-11-03 17:27:05Z  SMS from Bob Ray``."""
    return _line(message.created_s, message.type or "message", message.counterparts, message)


def call_headline(leg: Leg, started_s: float | None) -> str:
    """The same for a call or the recording of a leg: ``2026-11-03 17:27:05Z  Recording from Bob Ray``."""
    return _line(started_s, "Call" if leg.recording is None else "Recording", (leg.other_party,), leg)


def people_of(record: Message | Leg) -> list[str]:
    """All parties of a message or call, each as name and number; the sender comes first."""
    others = record.recipients if isinstance(record, Message) else (record.receiver,)
    everybody = map(_described, (record.sender, *others))
    return list(dict.fromkeys(filter(None, everybody)))


def _line(time_s: float | None, kind: str, parties: Iterable[Party], record: Message | Leg) -> str:
    # Callers put two spaces after a headline, so no name may hold two in a row.
    found = [" ".join(one_line(party.name or party.number).split()) for party in parties]
    named = [name or UNKNOWN for name in found] or [UNKNOWN]
    more = f" +{len(named) - _NAMED_PARTIES}" if len(named) > _NAMED_PARTIES else ""
    word = "to" if record.is_outbound else "from"
    return one_line(f"{clock_text(time_s)}  {kind} {word} {', '.join(named[:_NAMED_PARTIES])}{more}")


def _described(party: Party) -> str:
    return one_line(" ".join(filter(None, (party.name, party.number))))
