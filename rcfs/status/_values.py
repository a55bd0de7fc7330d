"""The status of a running mount as values.

A point in time is text, ISO 8601 in UTC; a duration is in seconds. None means that the value is not known,
because a database is busy, or because the status comes from another version of rcfs.
"""

from collections.abc import Mapping

import attrs

from rcfs.model import RECORDING_DAYS
from rcfs.status._watch_values import KEY, PullsStatus, ReaderStatus, TrafficStatus, WaitStatus


@attrs.frozen
class AccountStatus:
    """The account that is shown."""

    id: str
    name: str


@attrs.frozen
class LoginStatus:
    """Whether the server accepts the credentials."""

    state: str
    """``good`` or ``refused``."""
    because: str | None
    """The reason that the server gave for a refusal; None for ``good``."""
    tried_again_in_s: float | None
    """When rcfs tries again; None for ``good``, and for a login that only a person can renew."""
    command: str = "rcfs login"
    """The command with which a person saves other credentials."""


@attrs.frozen
class GroupStatus:
    """The budget of a usage plan group."""

    group: str
    used: int
    """Slots of the window that are taken."""
    limit: int
    window_s: float
    free_in_s: float
    """Time until a slot is free; 0 for now."""
    frozen_for_s: float
    """Time during which nothing may be sent; 0 when the group is not frozen."""
    in_flight: int
    """Requests that were sent and not answered yet."""
    returns: tuple[int, ...]
    """How many slots return in each part of the next window."""
    left: int = 0
    """Slots that rcfs leaves to other machines while the server of the quota cannot be reached."""

    @property
    def free(self) -> int:
        """Requests that may be sent now; 0 in a penalty."""
        return 0 if self.frozen_for_s else max(0, self.limit - self.used - self.left)


@attrs.frozen
class LedgerStatus:
    """The server that keeps the quota for several machines."""

    server: str
    """Its address."""
    state: str
    """``up``, or ``gone`` while it cannot be reached."""
    because: str | None
    """Why it cannot be reached; None for ``up``."""
    peers: tuple[str, ...]
    """The processes that share the quota, as host:pid; those that were seen last for ``gone``."""
    since: str | None = None
    """Since when it cannot be reached; None for ``up``."""
    part: float = 1.0
    """The part of each limit that this process uses now, from 0 to 1; 1 for ``up``."""
    awaited: tuple[str, ...] = ()
    """The processes that must be heard before anybody sends: the server lost their changes."""
    waits_s: float = 0.0
    """For how many seconds, at most, rcfs still sends nothing because of an outage."""


@attrs.frozen
class PoolLoginStatus:
    """A further login, which fetches contents."""

    name: str
    state: str
    """``good``, ``unused``, ``refused``, ``failing``, ``another account``, ``double`` or ``unusable``."""
    because: str | None
    """Why rcfs does not fetch with it; None if it does, or will."""
    quota: tuple[GroupStatus, ...]
    """Its budget."""
    contents: int
    """Contents that it has brought."""
    closed: int
    """Mailboxes, and owners of recordings, that it may not read."""


@attrs.frozen
class WaitingRequest:
    """A request in the queue."""

    label: str = attrs.field(metadata={KEY: "for"})
    """The content or list that it asks for."""
    by: str
    """Name of the program that waits for the answer; empty for rcfs itself."""
    waited_s: float
    sent_in_s: float


@attrs.frozen
class QueueStatus:
    """The waiting requests of a usage plan group in one class."""

    group: str
    priority: str = attrs.field(metadata={KEY: "class"})
    """Name of the class, such as ``person``."""
    waiting: int
    elsewhere: int
    """Requests that wait in other processes."""
    oldest_s: float
    next_in_s: float | None
    """Time until the first is sent; None when no request waits in this process."""
    all_in_s: float | None
    """Time until the last is sent; None when no request waits in this process."""
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
class SharedStatus:
    """The store that shares contents with other machines."""

    place: str
    """A directory or a URL, without secrets."""
    passed_over_because: str | None
    """Why rcfs works without it, or only reads it, at present; None while it is used."""
    hits: int
    """Contents that came from it since the start."""
    misses: int
    written: int
    """Contents that were written to it."""
    waiting: int
    """Contents that wait to be written."""
    dropped: int
    """Contents that could not be written."""
    wrong: int
    """Objects that were damaged, or not what they should be."""
    taken_over: int
    """Claims that were taken over from machines that had died."""
    to_erase: int
    """Messages whose contents wait to be erased from it."""
    is_read: bool = False
    """Whether contents come from it; while it is full, for example, none go to it."""


