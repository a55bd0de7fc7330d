"""Conversations as text."""

from collections.abc import Iterable, Iterator

from rcfs.model import Message, one_line
from rcfs.tree._facts import UNKNOWN, is_outbound, number_of
from rcfs.tree._message import attachment_names
from rcfs.tree._names import clean, cut
from rcfs.tree._times import clock_text

_MORE_TEXT = "    "
_FILE = "  "
"""What stands before a further line of a text, and before a file. No text gets as far to the left."""

_PIECE_BYTES = 1 << 16
"""What is written at a time: a message has a hundred bytes, and each write to a file costs 2 µs."""

_SPEAKER_BYTES = 80
"""So much of a speaker's name is shown: the end of a longer one could begin a line of the terminal."""


def conversation_pieces(messages: Iterable[Message]) -> Iterator[bytes]:
    """The text of `messages` in UTF-8, in their order, for people and for grep; piece by piece.

    No piece is empty, and each is of some messages: no more is in memory than one of them.

    A message begins with its time and who speaks, and only messages begin at the left::

        2026-11-03 17:27:05Z Bob Ray: Where are you?
            I am at the gate.
        2026-11-03 17:28:11Z Jane Smith:
          [photo.jpg]

    So nothing that somebody writes can pass for a message of somebody else: further lines of a text are
    indented by four spaces, whatever ends a line; a name holds no colon; files stand in brackets on lines of
    their own, indented by two spaces, under the names that they have in the message's directory. Control
    characters are spaces: showing the file on a terminal is safe.
    """
    piece = bytearray()
    for message in messages:
        piece += spoken_lines(message)
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def spoken_lines(message: Message) -> bytes:
    """What `message` contributes to the text of its conversation: at least one line."""
    said = (message.subject or "").splitlines() if message.has_text else []
    first, *others = said or [""]
    lines = [f"{clock_text(message.created_s)} {_speaker(message)}: {first}"]
    lines += [f"{_MORE_TEXT}{line}" for line in others]
    lines += [f"{_FILE}[{name}]" for name, _ in attachment_names(message)]
    return "".join(one_line(line).rstrip() + "\n" for line in lines).encode()


def _speaker(message: Message) -> str:
    sender = message.sender
    name = clean(sender.name) or clean(number_of(sender)) or ("me" if is_outbound(message) else UNKNOWN)
    return cut(" ".join(name.split()), _SPEAKER_BYTES)
