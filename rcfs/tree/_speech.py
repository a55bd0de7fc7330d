"""Conversations as text."""

from collections.abc import Iterable

from rcfs.model import Message
from rcfs.tree._facts import UNKNOWN, is_outbound, number_of
from rcfs.tree._message import attachment_names, has_text
from rcfs.tree._names import one_line
from rcfs.tree._times import clock_text


def conversation_text(messages: Iterable[Message]) -> bytes:
    """The text of `messages` in UTF-8, in their order, for people and for grep.

    Every line begins with the time and who speaks, so that each line that grep finds says whose it is::

        2026-11-03 17:27:05Z Bob Ray: Where are you?
        2026-11-03 17:27:05Z Bob Ray: I am at the gate.
        2026-11-03 17:28:11Z Jane Smith: [photo.jpg]

    A message of several lines has several lines here; files stand in brackets, under the names that they
    have in the message's directory. Control characters are spaces: showing the file on a terminal is safe.
    """
    return b"".join(map(spoken_lines, messages))


def spoken_lines(message: Message) -> bytes:
    """What `message` contributes to the text of its conversation: at least one line."""
    speaker = message.sender.name or number_of(message.sender)
    speaker = speaker or ("me" if is_outbound(message) else UNKNOWN)
    said = (message.subject or "").splitlines() if has_text(message) else []
    files = [f"[{name}]" for name, _ in attachment_names(message)]
    prefix = f"{clock_text(message.created_s)} {speaker}:"
    lines = [one_line(f"{prefix} {part}".rstrip()) for part in (said + files or [""])]
    return "".join(line + "\n" for line in lines).encode()
