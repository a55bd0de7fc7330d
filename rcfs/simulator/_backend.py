"""What the handlers of all endpoints share: the state of the simulator, an operation, and one call of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from rcfs.model import UsageGroup
from rcfs.simulator._clock import AccountClock
from rcfs.simulator._config import Endpoints
from rcfs.simulator._journal import Journal
from rcfs.simulator._notifications import Channel, Notifications
from rcfs.simulator._params import Query
from rcfs.simulator._police import Police
from rcfs.simulator._tasks import TaskBook
from rcfs.simulator._wire import Answer, ApiError, Later, Whole, not_found
from rcfs.simulator.account._account import SimAccount
from rcfs.simulator.account._call_log_state import CallLogState
from rcfs.simulator.account._calls import CallBook
from rcfs.simulator.account._events import MadeUpEvent, MessageEvent
from rcfs.simulator.account._greetings import GreetingBook
from rcfs.simulator.account._message_day import play_day
from rcfs.simulator.account._message_limits import MailboxLimits
from rcfs.simulator.account._message_store import MessageStore, StoreRules
from rcfs.simulator.account._people import WITHOUT_MAILBOX, SimExtension
from rcfs.simulator.account._plan import DAY_S, SimMessage
from rcfs.simulator.login._auth import Auth, Session
from rcfs.simulator.login._permissions import Permissions

LIGHT = UsageGroup("light")
MEDIUM = UsageGroup("medium")
HEAVY = UsageGroup("heavy")
AUTH = UsageGroup("auth")

ACCOUNT_PATH = "/restapi/v1.0/account/{account_id}"
EXTENSION_PATH = ACCOUNT_PATH + "/extension/{extension_id}"

MINE = "~"
"""Stands in a path for the account or extension of the login."""


@attrs.define(eq=False)
class Backend:
    """Everything that one running simulator knows."""

    account: SimAccount
    """The account that is played."""
    messages: MessageStore
    """What happens to its messages."""
    store_rules: StoreRules
    """What is settled about them."""
    limits: MailboxLimits
    """What is dropped of them by itself."""
    account_clock: AccountClock
    """Its time, which starts where it was generated up to: so the same seed gives the same listing whenever
    it is run."""
    calls: CallBook
    """Its calls and their recordings."""
    call_logs: CallLogState
    """What has become of their logs."""
    greetings: GreetingBook
    """Its answering rules and greetings."""
    reports: TaskBook
    """Message store reports."""
    team_exports: TaskBook
    """Exports of team messaging."""
    archive_bytes: int
    """Most bytes of an archive of either, in which there is more than one file."""
    new_call_handling: bool
    """Whether user answering rules are refused, because the account has their successor."""
    auth: Auth
    """Logins."""
    police: Police
    """Rate limits."""
    journal: Journal
    """All requests so far."""
    endpoints: Endpoints
    """Where it listens."""
    clock: Callable[[], float]
    """Seconds since the simulator started, never going back."""
    permissions: Permissions
    """What the app and its user are allowed."""
    notifications: Notifications
    """Whom to tell of changes."""
    refuse_duplicates: bool
    """Refuse a GET of which an identical one is still being answered."""
    latency_s: float
    """Round trip that is added to every request, in seconds."""
    sync_key: bytes = attrs.field(repr=False)
    """Signs sync tokens; random, so those of an earlier run are not good."""
    sent_abroad: dict[str, "Call"] = attrs.field(factory=dict, init=False, repr=False)
    """By raw path and query, the requests that were redirected to the foreign host: it answers these."""

    def account_time(self) -> float:
        """The platform's idea of now, in seconds since 1970-01-01 UTC."""
        return self.account_clock.now()

    def play_day(self, speed: float) -> int:
        """Let the account live through a scripted day, `speed` times as fast as real time.

        Returns:
            How many messages it will bring.

        Raises:
            ValueError: `speed` is not above 0 or no number.
        """
        start_s = self.account_time()
        self.account_clock.hurry(speed, DAY_S)
        return play_day(self.messages, self.account, start_s)

    def notify(self, extension_id: int, changes: Sequence[Mapping[str, Any]]) -> None:
        """Tell whoever has subscribed of `changes` in the message store of an extension."""
        now_s = self.account_time()
        event = MadeUpEvent(extension_id, changes, now_s)
        self.notifications.notify(event, self.account.account_id, now_s)

    def notify_of(self, message: SimMessage, is_new: bool) -> None:
        """Tell whoever has subscribed that `message` has come or changed, at the moment when it did."""
        urls = self.endpoints.platform_url, self.endpoints.media_url
        record = partial(self.account.message_record, message.extension_id, message.id, *urls)
        event = MessageEvent(message, is_new, record)
        self.notifications.notify(event, self.account.account_id, message.last_modified)


@attrs.define(eq=False)
class Call:
    """One request for an operation, after its login was checked."""

    backend: Backend
    """The simulator."""
    operation: "Operation"
    """What is asked for."""
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
    """What stands behind the WebSocket that it came by; None over HTTP."""

    def login(self) -> Session:
        """The login.

        Raises:
            ApiError: 401, the operation needs no login and has none.
        """
        if self.session is None:
            raise ApiError(401, "CMN-405", "Login to extension required")
        return self.session

    @property
    def user(self) -> SimExtension:
        """The extension that is logged in.

        Raises:
            ApiError: 401, the operation needs no login and has none.
        """
        for extension in self.backend.account.extensions:
            if extension.id == self.login().user:
                return extension
        raise ApiError(401, "CMN-405", "Login to extension required")

    def check_account(self) -> None:
        """Refuse another account.

        Raises:
            ApiError: 404, the path names no account of this login.
        """
        if self.path["account_id"] not in (MINE, str(self.backend.account.account_id)):
            raise not_found("accountId")

    def extension(self) -> SimExtension:
        """The extension that the path names.

        Raises:
            ApiError: 404, there is none.
        """
        self.check_account()
        if self.path["extension_id"] == MINE:
            return self.user
        for extension in self.backend.account.extensions:
            if str(extension.id) == self.path["extension_id"]:
                return extension
        raise not_found("extensionId")

    def mailbox(self) -> SimExtension:
        """The extension that the path names, whose mailbox the login may read, brought up to date.

        Raises:
            ApiError: 404, there is none; 403 CMN-419, it is not for this login; 403 CMN-403, extensions of
                its type have none.
        """
        extension = self.extension()
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
"""Answers a call, at once; heavy work is left to `Later`, or done by an asynchronous handler that lets others
have their turn. Refusals are raised as `ApiError`."""


@attrs.frozen
class Operation:
    """One operation of the official description; a new endpoint is one of these and a handler."""

    id: str
    """Its ``operationId``."""
    method: str
    """HTTP method."""
    path: str
    """Path with parameters in braces."""
    group: UsageGroup
    """Its ``x-throttling-group``, in lower case."""
    handler: Handler
    """What answers it."""
    needs_login: bool = True
    """False where there is no access token yet."""
    needs_client: bool = False
    """The app itself has to say who it is, by its secret or at least by its id."""
    gives_content: bool = False
    """It answers with a content: Range works, and the media origin has it, too."""
