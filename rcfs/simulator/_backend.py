"""The state that all handlers share, the description of an operation, and one call of an operation."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import trio

from rcfs.model import UsageGroup
from rcfs.simulator._clock import AccountClock
from rcfs.simulator._conduct import SendBook
from rcfs.simulator._config import Endpoints
from rcfs.simulator._journal import Journal
from rcfs.simulator._notifications import Channel, Notifications
from rcfs.simulator._params import Query
from rcfs.simulator._police import Police
from rcfs.simulator._tasks import TaskBook
from rcfs.simulator._wire import Answer, ApiError, Later, Whole, not_found
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._call_events import events_of
from rcfs.simulator.account._call_log_state import CallLogState
from rcfs.simulator.account._call_records import CallWriter
from rcfs.simulator.account._call_values import SimCall
from rcfs.simulator.account._calls import CallBook
from rcfs.simulator.account._events import MadeUpEvent, MessageEvent
from rcfs.simulator.account._greetings import GreetingBook
from rcfs.simulator.account._message_day import play_day
from rcfs.simulator.account._message_limits import MailboxLimits
from rcfs.simulator.account._message_store import MessageStore, StoreRules
from rcfs.simulator.account._people import WITHOUT_MAILBOX, SimExtension
from rcfs.simulator.account._plan import DAY_S, SimMessage
from rcfs.simulator.account._prompts import PromptBook
from rcfs.simulator.login._auth import Auth, Session
from rcfs.simulator.login._permissions import Permissions

LIGHT = UsageGroup("light")
MEDIUM = UsageGroup("medium")
HEAVY = UsageGroup("heavy")
AUTH = UsageGroup("auth")

ACCOUNT_PATH = "/restapi/v1.0/account/{account_id}"
EXTENSION_PATH = ACCOUNT_PATH + "/extension/{extension_id}"

MINE = "~"
"""Placeholder in a path for the account or extension of the login."""


@attrs.define(eq=False)
class Backend:
    """The state of one running simulator."""

    account: SimAccount
    """The simulated account."""
    messages: MessageStore
    """Changes to its messages."""
    store_rules: StoreRules
    """Rules for its messages that the configuration or a client sets."""
    limits: MailboxLimits
    """Limits at which mailboxes drop messages by themselves."""
    account_clock: AccountClock
    """The account's clock. It starts at the end of the generated period, so the same seed gives the same
    listing whenever the simulator runs."""
    calls: CallBook
    """Its calls and their recordings."""
    call_logs: CallLogState
    """Deletions and resets of their logs."""
    greetings: GreetingBook
    """Its answering rules and greetings."""
    prompts: PromptBook
    """The prompts of its IVR menus."""
    reports: TaskBook
    """Message store reports."""
    team_exports: TaskBook
    """Exports of team messaging."""
    archive_bytes: int
    """Most bytes of an archive with more than one file, for either kind of export."""
    new_call_handling: bool
    """Whether user answering rules are refused, as on accounts with the new call handling."""
    auth: Auth
    """Logins and access tokens."""
    police: Police
    """Rate limits."""
    journal: Journal
    """All requests so far."""
    endpoints: Endpoints
    """The addresses that it listens on."""
    clock: Callable[[], float]
    """Seconds since the simulator started, never going back."""
    permissions: Permissions
    """Scopes of the app and permissions of its user."""
    notifications: Notifications
    """WebSocket subscribers."""
    refuse_duplicates: bool
    """Refuse a GET while an identical one is still being answered."""
    latency_s: float
    """Round-trip time added to every request, in seconds."""
    sync_key: bytes = attrs.field(repr=False)
    """Key that signs sync tokens; random, so tokens of an earlier run are invalid."""
    sends: SendBook = attrs.field(factory=SendBook, init=False, repr=False)
    """Every message and upload of clients."""
    background: trio.Nursery = attrs.field(init=False, repr=False)
    """Tasks that end with the simulator, whatever becomes of the request that started them."""
    sent_abroad: dict[str, "Call"] = attrs.field(factory=dict, init=False, repr=False)
    """Requests redirected to the foreign host, which answers only these; by raw path and query."""

    def account_time(self) -> float:
        """The account's present time, in seconds since 1970-01-01 UTC."""
        return self.account_clock.now()

    def play_day(self, speed: float) -> int:
        """Play a scripted day of the account, `speed` times as fast as real time.

        Returns:
            The number of messages that arrive on that day.

        Raises:
            ValueError: `speed` is not above 0 or no number.
        """
        start_s = self.account_time()
        self.account_clock.hurry(speed, DAY_S)
        return play_day(self.messages, self.account, start_s)

    def notify(self, extension_id: int, changes: Sequence[Mapping[str, Any]]) -> None:
        """Notify all subscribers of `changes` in the message store of an extension."""
        now_s = self.account_time()
        event = MadeUpEvent(extension_id, changes, now_s)
        self.notifications.notify(event, self.account.account_id, now_s)

    def notify_of(self, message: SimMessage, is_new: bool) -> None:
        """Notify all subscribers that `message` arrived or changed, at the time of that event."""
        urls = self.endpoints.platform_url, self.endpoints.media_url
        record = partial(self.account.message_record, message.extension_id, message.id, *urls)
        event = MessageEvent(message, is_new, record)
        self.notifications.notify(event, self.account.account_id, message.last_modified)

    def notify_of_call(self, call: SimCall) -> None:
        """Notify all subscribers of the states of `call`, which ends now."""
        now_s, extensions = self.account_time(), {one.id: one for one in self.account.extensions}
        urls = self.endpoints.platform_url, self.endpoints.media_url
        for event in events_of(call, now_s, CallWriter(self.account.account_id, *urls, extensions)):
            self.notifications.notify(event, self.account.account_id, now_s)


