"""Keys of a content's values in the cache."""

import re

INFO_INDEX = -1
"""The index of the info, before those of the chunks."""

_SEPARATOR = "\0"
_KEY = re.compile(r"(?P<content>[^#]+)#(?:info|(?P<index>0|[1-9][0-9]{0,17}))")


def value_key(content: str, index: int) -> str:
    """The cache's key of the chunk `index` (from 0) of `content`, or of its info."""
    return f"{content}#{'info' if index == INFO_INDEX else index}"


def with_info(key: str, info: str) -> str:
    """The key of a chunk for its file, with the info of a content that has no other chunk."""
    return f"{key}{_SEPARATOR}{info}"


def split_info(key: str) -> tuple[str, str]:
    """The key of a value from the key in its file, and the info in that; the info is empty without one."""
    key, _separator, info = key.partition(_SEPARATOR)
    return key, info


def parse_value_key(key: object) -> tuple[str, int] | None:
    """Content and index of a key from `value_key`; None for another key."""
    match = _KEY.fullmatch(key) if isinstance(key, str) else None
    if match is None:
        return None
    return match["content"], INFO_INDEX if match["index"] is None else int(match["index"])
