"""A message in one line: its time, its type, and the other party."""

from rcfs.model import Message, Party, one_line
from rcfs.tree._facts import UNKNOWN, counterparts, is_outbound, number_of
from rcfs.tree._times import clock_text

_NAMED_PARTIES = 3
"""Most parties named in a line; the others are counted."""


def headline(message: Message) -> str:
    """The time, type and parties of a message: ``2026-11-03 17:27:05Z  SMS from Bob Ray``."""
    # Callers put two spaces after a headline, so no name may hold two in a row.
    named = [" ".join(one_line(party.name or number_of(party)).split()) for party in counterparts(message)]
    parties = [name or UNKNOWN for name in named] or [UNKNOWN]
    more = f" +{len(parties) - _NAMED_PARTIES}" if len(parties) > _NAMED_PARTIES else ""
    word = "to" if is_outbound(message) else "from"
    who = ", ".join(parties[:_NAMED_PARTIES]) + more
    return one_line(f"{clock_text(message.created_s)}  {message.type or 'message'} {word} {who}")


def people_of(message: Message) -> list[str]:
    """All parties of a message, each as name and number; the sender comes first."""
    everybody = map(_described, (message.sender, *message.recipients))
    return list(dict.fromkeys(filter(None, everybody)))


def _described(party: Party) -> str:
    return one_line(" ".join(filter(None, (party.name, number_of(party)))))
