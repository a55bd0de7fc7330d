"""The ``Range`` header: cuts the requested part out of a content."""

import re
from collections.abc import Mapping

import trio

from rcfs.simulator._wire import Answer, ApiError, Part, Whole

_RANGE = re.compile(r"bytes=(?:(?P<first>\d+)-(?P<last>\d*)|-(?P<suffix>\d+))")
"""One range (RFC 9110, 14.1.1). Lists of ranges are refused: the platform's answer to one is unknown."""


async def cut(whole: Whole, header: str) -> Answer:
    """The answer to a request for `whole` with the ``Range`` header `header`, empty for none.

    Raises:
        ApiError: 416 CMN-107, the header is malformed or begins behind the end.
    """
    size = await trio.to_thread.run_sync(lambda: whole.source.size_bytes)
    if not header:
        return Answer(200, whole.headers, Part(whole.source, 0, size, size))
    start, stop = requested_bytes(header, size)
    return partial_answer(whole.headers, Part(whole.source, start, stop, size))


def partial_answer(headers: Mapping[str, str], part: Part) -> Answer:
    """A 206 answer with `part`, its Content-Range, and `headers`."""
    named = {"Content-Range": f"bytes {part.start}-{part.stop - 1}/{part.whole_bytes}"}
    return Answer(206, {**headers, **named}, part)


def requested_bytes(header: str, size_bytes: int) -> tuple[int, int]:
    """The bytes ``[start, stop)`` of a content of `size_bytes` that a ``Range`` header asks for.

    Raises:
        ApiError: 416 CMN-107, the header is malformed or begins behind the end.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is not None and match["suffix"] is not None:
        start, stop = max(0, size_bytes - int(match["suffix"])), size_bytes
    elif match is not None:
        start = int(match["first"])
        stop = min(int(match["last"]) + 1, size_bytes) if match["last"] else size_bytes
    else:
        start = stop = 0
    if start >= stop:
        raise ApiError(
            416,
            "CMN-107",
            "Requested range is not satisfiable",
            headers={"Content-Range": f"bytes */{size_bytes}"},
        )
    return start, stop
