"""Decodes JSON from a server, and replaces values that other rooms could not handle.

A server may send anything, and one odd value in a page of a thousand records must cost that value, not the
page. So these are replaced, wherever they stand:

    an integer beyond 64 bits, NaN, Infinity, 1e999   null    not an id; Python reads 4,300 digits at most
    half of a surrogate pair                          U+FFFD  impossible in UTF-8, in every file and database
    a value deeper than `MAX_DEPTH`                   null    Python's own limit ends in a RecursionError

If a key appears twice, its last value counts. Bytes that are not UTF-8 or not JSON are refused as a whole.
The receiver bounds the size (`Answer.body`).
"""

import json
import math
import re
from typing import Any

from rcfs.errors import ServerError
from rcfs.model import valid

MAX_DEPTH = 32
"""Deepest nesting of objects and arrays. A page of messages has 6; the deepest answer that rcfs asks for, an
extension with its permissions, 7."""
_INT_LETTERS = 20
"""Most characters of an integer: 20 digits for 64 bits unsigned, as conversation ids are, or a sign and
19."""
_INT_END = 1 << 64
"""End of the integers that rcfs keeps: ids are 64 bits unsigned at most."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escaped half of a pair; usually the other half is there, too."""
_PAIR = re.compile(r"(?<!\\)\\u[dD][89abAB]..\\u[dD][c-fC-F]..", re.DOTALL)
"""Both halves, which are one character."""
_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"|([\[{])|([\]}])', re.DOTALL)
"""A string (no group), an opening bracket (group 1), or a closing one (group 2)."""


def decoded(body: bytes | str, operation: str) -> Any:
    """The JSON document in `body`, its odd values replaced; `operation` names the answer in errors.

    For worker threads: a page of 1,000 messages takes tens of milliseconds.

    Raises:
        ServerError: It is not JSON in UTF-8.
    """
    try:
        text = body if isinstance(body, str) else body.decode("utf-8-sig")
        try:
            document = _parsed(text)
        except RecursionError:
            document = _parsed(_pruned(text))
        else:
            if _is_deeper(document, MAX_DEPTH):
                document = _parsed(_pruned(text))
    except (ValueError, RecursionError) as exc:
        # Without its cause, which holds the text: a token perhaps, or a message.
        raise ServerError(f"{operation}: the answer is not JSON ({type(exc).__name__})") from None
    if _SURROGATE.search(text) and _SURROGATE.search(_PAIR.sub("", text)):
        return _whole(document)
    return document


def decoded_object(body: bytes | str, operation: str) -> dict[str, Any]:
    """As `decoded`, for an answer that must be an object.

    Raises:
        ServerError: It is not JSON in UTF-8, or not an object.
    """
    document = decoded(body, operation)
    if not isinstance(document, dict):
        raise ServerError(f"{operation}: the answer is not a JSON object")
    return document


def _int(digits: str) -> int | None:
    number = int(digits) if len(digits) <= _INT_LETTERS else _INT_END
    return number if number < _INT_END else None


def _float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _parsed(text: str) -> Any:
    return json.loads(text, parse_int=_int, parse_float=_float, parse_constant=lambda _name: None)


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether objects and arrays are nested more than `depth` deep in `value`."""
    if not isinstance(value, (dict, list)):
        return False
    # Without any(): a page has 50,000 values, and its generators would cost half as much as parsing.
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, (dict, list)) and (depth <= 1 or _is_deeper(each, depth - 1)):
            return True
    return False


def _pruned(text: str) -> str:
    """`text` with null in place of values deeper than `MAX_DEPTH`."""
    parts: list[str] = []
    depth = kept = 0
    for match in _BRACKET.finditer(text):
        if match[1]:
            depth += 1
            if depth == MAX_DEPTH + 1:
                parts += [text[kept : match.start()], "null"]
        elif match[2]:
            depth -= 1
            if depth == MAX_DEPTH:
                kept = match.end()
    return "".join([*parts, text[kept:]])


def _whole(value: Any) -> Any:
    """`value`, which is at most `MAX_DEPTH` deep, with every text in it made `valid`."""
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {valid(name): _whole(each) for name, each in value.items()}
    return value
