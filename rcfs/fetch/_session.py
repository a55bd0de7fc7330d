"""The login: one token for all requests, renewed ahead of its end by one task at a time.

Source: "Authentication" of the API documentation: a refresh token is good for one use, refreshing ends
the old access token at once, and a refused login must not be repeated.
"""

from collections.abc import Mapping

import attrs
import trio

from rcfs.errors import AuthError, PlatformError, RateLimitedError, RcfsError
from rcfs.fetch._backoff import backoff_s
from rcfs.fetch._gate import Demand, Gate
from rcfs.fetch._recorder import Recorder
from rcfs.model import Priority
from rcfs.platform import (
    AUTH,
    REVOKE_PATH,
    TOKEN_PATH,
    Client,
    Credentials,
    Token,
    jwt_form,
    refresh_form,
    token_from,
)

_LATER_S = 30.0
"""How long a token that is still good is used on after its renewal failed: six tries within the margin."""
_REVOKE_WITHIN_S = 5.0
"""Longest wait for the revocation on unmount; its failure is harmless, the session ends by itself."""


class Session:
    """Holds the token; may be used by any number of tasks at the same time."""

    def __init__(self, client: Client, credentials: Credentials, gate: Gate, recorder: Recorder) -> None:
        self._client = client
        self._credentials = credentials
        self._gate = gate
        self._recorder = recorder
        self._token: Token | None = None
        self._refused: AuthError | None = None
        self._renewing = trio.Lock()

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes of the current token; empty before the first login."""
        return self._token.scopes if self._token is not None else ()

    async def token(self, demand: Demand) -> Token:
        """A token that is good now: the current one, or a new one when that is about to end.

        Raises:
            AuthError: The credentials were refused, now or before: a refused login is never repeated.
            PlatformError: The server failed or could not be reached, `demand.attempts` times.
        """
        if self._token is not None and trio.current_time() < self._token.renew_at_s:
            return self._token
        async with self._renewing:
            now = trio.current_time()
            if self._token is None or now >= self._token.renew_at_s:
                await self._renew(demand)
            assert self._token is not None  # noqa: S101 - _renew returns only with a token
            return self._token

    def reject(self, token: Token) -> None:
        """The server answered 401 to `token`: if it is still the current one it is replaced at once."""
        if self._token is token:
            self._token = attrs.evolve(token, renew_at_s=-1.0, ends_at_s=-1.0)

    async def _renew(self, demand: Demand) -> None:
        old, now = self._token, trio.current_time()
        if old is not None and old.refresh and now < old.refresh_until_s:
            self._token = attrs.evolve(old, refresh="")  # good for one use, whatever becomes of it
            try:
                self._token = await self._request(refresh_form(old), demand)
            except AuthError as exc:
                self._recorder.note("refresh refused, logging in again", code=exc.code)
            else:
                return
        try:
            self._token = await self._log_in(demand)
        except PlatformError as exc:
            if old is None or isinstance(exc, AuthError) or trio.current_time() >= old.ends_at_s:
                raise
            self._recorder.fault("renewing the login", str(exc))
            self._token = attrs.evolve(old, refresh="", renew_at_s=trio.current_time() + _LATER_S)

    async def _log_in(self, demand: Demand) -> Token:
        if self._refused is not None:
            raise AuthError(str(self._refused), code=self._refused.code)
        try:
            return await self._request(jwt_form(self._credentials), demand)
        except AuthError as exc:
            self._refused = exc
            raise

    async def _request(self, form: Mapping[str, str], demand: Demand) -> Token:
        failures = 0
        while True:
            await trio.lowlevel.checkpoint()
            try:
                return await self._attempt(form)
            except RcfsError as exc:
                failures += 1
                if not exc.retryable or failures >= demand.attempts:
                    raise
                self._recorder.fault("login", str(exc))
                if not isinstance(exc, RateLimitedError):
                    await trio.sleep(backoff_s(failures, exc))

    async def _attempt(self, form: Mapping[str, str]) -> Token:
        # Everything else waits for the login, so it is a person's read whoever caused it.
        slot = await self._gate.take(AUTH, Demand(Priority.PERSON))
        basic = (self._credentials.client_id, self._credentials.client_secret)
        answered = False
        status = 0
        try:
            sent_s = trio.current_time()
            async with self._client.post_form(TOKEN_PATH, form, basic=basic) as answer:
                answered, status = True, answer.status
                if answer.status == 429:
                    self._gate.refuse(slot, answer.rate, answer.retry_after_s)
                else:
                    self._gate.settle(slot, answer.rate)
                return await token_from(answer, sent_s)
        finally:
            if not answered:
                self._gate.fail(slot)
            self._recorder.request("getToken", AUTH, status)

    async def revoke(self) -> None:
        """Ends the session on the server; errors are ignored, and a few seconds are enough."""
        if self._token is None:
            return
        basic = (self._credentials.client_id, self._credentials.client_secret)
        form = {"token": self._token.access}
        self._token = None
        with trio.move_on_after(_REVOKE_WITHIN_S):
            slot = await self._gate.take(AUTH, Demand(Priority.PERSON))
            answered = False
            try:
                async with self._client.post_form(REVOKE_PATH, form, basic=basic) as answer:
                    answered = True
                    self._gate.settle(slot, answer.rate)
                    self._recorder.request("revokeToken", AUTH, answer.status)
            except PlatformError as exc:
                self._recorder.fault("logging out", str(exc))
            finally:
                if not answered:
                    self._gate.fail(slot)
