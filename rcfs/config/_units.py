"""Parsers of the values of options, variables and config keys: sizes, limits, dates, waits, names.

Each raises ValueError with a reason that fits after "NAME: "; the caller knows which option, variable or
key the value came from.
"""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from rcfs.config._settings import CRAWLER_POLICIES
from rcfs.model import CHUNK_BYTES, PRIOR_PLANS, Plan, UsageGroup

_MOST_WAIT_ONLINE_S = 86_400.0
_MOST_SHARED_WAIT_S = 60.0
_DELETE_LIMIT_DIGITS = 9
"""Digits of the largest limit of deletions: more than anybody has messages."""
"""Longest wait for the network that a user may set, in seconds: a day, by which people have given up."""

LIMIT_FORM = "GROUP=N[/WINDOW[/PENALTY]]"
"""How a limit is written: requests per window, then the lengths of window and penalty in seconds."""

_DECIMAL = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?", re.IGNORECASE | re.ASCII)
_AGO_S = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_AGO = re.compile(r"(\d{1,6})([hdw])", re.ASCII)
_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s?)?", re.ASCII)
_PORT_DIGITS = 5
"""Digits of the largest port, 65535."""
_ALIKE = 0.75
"""Likeness to a known group from which a name is a slip: of `medum` it is 0.91, of `meduim` 0.83."""
_SUBTYPE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}", re.ASCII)
"""A subtype that cannot be misread; a comma, for example, would begin another mount option."""
_GROUP = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
_SECONDS = r"\d+(?:\.\d+)?"
_LIMIT = re.compile(
    rf"(?P<group>[^=]*)=(?P<limit>\d+)(?:/(?P<window>{_SECONDS})(?:/(?P<penalty>{_SECONDS}))?)?", re.ASCII
)


def parse_login_part(text: str) -> str | None:
    """A client id, client secret or JWT without the space around it; None if nothing is left.

    Raises:
        ValueError: `text` has control characters, or bytes that are not UTF-8; no credential has.
    """
    text = text.strip()
    if not text.isprintable():
        raise ValueError("this has control characters, or bytes that are not UTF-8; copy it again")
    return text or None


