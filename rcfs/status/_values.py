"""The status of a running mount as values.

A time that is told to people and programs is text, ISO 8601 in UTC; an age or a wait is in seconds. None is
what nobody can tell: a database that is busy, or a mount of another version of rcfs.
"""

from collections.abc import Mapping

import attrs

KEY = "key"
"""Metadata of a field: what JSON calls it, where that is no name for a field."""


@attrs.frozen
class AccountStatus:
    """The account that is shown."""

    id: str
    name: str


@attrs.frozen
class LoginStatus:
    """Whether the server takes the credentials."""

    state: str
    """``good`` or ``refused``."""
    because: str | None
    """What the server said when it refused them."""
    tried_again_in_s: float | None
    """When rcfs tries again; None when there is no need to."""


@attrs.frozen
class GroupStatus:
    """The budget of a usage plan group."""

    group: str
    used: int
    """Slots that are taken."""
    limit: int
    window_s: float
    free_in_s: float
    """When a slot is free; 0 for now."""
    frozen_for_s: float
    """How long nothing may be sent; 0 when it may."""
    in_flight: int
    returns: tuple[int, ...]
    """How many slots return in each part of the next window."""


@attrs.frozen
class WaitingRequest:
    """A request in the queue."""

    label: str = attrs.field(metadata={KEY: "for"})
    """What it asks for."""
    by: str
    """The program that waits for it; empty for rcfs itself."""
    waited_s: float
    sent_in_s: float


@attrs.frozen
class QueueStatus:
    """The waiting requests of a usage plan group and class."""

    group: str
    priority: str = attrs.field(metadata={KEY: "class"})
    """Name of the class, such as ``person``."""
    waiting: int
    elsewhere: int
    """Requests of other processes."""
    oldest_s: float
    next_in_s: float | None
    """When the first is sent; None when none waits here."""
    all_in_s: float | None
    """When the last is sent."""
    requests: tuple[WaitingRequest, ...]
    """The first of them."""


@attrs.frozen
class CacheStatus:
    """The content cache."""

    directory: str
    size_bytes: int
    limit_bytes: int
    contents: int
    hits: int
    misses: int
    hit_ratio: float | None
    """Between 0 and 1; None before the first read."""


@attrs.frozen
class RequestCounts:
    """The requests since the start."""

    sent: int
    refused: int
    """Those that were answered with 429."""
    by_group: Mapping[str, int]
    content: int
    """Those for attachments."""


@attrs.frozen
class MailboxesStatus:
    """How many mailboxes are known and loaded."""

    loaded: int
    known: int
    messages: int


@attrs.frozen
class LoadStatus:
    """A mailbox that is being loaded."""

    extension: int
    number: str
    name: str
    since_s: float
    pages: int
    of_pages: int | None
    messages: int
    of_messages: int | None
    left_s: float | None
    """How long the rest takes; None when that is not known."""


@attrs.frozen
class LossStatus:
    """What one mailbox loses soon."""

    extension: int
    number: str
    name: str
    messages: int
    uncached: int
    """Attachments that the cache does not have."""
    first_created: str | None
    first_goes: str
    first_goes_in_s: float
    certain: bool
    """Whether it is told by the server, and not only documented."""


@attrs.frozen
class RetentionStatus:
    """How long messages are kept, and what goes next."""

    configured_days: int | None
    """As the account is set; None when that is not known."""
    asked: str | None
    """When the server was asked."""
    unknown_because: str | None
    within_days: float
    """What goes within this time is in `mailboxes`."""
    mailboxes: tuple[LossStatus, ...]


@attrs.frozen
class HintsStatus:
    """Whether the server tells of changes."""

    state: str
    """``on`` or ``off``."""
    since: str | None
    mailboxes: int
    off_because: str | None


@attrs.frozen
class ReadersStatus:
    """The processes that wait for content."""

    waiting: int
    limit: int


@attrs.frozen
class ErrorStatus:
    """One thing that went wrong."""

    at: str
    event: str
    detail: str


@attrs.frozen(kw_only=True)
class Status:
    """What a running mount says of itself; the fields stand in the order of the JSON object."""

    version: str | None = None
    pid: int | None = None
    mountpoint: str | None = None
    started: str | None = None
    uptime_s: float | None = None
    server: str | None = None
    """Origin of the platform."""
    network: str | None = None
    """``up``, or what is wrong with it in a word."""
    network_problem: str | None = None
    """The same in a sentence; None when nothing is."""
    account: AccountStatus | None = None
    login: LoginStatus | None = None
    quota: tuple[GroupStatus, ...] | None = None
    queue: tuple[QueueStatus, ...] | None = None
    cache: CacheStatus | None = None
    requests: RequestCounts | None = None
    mailboxes: MailboxesStatus | None = None
    loads: tuple[LoadStatus, ...] | None = None
    retention: RetentionStatus | None = None
    hints: HintsStatus | None = None
    readers: ReadersStatus | None = None
    errors: tuple[ErrorStatus, ...] | None = None
