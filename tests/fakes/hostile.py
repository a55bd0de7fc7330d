"""Records with odd values anywhere, as hypothesis strategies."""

import json
import sys
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from rcfs.platform import decoded_object

HOSTILE: list[object] = [
    *(None, True, "", " ", "\0", "/", "..", "a/../b", "\ud800", "x\udfff", "\u202e\u200b", "e\u0301" * 300),
    *(-1, 0, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, -0.0, 0.5, 1e300),
    *("9" * 19, "9" * 30, "-1", "٣", "1" * 5000, "x" * 100_000),
    *(float("nan"), float("inf"), float("-inf")),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-13-01T00:00:00Z", "2026-11-03T17:27:05"),
    *([], {}, [None], [[]], {"id": None}, {"id": {"id": []}}, {"\ud800": "\udfff"}, [7, "7", {}, []]),
]


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document, except its root."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in below:
        yield (*path, name)
        yield from places(each, (*path, name))


def at(document: Any, path: tuple[Any, ...], value: object) -> Any:
    """`document` with `value` at `path`; unchanged if it has no such place."""
    document = deepcopy(document)
    inner = document
    for name in path[:-1]:
        try:
            inner = inner[name]
        except (LookupError, TypeError):
            return document
    if isinstance(inner, (dict, list)) and path[-1] in (
        inner if isinstance(inner, dict) else range(len(inner))
    ):
        inner[path[-1]] = value
    return document


def hostile(document: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """`document` with up to four odd values in it."""

    def spoiled(odd: list[tuple[tuple[str | int, ...], object]]) -> dict[str, Any]:
        found = document
        for path, value in odd:
            found = at(found, path, value)
        return found

    anywhere = st.tuples(st.sampled_from(list(places(document))), st.sampled_from(HOSTILE))
    return st.lists(anywhere, min_size=1, max_size=4).map(spoiled)


def received(document: object) -> dict[str, Any]:
    """`document` as parsed from the wire, with escapes, NaN and numbers of any length."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        body = json.dumps(document).encode()
    finally:
        sys.set_int_max_str_digits(limit)
    return decoded_object(body, "test")
