"""The position of an answer's body in a content: the rules for everything that a server may answer.

Pure, so that each odd answer of the platform is a line in a test. Source: RFC 9110, 14 and 15.3.7; the
API's documentation: "the server may respond with a 206 even if the Range header was not sent".
"""

import attrs

from rcfs.errors import ServerError
from rcfs.model import ByteRange


@attrs.frozen
class Head:
    """The facts about a body that the status and the headers of its answer tell."""

    status: int
    """200, 206 or 416."""
    content_length: int | None = None
    """Length of the body in bytes; None without that header."""
    content_range: tuple[int | None, int | None, int | None] = (None, None, None)
    """(start, stop, total) in bytes, stop exclusive; None for each number that the header lacks."""
    encoded: bool = False
    """Whether the body is compressed, so that lengths and positions count other bytes."""


@attrs.frozen
class Placement:
    """The position of a body in the content."""

    start: int
    """Position of its first byte."""
    stop: int | None
    """One past its last byte, as promised; None when nothing is promised."""
    total: int | None
    """Size of the whole content in bytes; None when unknown."""


class MisplacedError(ServerError):
    """The position of a body is not certain; the next request must ask for the whole content."""


def place(head: Head, asked: ByteRange | None, first: int, *, lenient: bool = False) -> Placement:
    """The position of the body that answers `asked`; `first` is the first byte that was missing.

    A 416 that confirms that the content ends at `first` gives an empty placement there. With `lenient`, a 206
    without a Content-Range counts as the part that was asked for: only for a server that has answered a
    request for the whole content with such a 206.

    Raises:
        MisplacedError: The body begins after `first`, its headers contradict each other, or they do not tell
            its position.
    """
    start, stop, total = head.content_range
    if head.status == 416:
        if total is not None and total == first:
            return Placement(first, first, first)
        raise MisplacedError("the server refused a range that the content should have")
    if head.status == 200:
        whole = None if head.encoded else head.content_length
        return Placement(0, whole, whole)
    if head.encoded:
        raise MisplacedError("the server sent a part of the compressed content, so its position is unknown")
    if start is None or stop is None:
        if asked is not None and not lenient:
            raise MisplacedError("the server did not say which part of the content it sent")
        start = asked.start if asked is not None else 0
        stop = None if head.content_length is None else start + head.content_length
    elif head.content_length is not None and head.content_length != stop - start:
        raise MisplacedError(
            "the server sent a Content-Range and a Content-Length that contradict each other"
        )
    if start > first:
        raise MisplacedError("the server sent a later part of the content than rcfs asked for")
    if total is not None and stop is not None and stop > total:
        raise MisplacedError("the server sent a Content-Range that reaches past the end of the content")
    return Placement(start, stop, total)