@attrs.define(eq=False)
class Call:
    """One request for an operation, after the check of its login."""

    backend: Backend
    """The simulator."""
    operation: "Operation"
    """The operation."""
    path: Mapping[str, str]
    """Parameters of the path."""
    query: Query
    """Parameters of the query."""
    body: bytes
    """Body of the request."""
    client: str
    """Client id of the login, or of the Basic header where there is no login."""
    session: Session | None
    """The login; None for operations without one."""
    target: str
    """Raw path and query as they were sent."""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Headers by name in lower case; none over a WebSocket."""
    channel: Channel | None = None
    """The channel of the WebSocket that the request came over; None over HTTP."""
    refusals: Mapping[str, ApiError] = attrs.field(factory=dict)
    """Refusals of single messages, by id, that a fault asks for."""
    violation: str = ""
    """The rules for clients that it breaks although it may be answered, for the journal; empty for none."""

    def note(self, violation: str) -> None:
        """Add a rule that the request breaks, in words; nothing if they are empty."""
        self.violation = "; ".join(filter(None, (self.violation, violation)))

    def login(self) -> Session:
        """The login.

        Raises:
            ApiError: 401, the request has no login.
        """
        if self.session is None:
            raise ApiError(401, "CMN-405", "Login to extension required")
        return self.session

    @property
    def user(self) -> SimExtension:
        """The extension of the login.

        Raises:
            ApiError: 401, the request has no login.
        """
        session = self.login()
        for extension in self.backend.account.extensions:
            if extension.id == session.user:
                if session.login is None:
                    return extension
                return attrs.evolve(extension, is_admin=session.login.is_admin)
        raise ApiError(401, "CMN-405", "Login to extension required")

    def check_account(self) -> None:
        """Refuse a path that names an account other than the login's.

        Raises:
            ApiError: 404, the path names another account.
        """
        if self.path["account_id"] not in (MINE, str(self.account_id)):
            raise not_found("accountId")

    @property
    def account_id(self) -> int:
        """The account of the login."""
        login = None if self.session is None else self.session.login
        other = None if login is None else login.account_id
        return self.backend.account.account_id if other is None else other

    def check_open(self, extension_id: int) -> None:
        """Refuse what belongs to an extension that is closed to the login.

        Raises:
            ApiError: 403 CMN-419, or 404 if the login is not even to know that it exists.
        """
        login = self.login().login
        if login is None or extension_id not in login.closed:
            return
        if login.hides:
            raise not_found("resourceId")
        raise ApiError(
            403, "CMN-419", "In order to call this API endpoint, user needs access to this extension"
        )

    def extension(self) -> SimExtension:
        """The extension that the path names.

        Raises:
            ApiError: 404, no such extension exists.
        """
        self.check_account()
        if self.path["extension_id"] == MINE:
            return self.user
        for extension in self.backend.account.extensions:
            if str(extension.id) == self.path["extension_id"]:
                return extension
        raise not_found("extensionId")

    def mailbox(self) -> SimExtension:
        """The extension that the path names, with its mailbox brought up to date, if the login may read it.

        Raises:
            ApiError: 404, no such extension exists; 403 CMN-419, this login may not read it; 403 CMN-403,
                extensions of its type have no mailbox.
        """
        extension = self.extension()
        self.check_open(extension.id)
        if not may_read(self.user, extension):
            raise ApiError(
                403, "CMN-419", "In order to call this API endpoint, user needs access to this extension"
            )
        if extension.type in WITHOUT_MAILBOX:
            raise ApiError(403, "CMN-403", "The feature is not available for this extension type")
        self.backend.messages.settle(extension.id, self.backend.account_time())
        return extension


def may_read(reader: SimExtension, owner: SimExtension) -> bool:
    """Whether `reader` may read the mailbox of `owner`."""
    return not owner.mailbox_refused and (reader.is_admin or reader.id == owner.id)


Handler = Callable[[Call], Answer | Whole | Later | Awaitable[Answer]]
"""Answers a call without waiting. Heavy work belongs into a `Later`, or into an asynchronous handler with
checkpoints. A handler raises refusals as `ApiError`."""


@attrs.frozen
class Operation:
    """One operation of the official API description, with its handler."""

    id: str
    """Its ``operationId``."""
    method: str
    """HTTP method."""
    path: str
    """Path with parameters in braces."""
    group: UsageGroup
    """Its ``x-throttling-group``, in lower case."""
    handler: Handler
    """Answers a call of it."""
    needs_login: bool = True
    """False for the operations that issue access tokens, and similar."""
    needs_client: bool = False
    """Whether the app must authenticate itself, by its secret or at least by its id."""
    gives_content: bool = False
    """Whether it answers with a content: Range works, and the media origin offers it, too."""