def parse_size(text: str) -> int:
    """Bytes of a size such as ``10GiB``, ``500M`` or ``123456``.

    ``K``, ``M``, ``G`` and ``T`` alone are binary, as coreutils read them; ``MB`` is decimal and ``MiB``
    binary (IEC 80000-13).

    Raises:
        ValueError: `text` is no such size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write 10GiB, 500M or a number of bytes")
    number, unit = match[1], (match[2] or "B").upper()
    factor = 1 if unit == "B" else _DECIMAL.get(unit) or _BINARY[unit[0]]
    return int(float(number) * factor) if "." in number else int(number) * factor


def parse_since(text: str, now_s: float) -> float:
    """The time that `text` names, in seconds since 1970 UTC: a UTC date, an ISO 8601 time, or ``30d`` ago.

    Raises:
        ValueError: `text` has another form.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now_s - int(ago[1]) * _AGO_S[ago[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a date; write 2026-11-01, 2026-11-01T12:00:00Z, or an age: 12h, 30d, 2w"
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def parse_duration(text: str) -> float:
    """Seconds of a length such as ``30s``, ``2m``, ``1h30m`` or ``90``, which are seconds.

    Raises:
        ValueError: `text` has another form.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not a length of time; write 30s, 2m, 1h30m or a number of seconds")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def parse_limit(text: str) -> tuple[UsageGroup, Plan]:
    """Group and plan of a limit such as ``medium=40`` or ``medium=5/10/30``, see `LIMIT_FORM`.

    Window and penalty default to those of `Plan`.

    Raises:
        ValueError: `text` has another form, or a number is out of the bounds of `Plan`.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a limit; write {LIMIT_FORM}, such as medium=40")
    times_s = {"window_s": match["window"], "penalty_s": match["penalty"]}
    given = {name: float(time_s) for name, time_s in times_s.items() if time_s is not None}
    return parse_group(match["group"]), Plan(int(match["limit"]), **given)


def parse_group(name: str) -> UsageGroup:
    """The usage plan group called `name`, in upper or lower case.

    The platform may add groups, so an unknown name is accepted unless it looks like a misspelt known one.

    Raises:
        ValueError: No group can have this name, or it looks misspelt.
    """
    group = name.strip().lower()
    if not _GROUP.fullmatch(group):
        raise ValueError(f"{name!r} is not the name of a usage plan group, such as medium")
    close = [] if group in PRIOR_PLANS else get_close_matches(group, list(PRIOR_PLANS), n=1, cutoff=_ALIKE)
    if close:
        raise ValueError(f"there is no usage plan group {name!r}; did you mean {close[0]}?")
    return UsageGroup(group)


def parse_path(path: str | Path) -> Path:
    """`path` as an absolute path, ``~`` expanded.

    Raises:
        ValueError: It is empty, or names the home directory of an unknown user.
    """
    if not str(path).strip():
        raise ValueError("a path must not be empty")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as exc:
        raise ValueError(f"{path}: there is no such home directory") from exc


def parse_shared(text: str) -> str:
    """A place for shared contents: an absolute path, or a URL such as ``s3://bucket/prefix``.

    Raises:
        ValueError: The URL holds a secret or a query, or the path cannot be used.
    """
    scheme, colon, rest = text.strip().partition("://")
    if not colon:
        return str(parse_path(text.strip()))
    if "@" in rest.partition("/")[0]:
        raise ValueError("the URL must hold no key; put it into the environment or cache.shared_options")
    if not rest or "?" in rest or "#" in rest:
        raise ValueError("write a bucket or a container, such as s3://bucket/prefix, without a query")
    return f"{scheme.lower()}://{rest.rstrip('/')}"


def parse_shared_wait(wait_s: str | float) -> float:
    """Seconds of the longest wait for the shared store, above 0 and at most a minute.

    Raises:
        ValueError: `wait_s` is no number, or out of these bounds.
    """
    try:
        number = float(wait_s)
    except ValueError:
        number = 0.0
    if not 0 < number <= _MOST_SHARED_WAIT_S:
        raise ValueError(
            f"the wait for the shared store must be above 0 and at most {_MOST_SHARED_WAIT_S:.0f} s"
        )
    return number


def parse_cache_size(size: str | int) -> int:
    """Bytes of a cache; it holds at least one chunk.

    Raises:
        ValueError: `size` is not a size, or too small.
    """
    return _bytes(size, CHUNK_BYTES, "the cache needs at least 1 MiB; write 10GiB, 500M or a number of bytes")


def parse_max_content(size: str | int) -> int:
    """Bytes of the largest content to fetch, at least one.

    Raises:
        ValueError: `size` is not a size, or too small.
    """
    return _bytes(size, 1, "the largest content has at least 1 byte; write 4GiB, 500M or a number of bytes")


def _bytes(size: str | int, least: int, problem: str) -> int:
    size_bytes = size if isinstance(size, int) else parse_size(size)
    if size_bytes < least:
        raise ValueError(problem)
    return size_bytes


def parse_max_wait(wait_s: float) -> float:
    """Seconds of the longest wait for content, above 0 and finite.

    Raises:
        ValueError: `wait_s` is out of these bounds.
    """
    if not (wait_s > 0 and math.isfinite(wait_s)):
        raise ValueError("the longest wait must be a positive number of seconds")
    return float(wait_s)


def parse_wait_online(wait_s: float) -> float:
    """Seconds of the longest wait for the network, at most a day.

    Raises:
        ValueError: `wait_s` is out of these bounds.
    """
    if not 0 <= wait_s <= _MOST_WAIT_ONLINE_S:
        raise ValueError(f"the wait for the network must be 0 to {_MOST_WAIT_ONLINE_S:.0f} seconds")
    return float(wait_s)


def parse_flag(value: str | bool) -> bool:
    """Whether something is wanted, by a setting or a variable of the environment.

    Raises:
        ValueError: `value` is neither true nor false.
    """
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    found = value if isinstance(value, bool) else words.get(value.lower())
    if found is None:
        raise ValueError("write true or false")
    return found


def parse_delete_limit(limit: str | int) -> int:
    """Deletions in an hour that need no confirmation; 0 for none.

    Raises:
        ValueError: `limit` is no such number.
    """
    text = str(limit)
    if not (text.isascii() and text.isdecimal()) or len(text) > _DELETE_LIMIT_DIGITS:
        raise ValueError("the limit of deletions in an hour must be a number, such as 100, or 0")
    return int(text)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9817``, ``[::1]:9817`` or ``9817``, which is a port of this machine only.

    Raises:
        ValueError: `text` is no such address.
    """
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    is_port = port.isascii() and port.isdecimal() and len(port) <= _PORT_DIGITS and 0 < int(port) < 1 << 16
    if not is_port or (":" in host) != text.strip().startswith("["):
        raise ValueError(f"{text!r} is not an address with a port; write 127.0.0.1:9817 or [::1]:9817")
    return host or "127.0.0.1", int(port)


def parse_textfile(text: str) -> Path:
    """The path of a file for node_exporter, which reads only files whose name ends with ``.prom``.

    Raises:
        ValueError: The name ends otherwise.
    """
    path = parse_path(text)
    if path.suffix != ".prom":
        raise ValueError("the name must end with .prom, because node_exporter reads no other file")
    return path


def parse_programs(names: Iterable[str]) -> tuple[str, ...]:
    """Names of programs, without their directories.

    Raises:
        ValueError: A name is empty or has a slash.
    """
    kept = tuple(names)
    if not all(name.strip() and "/" not in name for name in kept):
        raise ValueError("write the name of a program without its directory, such as tumblerd")
    return kept


def parse_crawler_policy(text: str) -> str:
    """One of `CRAWLER_POLICIES`.

    Raises:
        ValueError: `text` is something else.
    """
    if text not in CRAWLER_POLICIES:
        raise ValueError(f"the policy for crawlers must be {' or '.join(CRAWLER_POLICIES)}")
    return text


def parse_subtype(text: str) -> str:
    """A subtype for the type of a FUSE mount, ``fuse.SUBTYPE``.

    Raises:
        ValueError: The kernel or mount(8) would misread it.
    """
    if not _SUBTYPE.fullmatch(text):
        raise ValueError("a file system type is a letter, then up to 31 letters, digits, '.', '_' and '-'")
    return text
