"""What the handlers of all endpoints share: the state of the simulator, an operation, and one call of it."""

from collections.abc import Callable, Mapping

import attrs

from rcfs.model import UsageGroup
from rcfs.simulator._account import SimAccount
from rcfs.simulator._account_people import SimExtension
from rcfs.simulator._auth import Auth, Session
from rcfs.simulator._config import Endpoints
from rcfs.simulator._journal import Journal
from rcfs.simulator._params import Query
from rcfs.simulator._police import Police
from rcfs.simulator._wire import Answer, ApiError, Whole, not_found

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
    latency_s: float
    """Round trip that is added to every request, in seconds."""
    sync_key: bytes = attrs.field(repr=False)
    """Signs sync tokens; random, so those of an earlier run are not good."""

    def account_time(self) -> float:
        """The platform's idea of now, in seconds since 1970-01-01 UTC.

        The account is generated up to a moment, where the simulated clock starts: so the same seed gives
        the same listing whenever it is run.
        """
        return self.account.spec.end_s + self.clock()


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

    @property
    def user(self) -> SimExtension:
        """The extension that is logged in.

        Raises:
            ApiError: 401, the operation needs no login and has none.
        """
        for extension in self.backend.account.extensions:
            if self.session is not None and extension.id == self.session.user:
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
        """The extension that the path names, whose mailbox the login may read.

        Raises:
            ApiError: 404, there is none; 403 CMN-419, it is not for this login.
        """
        extension = self.extension()
        if not may_read(self.user, extension):
            raise ApiError(
                403, "CMN-419", "In order to call this API endpoint, user needs access to this extension"
            )
        return extension


def may_read(reader: SimExtension, owner: SimExtension) -> bool:
    """Whether `reader` may read the mailbox of `owner`."""
    return not owner.mailbox_refused and (reader.is_admin or reader.id == owner.id)


Handler = Callable[[Call], Answer | Whole]
"""Answers a call, at once and without heavy work; refusals are raised as `ApiError`."""


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
    """False where the client authenticates itself and there is no access token yet."""
    gives_content: bool = False
    """It answers with a content: Range works, and the media origin has it, too."""
