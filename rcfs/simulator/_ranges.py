"""The ``Range`` header: from a whole content to the answer with the part of it that was asked for."""

import re
from collections.abc import Callable

import trio

from rcfs.simulator._wire import Answer, ApiError, Part, Span, Whole

_RANGE = re.compile(r"bytes=(?:(?P<first>\d+)-(?P<last>\d*)|-(?P<suffix>\d+))")
"""One range (RFC 9110, 14.1.1). Lists of ranges count as bad: nobody has seen the platform answer one."""


async def cut(whole: Whole, header: str, reshape: Callable[[Span, int], Span]) -> Answer:
    """The answer to a request for `whole`.

    Args:
        whole: The content.
        header: ``Range`` header of the request; empty when it has none.
        reshape: What a fault makes of the bytes that are asked for, given the size of the content.

    Raises:
        ApiError: 416 CMN-107, the header makes no sense or begins behind the end.
    """
    size = await trio.to_thread.run_sync(lambda: whole.source.size_bytes)
    span = reshape(requested_span(header, size), size)
    headers = dict(whole.headers)
    if span.partial:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    return Answer(206 if span.partial else 200, headers, Part(whole.source, span.start, span.stop))


def requested_span(header: str, size_bytes: int) -> Span:
    """The bytes of a content of `size_bytes` that a ``Range`` header asks for; all when it is empty.

    Raises:
        ApiError: 416 CMN-107, the header makes no sense or begins behind the end.
    """
    if not header:
        return Span(0, size_bytes, partial=False)
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
    return Span(start, stop, partial=True)