@attrs.frozen
class RequestCounts:
    """The requests since the start."""

    sent: int
    refused: int
    """Requests that were answered with 429."""
    by_group: Mapping[str, int]
    content: int
    """Requests for attachments."""
    by_outcome: Mapping[str, Mapping[str, int]] = attrs.field(factory=dict)
    """By group, the numbers of requests with each outcome: ``ok``, ``rate_limited``, ``client_error``,
    ``server_error`` or ``unanswered``."""


@attrs.frozen
class MailboxesStatus:
    """How many mailboxes there are, and what is loaded of them."""

    loaded: int
    known: int
    """Extensions, without those that are known to have no mailbox."""
    messages: int
    """Messages in the loaded mailboxes."""
    off_because: str | None = None
    """Why the login may read no mailbox; None if it may, or if that is not known."""


@attrs.frozen
class LoadStatus:
    """The load of a mailbox that is under way."""

    extension: int
    number: str
    name: str
    since_s: float
    pages: int
    of_pages: int | None
    messages: int
    of_messages: int | None
    left_s: float | None
    """Time that the rest takes; None when it is not known."""


@attrs.frozen
class CallOwnerStatus:
    """The calls of one owner in the index."""

    extension: int | None
    """Internal id; None for the company, which has the calls of everybody."""
    number: str
    name: str
    calls: int
    recordings: int
    """Recordings that the owner shows; those of the company belong to no extension that is shown."""


@attrs.frozen
class CallLoadStatus:
    """The load of a month of a call log that is under way."""

    extension: int | None
    """Internal id; None for the company."""
    month: str
    since_s: float
    pages: int
    of_pages: int | None
    calls: int
    of_calls: int | None
    left_s: float | None
    """Time that the rest takes; None when it is not known."""


@attrs.frozen
class CallsStatus:
    """The call logs and recordings."""

    off_because: str | None
    """Why the tree shows no calls, such as a missing scope; None if it shows them."""
    log: str
    """``company`` if rcfs reads the log of the company, ``extensions`` if it reads that of each extension."""
    company_refused: str | None
    """Why rcfs does not read the company's log; None if it does."""
    recordings_refused: str | None
    """Why rcfs cannot read recordings, such as a missing scope; None if it may."""
    calls: int
    recordings: int
    owners: tuple[CallOwnerStatus, ...]
    """The owners with calls in the index; the company first, then those with the most calls."""
    recordings_a_day: float | None
    """New recordings a day, by the newest loaded months; None if too little is loaded."""
    fetched_a_day: float
    """Most recordings that the budget of the logins brings in a day."""
    loads: tuple[CallLoadStatus, ...]
    logins: int = 1
    """Number of the logins that fetch recordings."""


@attrs.frozen
class AbsentStatus:
    """A list that the platform does not have, or never shows to this login."""

    collection: str
    """Its id, such as ``greetings/101``."""
    because: str


@attrs.frozen
class GreetingsStatus:
    """The lists of greetings and prompts."""

    loaded: int
    absent: tuple[AbsentStatus, ...]


@attrs.frozen
class ExportStatus:
    """An export that was asked for."""

    kind: str
    """Name of its directory, such as ``Messages``."""
    name: str
    state: str
    """``Waiting``, ``Asked``, or a word of the platform such as ``InProgress``."""
    is_final: bool
    """Whether the state stays."""
    since: str
    next_look: str | None
    """When rcfs asks the platform again; None if it does not, or if that depends on other exports."""
    left_s: float | None
    """Time until it is probably complete, by how long earlier ones took; None when that is not known."""
    task_id: str | None
    """The platform's id; None until it is known."""
    archives: int
    size_bytes: int
    """Sum of the known sizes of the archives."""
    problem: str | None
    """Why it waits, or what is wrong; None for nothing."""


@attrs.frozen
class ExportRefusalStatus:
    """A kind of exports that the login does not have."""

    kind: str
    because: str


@attrs.frozen
class ExportsStatus:
    """The exports of the account."""

    refused: tuple[ExportRefusalStatus, ...]
    exports: tuple[ExportStatus, ...]


@attrs.frozen
class OutboxStatus:
    """The messages with changes that RingCentral has not confirmed yet."""

    waiting: int
    """Those that wait to be sent."""
    asked: int
    """Those of which a request is under way, or its answer lost."""
    held: int
    """Those that are held, as they would be too many deletions in an hour."""
    since: str | None
    """When the oldest of these changes was made; None without any."""
    problem: str | None
    """Why they wait; None for nothing."""


