"""Conversations: who talks with whom, the text as one file, links to the messages."""

from collections import Counter
from collections.abc import Iterable

import attrs

from rcfs.model import Message, Party
from rcfs.tree._facts import UNKNOWN, counterparts, is_outbound, number_of
from rcfs.tree._message import attachment_names, has_text, message_name
from rcfs.tree._names import clean, cut, fit, folded, one_line, unique
from rcfs.tree._nodes import Link, MailboxDirectory, Node, TextFile
from rcfs.tree._times import clock_text, message_times, month_name, newest_times

CONVERSATION_FILE = "conversation.txt"
"""The file of a conversation directory that holds the text of all its messages."""

_NAMED_PARTIES = 3
"""So many parties of a group are named, the others are counted: names stay readable in a terminal."""

_ID_BYTES = 40
"""Bytes of a conversation id that a name shows: an int64 has at most 20, the rest is a stranger's."""

_Messages = tuple[Message, ...]


def conversation_text(messages: _Messages) -> bytes:
    """The text of `messages` in UTF-8, in their order, for people and for grep.

    Every line begins with the time and who speaks, so that each line that grep finds says whose it is::

        2026-11-03 17:27:05Z Bob Ray: Where are you?
        2026-11-03 17:27:05Z Bob Ray: I am at the gate.
        2026-11-03 17:28:11Z Jane Smith: [photo.jpg]

    A message of several lines has several lines here; files stand in brackets, under the names that they
    have in the message's directory. Control characters are spaces: showing the file on a terminal is safe.
    """
    lines = []
    for message in messages:
        speaker = message.sender.name or number_of(message.sender)
        speaker = speaker or ("me" if is_outbound(message) else UNKNOWN)
        said = (message.subject or "").splitlines() if has_text(message) else []
        files = [f"[{name}]" for name, _ in attachment_names(message)]
        prefix = f"{clock_text(message.created_s)} {speaker}:"
        lines += [one_line(f"{prefix} {part}".rstrip()) for part in (said + files or [""])]
    return "".join(line + "\n" for line in lines).encode()


@attrs.define(eq=False, kw_only=True)
class ConversationDirectory(MailboxDirectory[_Messages]):
    """One conversation; the source has its messages, the oldest first."""

    def build(self, source: _Messages) -> dict[str, Node]:
        times = newest_times(source, self.shelf.fallback_s)
        nodes: dict[str, Node] = {
            CONVERSATION_FILE: TextFile(times=times, source=source, render=conversation_text)
        }
        for message in source:
            name = message_name(message)
            # The two types that converse have directories of their own names.
            target = f"../../{message.type}/{month_name(message.created_s)}/{name}"
            nodes[name] = Link(times=message_times(message, self.shelf.fallback_s), target=target)
        return nodes


@attrs.define(eq=False, kw_only=True)
class ConversationsDirectory(MailboxDirectory[_Messages]):
    """All conversations of a mailbox; the source has the messages that converse, the oldest first."""

    def build(self, source: _Messages) -> dict[str, Node]:
        own = _own_identities(source)
        groups: dict[tuple[str, frozenset[str]], list[Message]] = {}
        for message in source:
            others = frozenset(map(_identity, _others(message, own)))
            key = (message.conversation_id, frozenset() if message.conversation_id else others)
            groups.setdefault(key, []).append(message)
        labelled = sorted(
            (*_label(messages, own), conversation_id, sorted(others), tuple(messages))
            for (conversation_id, others), messages in groups.items()
        )
        equal = Counter(folded(fit(stem, more)) for stem, more, *_ in labelled)
        taken: set[str] = set()
        nodes: dict[str, Node] = {}
        for stem, more, conversation_id, _, messages in labelled:
            suffix = more
            if conversation_id and equal[folded(fit(stem, more))] > 1:
                suffix += f" [{cut(clean(conversation_id), _ID_BYTES)}]"
            nodes[unique(stem, suffix, taken)] = ConversationDirectory(
                times=newest_times(messages, self.shelf.fallback_s), shelf=self.shelf, source=messages
            )
        return dict(sorted(nodes.items()))


def _identity(party: Party) -> str:
    """What two records of the same party have in common; empty for one who hides all."""
    return number_of(party) or party.name


def _own_identities(messages: Iterable[Message]) -> frozenset[str]:
    """The numbers of the mailbox's owner: those that send what is outbound, or alone get what is inbound.

    An extension record does not hold its phone numbers, and a group message lists its owner among the
    recipients.
    """
    own = set()
    for message in messages:
        if is_outbound(message):
            own.add(_identity(message.sender))
        elif len(message.recipients) == 1:
            own.add(_identity(message.recipients[0]))
    return frozenset(own)


def _others(message: Message, own: frozenset[str]) -> tuple[Party, ...]:
    """Everybody in `message` but its owner; of a message to oneself, oneself; maybe nobody who is known."""
    parties = (message.sender, *message.recipients)
    others = tuple(p for p in parties if _identity(p) and _identity(p) not in own)
    return others or counterparts(message)


def _label(messages: Iterable[Message], own: frozenset[str]) -> tuple[str, str]:
    """The name of a conversation: who, and how many more as a suffix that is never cut.

    A party is called as the oldest message that names it does, so that the label seldom changes.
    """
    names: dict[str, str] = {}
    for message in messages:
        for party in _others(message, own):
            identity = _identity(party)
            names[identity] = names.get(identity) or party.name
    known = sorted(
        clean(identity if name in ("", identity) else f"{identity} {name}")
        for identity, name in names.items()
        if clean(identity)
    )
    if not known:
        return UNKNOWN, ""
    more = len(known) - _NAMED_PARTIES
    return ", ".join(known[:_NAMED_PARTIES]), f" +{more}" if more > 0 else ""
