"""The text of conversations."""

from collections.abc import Iterable, Iterator

from rcfs.model import Message, one_line
from rcfs.tree._facts import UNKNOWN
from rcfs.tree._message import attachment_names
from rcfs.tree._names import clean, cut
from rcfs.tree._pieces import pieces_of
from rcfs.tree._times import clock_text

_MORE_TEXT = "    "
_FILE = "  "
"""Indentation of further lines of a text, and of files; only messages begin at the left margin."""

_SPEAKER_BYTES = 80
"""Longest name of a speaker: a terminal could wrap a longer one, whose end would look like a new line."""


def conversation_pieces(messages: Iterable[Message]) -> Iterator[bytes]:
    """The text of `messages` in UTF-8, in their order, for people and for grep, in pieces of whole messages.

    No piece is empty, and only one of them is in memory.

    A message begins with its time and the speaker, at the left margin::

        2026-11-03 17:27:05Z Bob Ray: Where are you?
            I am at the gate.
        2026-11-03 17:28:11Z Jane Smith:
          [photo.jpg]

    No text can pass for a message of another speaker: further lines of a text are indented by four spaces,
    with any kind of line end, and the name of a speaker holds no colon. Each file has its own line, indented
    by two spaces, with its name in brackets as in the directory of the message. Control characters become
    spaces, so the file is safe to show on a terminal.
    """
    return pieces_of(map(spoken_lines, messages))


def spoken_lines(message: Message) -> bytes:
    """The lines of one message in the text of its conversation, at least one."""
    said = (message.subject or "").splitlines() if message.has_text else []
    first, *others = said or [""]
    lines = [f"{clock_text(message.created_s)} {_speaker(message)}: {first}"]
    lines += [f"{_MORE_TEXT}{line}" for line in others]
    lines += [f"{_FILE}[{name}]" for name, _ in attachment_names(message)]
    return "".join(one_line(line).rstrip() + "\n" for line in lines).encode()


def _speaker(message: Message) -> str:
    sender = message.sender
    name = clean(sender.name) or clean(sender.number) or ("me" if message.is_outbound else UNKNOWN)
    return cut(" ".join(name.split()), _SPEAKER_BYTES)