@attrs.frozen
class SendsStatus:
    """The messages to send that RingCentral has not confirmed, or has not delivered."""

    waiting: int
    """Those that wait to be sent."""
    asked: int
    """Those of which a request is under way, or its answer lost."""
    unknown: int
    """Those of which nobody knows whether they were sent."""
    failed: int
    """Those that were refused or not delivered."""
    since: str | None
    """When the oldest of those that are not sent was wanted; None without any."""


@attrs.frozen
class ExpiryStatus:
    """The messages of one mailbox that the platform deletes soon."""

    extension: int
    number: str
    name: str
    messages: int
    uncached: int
    """Their attachments that are not whole in the cache."""
    first_created: str | None
    first_goes: str
    first_goes_in_s: float
    certain: bool
    """Whether the server told the retention; False where only the documentation does."""
    oldest_uncached: str | None = None
    """When the oldest of those was created whose attachments are not all whole in the cache."""
    loss_in_s: float | None = None
    """Time until the first of those goes; None without any."""


@attrs.frozen
class RecordingExpiryStatus:
    """The recordings of calls that the platform deletes soon."""

    recordings: int
    uncached: int
    """Those that are not whole in the cache."""
    first_started: str
    first_goes: str
    first_goes_in_s: float
    certain: bool
    """Whether the server told the retention; False where only the documentation does."""
    oldest_uncached: str | None = None
    """When the call of the oldest of those began that are not whole in the cache."""
    loss_in_s: float | None = None
    """Time until that recording goes; None without any."""


@attrs.frozen
class RetentionStatus:
    """How long the platform keeps messages and recordings, and which it deletes next."""

    configured_days: int | None
    """Retention of faxes and voicemail as the account sets it; None when that is not known."""
    asked: str | None
    """When rcfs last asked the server."""
    unknown_because: str | None
    within_days: float
    """`mailboxes` and `recordings` have what goes within this time."""
    mailboxes: tuple[ExpiryStatus, ...]
    recordings: RecordingExpiryStatus | None = None
    """None if no recording that rcfs knows goes within that time."""
    recording_days: int = RECORDING_DAYS
    """Days that recordings are kept, as documented. It is assumed: an account with HIPAA settings keeps them
    for 30 days, and no request tells whether it is one."""


@attrs.frozen
class HintsStatus:
    """Whether the server tells rcfs about changes."""

    state: str
    """``on`` or ``off``."""
    since: str | None
    mailboxes: int
    """Mailboxes that the server sends hints about."""
    off_because: str | None
    call_logs: int = 0
    """Call logs that the server sends hints about."""


@attrs.frozen
class ReadersStatus:
    """The reads that wait for content."""

    waiting: int
    limit: int
    programs: tuple[ReaderStatus, ...] = ()
    """The processes that read, the latest first."""
    reads: int | None = None
    """Most reads among those that wait, by the kernel's limit for background reads; None where no kernel
    reads."""


@attrs.frozen
class ErrorStatus:
    """One error of the recent past."""

    at: str
    event: str
    detail: str


@attrs.frozen(kw_only=True)
class Status:
    """The status of a running mount; the fields have the order of the JSON object."""

    version: str | None = None
    pid: int | None = None
    mountpoint: str | None = None
    started: str | None = None
    uptime_s: float | None = None
    server: str | None = None
    """Origin of the platform."""
    network: str | None = None
    """``up``, or one word for its trouble."""
    network_problem: str | None = None
    """The trouble in a sentence; empty or None without one."""
    account: AccountStatus | None = None
    login: LoginStatus | None = None
    quota: tuple[GroupStatus, ...] | None = None
    """The budget of the mount's own login."""
    ledger: LedgerStatus | None = None
    """None for a quota that only this machine uses."""
    pool: tuple[PoolLoginStatus, ...] | None = None
    """The further logins."""
    queue: tuple[QueueStatus, ...] | None = None
    cache: CacheStatus | None = None
    shared: SharedStatus | None = None
    """None if contents are not shared."""
    requests: RequestCounts | None = None
    mailboxes: MailboxesStatus | None = None
    loads: tuple[LoadStatus, ...] | None = None
    calls: CallsStatus | None = None
    greetings: GreetingsStatus | None = None
    exports: ExportsStatus | None = None
    outbox: OutboxStatus | None = None
    sends: SendsStatus | None = None
    retention: RetentionStatus | None = None
    hints: HintsStatus | None = None
    readers: ReadersStatus | None = None
    waits: tuple[WaitStatus, ...] | None = None
    traffic: TrafficStatus | None = None
    pulls: PullsStatus | None = None
    errors: tuple[ErrorStatus, ...] | None = None
