"""Readings of what people type: sizes, limits and dates.

Each raises ValueError with a reason that fits after "NAME: "; the caller knows which option, variable or
key it came from.
"""

import re
from datetime import UTC, datetime
from difflib import get_close_matches

from rcfs.model import PRIOR_PLANS, Plan, UsageGroup

LIMIT_FORM = "GROUP=N[/WINDOW[/PENALTY]]"
"""How a limit is written: requests per window, then the lengths of window and penalty in seconds."""

_DECIMAL = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?", re.IGNORECASE | re.ASCII)
_AGO_S = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_AGO = re.compile(r"(\d{1,6})([hdw])", re.ASCII)
_ALIKE = 0.75
"""Likeness to a known group from which a name is a slip: of `medum` it is 0.91, of `meduim` 0.83."""
_GROUP = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
_SECONDS = r"\d+(?:\.\d+)?"
_LIMIT = re.compile(
    rf"(?P<group>[^=]*)=(?P<limit>\d+)(?:/(?P<window>{_SECONDS})(?:/(?P<penalty>{_SECONDS}))?)?", re.ASCII
)


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
    """The moment that `text` means, in seconds since 1970 UTC: a UTC date, an ISO 8601 time, or ``30d`` ago.

    Raises:
        ValueError: `text` is none of them.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now_s - int(ago[1]) * _AGO_S[ago[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is no date; write 2026-11-01, 2026-11-01T12:00:00Z, or 30d (also h and w)"
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def parse_limit(text: str) -> tuple[UsageGroup, Plan]:
    """Group and plan of a limit such as ``medium=40`` or ``medium=5/10/30``, see `LIMIT_FORM`.

    What is left out is as `Plan` has it.

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
    """The usage plan group called `name`, whatever its case.

    Groups are not a closed set: the platform may have new ones. So only what looks like a known one that is
    misspelt is refused.

    Raises:
        ValueError: No group can be called so, or it looks misspelt.
    """
    group = name.strip().lower()
    if not _GROUP.fullmatch(group):
        raise ValueError(f"{name!r} is not the name of a usage plan group, such as medium")
    close = [] if group in PRIOR_PLANS else get_close_matches(group, list(PRIOR_PLANS), n=1, cutoff=_ALIKE)
    if close:
        raise ValueError(f"there is no usage plan group {name!r}; did you mean {close[0]}?")
    return UsageGroup(group)
