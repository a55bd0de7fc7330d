"""JSON from a server → a document that nothing in rcfs can stumble over.

A server may send anything, and one odd value in a page of a thousand records must cost that value, not the
page. So what no other room could hold is replaced here, wherever it stands:

    an integer beyond 64 bits, NaN, Infinity, 1e999   null    no id is one; Python reads 4,300 digits at most
    half of a surrogate pair                          U+FFFD  UTF-8, and so every file and database, has none
    what lies deeper than `MAX_DEPTH`                 null    Python's own limit ends in a RecursionError

Of a key that comes twice the last value counts. Bytes that are not UTF-8, or not JSON, are refused whole. How
many bytes there may be is decided by who receives them.
"""

import json
import math
import re
from typing import Any

from rcfs.errors import ServerError
from rcfs.model import valid

MAX_DEPTH = 32
"""Objects and arrays within one another. A page of messages has 6, the deepest answer of the API that rcfs
asks for (an extension with its permissions) 7."""
_INT_LETTERS = 20
"""Digits of the largest unsigned integer of 64 bits, as ids of conversations are; or a sign and 19 digits."""
_INT_END = 1 << 64
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escaped half of a pair; mostly the other half is there as well."""
_PAIR = re.compile(r"(?<!\\)\\u[dD][89abAB]..\\u[dD][c-fC-F]..", re.DOTALL)
"""Both halves, which mean one character."""
_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"|([\[{])|([\]}])', re.DOTALL)
"""Strings, which are passed over, and what opens or closes."""


def decoded(body: bytes | str, operation: str) -> Any:
    """The document that `body` is, with nothing in it that rcfs cannot hold; `operation` names the answer.

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
        # Without its cause, which holds the text: that may be a token, or what somebody wrote.
        raise ServerError(f"{operation}: the answer is not JSON ({type(exc).__name__})") from None
    if _SURROGATE.search(text) and _SURROGATE.search(_PAIR.sub("", text)):
        return _whole(document)
    return document


def decoded_object(body: bytes | str, operation: str) -> dict[str, Any]:
    """As `decoded`, for an answer that is an object.

    Raises:
        ServerError: It is not JSON in UTF-8, or no object.
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
    """Whether objects and arrays lie more than `depth` within one another in `value`."""
    if not isinstance(value, (dict, list)):
        return False
    # Without any(): a page has 50,000 values, and its generators would cost half as much as parsing.
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, (dict, list)) and (depth <= 1 or _is_deeper(each, depth - 1)):
            return True
    return False


def _pruned(text: str) -> str:
    """`text` with null in place of what lies deeper than `MAX_DEPTH`."""
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
    """`value`, at most `MAX_DEPTH` deep, with every text in it made `valid`."""
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {valid(name): _whole(each) for name, each in value.items()}
    return value
