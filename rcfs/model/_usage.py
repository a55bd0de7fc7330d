"""Usage plans: the groups that requests count for, their limits, and the classes of requests.

Source: "Rate limits" of RingCentral's API documentation. A group is a string and not an enum, because that
page announces that the names will change. A response header always wins over the prior.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NewType

import attrs

UsageGroup = NewType("UsageGroup", str)
"""Name of a usage plan group in lower case, as ``X-Rate-Limit-Group`` gives it."""

LIGHT: Final = UsageGroup("light")
MEDIUM: Final = UsageGroup("medium")
HEAVY: Final = UsageGroup("heavy")
AUTH: Final = UsageGroup("auth")

LONGEST_S: Final = 3600.0
"""Longest window and penalty that rcfs believes, in seconds. The documented ones are a minute; an hour leaves
room for changes. A longer one is a fault of the server or of a proxy, and would stop a login for all that
time, even over restarts."""

MOST_REQUESTS: Final = 100_000
"""Largest limit that rcfs believes, in requests per window: two thousand times the largest documented one.
Each used slot of a window takes memory, so a limit of 10^18 could take all of it."""


class Priority(IntEnum):
    """The class of a request; a lower value goes first."""

    PERSON = 0
    """A person waits for it."""
    METADATA = 1
    """Listings and sync."""
    READAHEAD = 2
    """Syncs that probably bring news, or of what a person has just looked at."""
    BULK = 3
    """One of many files, for a program that walks through them."""
    CRAWLER = 4
    """For an indexer, thumbnailer or scanner, and loads and syncs in the background: no user asked for it."""


@attrs.frozen
class Plan:
    """The limits of the platform for one group."""

    limit: int = attrs.field(validator=attrs.validators.ge(1))
    """Requests per window, at least 1."""
    window_s: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    """Length of the sliding window in seconds."""
    penalty_s: float = attrs.field(default=60.0, validator=attrs.validators.ge(0))
    """Seconds for which the platform refuses after a request too many; each early request restarts it."""


@attrs.frozen
class RateHeaders:
    """The ``X-Rate-Limit-*`` headers of one response."""

    group: UsageGroup
    """``X-Rate-Limit-Group`` in lower case."""
    limit: int | None = None
    """``X-Rate-Limit-Limit``; None when absent or not a positive number."""
    remaining: int | None = None
    """``X-Rate-Limit-Remaining``; None when absent or not a number of at least 0."""
    window_s: float | None = None
    """``X-Rate-Limit-Window`` in seconds; None when absent or not positive."""


PRIOR_PLANS: Mapping[UsageGroup, Plan] = MappingProxyType(
    {
        LIGHT: Plan(limit=50),
        MEDIUM: Plan(limit=40),
        HEAVY: Plan(limit=10),
        AUTH: Plan(limit=5),
    }
)
"""The plans assumed until a response tells others: the documented defaults."""
