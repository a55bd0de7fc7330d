"""The login: one token for all requests, renewed ahead of its end by one task at a time.

Source: "Authentication" of the API documentation: a refresh token is good for one use, refreshing ends
the old access token at once, and a refused login must not be repeated.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from rcfs.errors import AuthError, PlatformError, RateLimitedError, UnreachableError
from rcfs.fetch._backoff import backoff_s
from rcfs.fetch._gate import Demand, Gate
from rcfs.fetch._network import Network
from rcfs.fetch._recorder import Recorder
from rcfs.model import Priority
from rcfs.platform import (
    AUTH,
    REVOKE_PATH,
    TOKEN_PATH,
    Answer,
    Client,
    Credentials,
    Token,
    jwt_form,
    refresh_form,
    token_from,
)

_LATER_S = 30.0
"""How long a token that is still good is used on after its renewal failed: six tries within the margin."""
_SOON_S = 0.1
"""A login that must wait longer for its slot tells nothing soon."""
_REVOKE_WITHIN_S = 5.0
"""Longest wait for the revocation on unmount; its failure is harmless, the session ends by itself."""


class Session:
    """Holds the token; may be used by any number of tasks at the same time."""

    def __init__(
        self, client: Client, credentials: Credentials, gate: Gate, network: Network, recorder: Recorder
    ) -> None:
        self._client = client
        self._network = network
        self._credentials = credentials
        self._gate = gate
        self._recorder = recorder
        self._token: Token | None = None
        self._refreshed = False
        """Whether the token came from a refresh, and not from a login."""
        self.refused: AuthError | None = None
        """Why the server does not take the credentials; None as long as it has not said so."""
        self.judged = trio.Event()
        """Set when the server has said what it thinks of the credentials, or will not be asked soon."""
        self._failure: tuple[float, PlatformError] | None = None
        """When the newest renewal failed, and how; None when it did not."""
        self._renewing = trio.Lock()

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes of the current token; empty before the first login."""
        return self._token.scopes if self._token is not None else ()

    @property
    def current(self) -> Token | None:
        """The token, if it is good now and not due for renewal."""
        token = self._token
        return token if token is not None and trio.current_time() < token.renew_at_s else None

    async def token(self, demand: Demand) -> Token:
        """A token that is good now: the current one, or a new one when that is about to end.

        Raises:
            AuthError: The credentials were refused, now or before: a refused login is never repeated.
            PlatformError: The server failed or could not be reached, `demand.attempts` times.
        """
        asked_s = trio.current_time()
        while (token := self.current) is None:
            async with self._renewing:
                if self._failure is not None and asked_s < self._failure[0]:
                    raise self._failure[1].with_traceback(
                        None
                    )  # It failed while we waited: once for all who did.
                if self.current is None:
                    await self._renew(demand)
        return token

    def reject(self, token: Token) -> None:
        """The server answered 401 to `token`: if it is still the current one it is replaced at once.

        By a refresh, or, when it came from a refresh itself, by a login.
        """
        if self._token is token:
            refresh = "" if self._refreshed else token.refresh
            self._token = attrs.evolve(token, refresh=refresh, renew_at_s=-1.0, ends_at_s=-1.0)

    async def _renew(self, demand: Demand) -> None:
        try:
            await self._network.admit(TOKEN_PATH, demand)
            if not await self._refresh():
                self._token = await self._log_in(demand)
                self._refreshed = False
        except PlatformError as exc:
            now, old = trio.current_time(), self._token
            if old is None or isinstance(exc, AuthError) or now >= old.ends_at_s:
                self._failure = (now, exc)
                raise
            self._recorder.fault("renewing the login", str(exc))
            self._token = attrs.evolve(old, renew_at_s=min(now + _LATER_S, old.ends_at_s))

    async def _refresh(self) -> bool:
        """Whether the refresh token gave a new token; it is good for one use, whatever becomes of it."""
        old, now = self._token, trio.current_time()
        if old is None or not old.refresh or now >= old.refresh_until_s:
            return False
        self._token = attrs.evolve(old, refresh="")
        try:
            self._token = await self._attempt(refresh_form(old))
        except PlatformError as exc:
            self._recorder.note("refresh failed, logging in again", code=exc.code)
            return False
        self._refreshed = True
        return True

    async def _log_in(self, demand: Demand) -> Token:
        if self.refused is not None:
            raise AuthError(str(self.refused), code=self.refused.code)
        failures = 0
        while True:
            await trio.lowlevel.checkpoint()
            if self._gate.forecast(AUTH, Priority.PERSON, 1)[0] > _SOON_S:
                self.judged.set()
            try:
                token = await self._attempt(jwt_form(self._credentials))
            except AuthError as exc:
                self.refused = exc
                self.judged.set()
                raise
            except PlatformError as exc:
                failures += 1
                # While the old token is good, everybody goes on with it instead of waiting here.
                good = self._token is not None and trio.current_time() < self._token.ends_at_s
                if good or not exc.retryable or failures >= demand.attempts or self._network.is_down:
                    raise
                self._recorder.fault("login", str(exc))
                if not isinstance(exc, RateLimitedError):
                    await trio.sleep(backoff_s(failures, exc))
            else:
                self.judged.set()
                return token

    async def _attempt(self, form: Mapping[str, str]) -> Token:
        async with self._post("getToken", TOKEN_PATH, form) as answer:
            return await token_from(answer, trio.current_time())

    async def revoke(self) -> None:
        """Ends the session on the server; errors are ignored, and a few seconds are enough."""
        if self._token is None or self._network.is_down:
            return
        form = {"token": self._token.access}
        self._token = None
        try:
            with trio.move_on_after(_REVOKE_WITHIN_S):
                async with self._post("revokeToken", REVOKE_PATH, form):
                    pass
        except PlatformError as exc:
            self._recorder.fault("logging out", str(exc))

    @asynccontextmanager
    async def _post(self, operation: str, path: str, form: Mapping[str, str]) -> AsyncIterator[Answer]:
        """The answer to `form`, which takes one slot of the auth group."""
        # Everything else waits for the login, so it is a person's read whoever caused it.
        slot = await self._gate.take(AUTH, Demand(Priority.PERSON, label="login"))
        basic = (self._credentials.client_id, self._credentials.client_secret)
        status, sent = 0, True
        try:
            async with AsyncExitStack() as stack:
                with self._network.listening(path):
                    answer = await stack.enter_async_context(self._client.post_form(path, form, basic=basic))
                status = answer.status
                self._network.answered(path)
                if status == 429:
                    self._gate.refuse(slot, answer.rate, answer.retry_after_s)
                else:
                    self._gate.settle(slot, answer.rate)
                yield answer
        except UnreachableError:
            sent = False
            self._network.failed(path)
            raise
        finally:
            if not sent:
                self._gate.cancel(slot)
            elif not status:
                self._gate.fail(slot)
            if sent:
                self._recorder.request(operation, AUTH, status)
