"""The session: one token for all requests, which one task at a time renews before it ends.

Source: "Authentication" of the API documentation: a refresh token is good for one use, refreshing ends
the old access token at once, and a refused login must not be repeated at once. The platform keeps about five
sessions of a user and app, so all processes of a login share one, which is kept in the state directory.

After a login with a browser there is nothing to log in with but the refresh token, which lives on the disk.
One process at a time sends it, and its successor is on the disk before the new access token is used. rcfs
does not end such a session by itself: the next process continues it.
"""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import attrs
import trio

from rcfs.errors import (
    AuthError,
    GrantError,
    PlatformError,
    RateLimitedError,
    StoreError,
    TransportError,
)
from rcfs.model import Priority
from rcfs.platform import (
    AUTH,
    TOKEN_PATH,
    Answer,
    Client,
    Credentials,
    Request,
    Token,
    get_token,
    refresh_token,
    revoke_token,
    token_from,
)
from rcfs.store import SharedSession
from rcfs.transport._gate import Gate, RequestOptions, RequestSlot
from rcfs.transport._network import Network
from rcfs.transport._recorder import Recorder
from rcfs.transport._retry import backoff_s
from rcfs.transport._session_document import SessionDocument

_LATER_S = 30.0
"""Seconds until the next renewal after a failed one, while the token is still good: six tries before it
ends."""
_REFUSED_S = 60.0
"""How long rcfs relies on a refusal of the credentials before it tries one login, in seconds. The group of
logins has five requests a minute, and a JWT that is good again should work while a person waits."""
_LOOK_AGAIN_S = 5.0
"""How often a refused session looks for other credentials, in seconds: `rcfs login` may have saved some."""
_RELOAD_WITHIN_S = 10.0
"""Longest wait for the keyring, in seconds: it may be locked."""
_SOON_S = 0.1
"""If a login must wait longer than this for its slot, in seconds, `judged` is set before it."""
_REFRESHED_WITHIN_S = 20.0
"""Longest wait for the answer that replaces a refresh token of a browser's login, in seconds. Nothing cancels
it: an answer that is not read costs the login."""
_LOGIN_ENDED = "the login with the browser has ended{}; `{}` starts a new one"
_REVOKE_WITHIN_S = 5.0
"""Longest wait for the revocation on unmount, in seconds. A failure is harmless: the session ends by
itself."""


class Session:
    """Holds the token; any number of tasks may use it at the same time."""

    def __init__(
        self,
        client: Client,
        credentials: Credentials,
        gate: Gate,
        network: Network,
        recorder: Recorder,
        *,
        shared: SharedSession | None = None,
        reload: Callable[[], Credentials | None] = lambda: None,
    ) -> None:
        """Prepares a session; nothing is sent.

        Args:
            client: Sends the requests.
            credentials: The credentials to log in with.
            gate: Gives the slots; all times are on its clock.
            network: Knows whether the server can be reached.
            recorder: Logs events and faults.
            shared: The session that other processes of the login use as well; None for a session of its own.
            reload: Reads the saved credentials of the same login, in a worker thread; None without any.
        """
        self._document = SessionDocument(shared, recorder)
        self._reload = reload
        self._refused_s = self._reloaded_s = -math.inf
        self._client = client
        self._network = network
        self._credentials = credentials
        self._gate = gate
        self._recorder = recorder
        self._token: Token | None = None
        self._refreshed = False
        """Whether the token came from a refresh and not from a login."""
        self.refused: AuthError | None = None
        """Why the server refuses the credentials; None unless it has refused them."""
        self.judged = trio.Event()
        """Set when the server has accepted or refused the credentials, or rcfs cannot ask it soon."""
        self.outlives = False
        """Whether the session stays in the shared document when the last process of the login ends."""
        self.logs_out = False
        """Whether a login with a browser ends with this process, for all processes."""
        self._refusal_kept = False
        """Whether the refusal is in the shared document; `rcfs login` removes that document."""
        self._failure: tuple[float, PlatformError] | None = None
        """Time and error of the latest renewal that failed; None before the first."""
        self._renewing = trio.Lock()

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes of the current token; empty before the first login."""
        return self._token.scopes if self._token is not None else ()

    @property
    def current(self) -> Token | None:
        """The token; None when it is not good or due for renewal."""
        token = self._token
        return token if token is not None and self._gate.now_s < token.renew_at_s else None

    @property
    def refused_for_s(self) -> float:
        """Seconds until rcfs tries a refused login again; 0 if it may now, or the login was not refused."""
        return 0.0 if self.refused is None else max(0.0, self._refused_s + _REFUSED_S - self._gate.now_s)

    @property
    def tried_again_in_s(self) -> float | None:
        """As `refused_for_s`; None if the login with the browser has ended, so that only a new one helps."""
        if self._credentials.user and not self._document.grant():
            return None
        return self.refused_for_s

    @property
    def login_command(self) -> str:
        """The command with which a person saves other credentials."""
        return self._credentials.command

    async def token(self, options: RequestOptions) -> Token:
        """A token that is good now: the current one, or a new one when that is about to end.

        Raises:
            AuthError: The credentials were refused, now or within the last minute.
            PlatformError: The server failed or could not be reached, `options.attempts` times.
        """
        asked_s = self._gate.now_s
        while (token := self.current) is None:
            async with self._renewing:
                if self._failure is not None and asked_s < self._failure[0]:
                    # It failed while this task waited: one failure counts for all that waited.
                    raise self._failure[1].with_traceback(None)
                if self.current is None:
                    await self._renew(options)
        return token

    def reject(self, token: Token) -> bool:
        """Notes that the server answered 401 to `token`; whether that was the current token.

        If so, the next request renews it: by a refresh, or by a login if it came from a refresh itself.
        """
        if self._token is None or self._token.access != token.access:
            return False
        if self._token is token:
            refresh = "" if self._refreshed else token.refresh
            self._token = attrs.evolve(token, refresh=refresh, renew_at_s=-1.0, ends_at_s=-1.0)
        return True

    async def _renew(self, options: RequestOptions) -> None:
        try:
            await self._network.admit(TOKEN_PATH, options)
            async with self._document.renewing(
                lambda: self.current is not None or self._adopt()
            ) as is_locked:
                if self.current is None and not self._adopt():
                    if self._credentials.user and not is_locked:
                        # The refresh token is good for one use, and that process may be using it.
                        raise TransportError("another process does not finish its renewal of the login")
                    if not await self._refresh():
                        self._token = await self._log_in(options)
                        self._refreshed = False
                    if self._token is not None:
                        self._document.keep_token(self._token, is_refreshed=self._refreshed)
        except PlatformError as exc:
            now, old = self._gate.now_s, self._token
            if old is None or isinstance(exc, AuthError) or now >= old.ends_at_s:
                self._failure = (now, exc)
                raise
            self._recorder.fault("login renewal", str(exc))
            self._token = attrs.evolve(old, renew_at_s=min(now + _LATER_S, old.ends_at_s))

    def _adopt(self) -> bool:
        """Takes over a good token that another process has put into the shared document, if there is one.

        Raises:
            AuthError: The server refused the same credentials to another process within the last minute.
        """
        kept = self._document.read()
        if kept is None:
            return False
        now_s = self._gate.now_s
        if (
            kept.refused_by == self._credentials.digest()
            and self._refused_s < kept.refused_s <= now_s < kept.refused_s + _REFUSED_S
        ):
            self._refusal_kept = True
            raise self._refuse(kept.refusal, kept.refused_s)
        token = kept.token
        if token is None or now_s >= token.renew_at_s:
            return False
        if self._token is not None and self._token.access == token.access:
            return False
        self._token, self._refreshed, self.refused = token, kept.is_refreshed, None
        self.judged.set()
        return True

    async def reconsider(self) -> None:
        """Lifts a refusal if `rcfs login` has saved credentials since, or another process has logged in."""
        await self._lift()
        if self.refused is not None:
            with suppress(AuthError):  # The other process was refused, too.
                self._adopt()

    async def _lift(self) -> None:
        """Lifts a refusal if `rcfs login` has saved credentials since."""
        if self.refused is not None:
            await self._look_for_others()
        if self._refusal_kept and self._document.read() is None:
            # `rcfs login` has saved the same credentials again, so the user expects the server to accept
            # them.
            self.refused, self._refusal_kept = None, False

    def _refuse(self, error: AuthError, at_s: float) -> AuthError:
        """Notes a refusal of the credentials, and returns `error`."""
        if self.refused is None:  # A repeated refusal is not logged.
            self._recorder.fault("login", str(error))
        self.refused, self._refused_s = error, at_s
        self.judged.set()
        return error

    async def _look_for_others(self) -> None:
        """Takes over other credentials that were saved since these were refused."""
        now_s = self._gate.now_s
        if now_s < self._reloaded_s + _LOOK_AGAIN_S:
            return
        self._reloaded_s = now_s
        found: Credentials | None = None
        try:
            with trio.move_on_after(_RELOAD_WITHIN_S):
                found = await trio.to_thread.run_sync(self._reload, abandon_on_cancel=True)
        except Exception as exc:  # noqa: BLE001 - on any error of the keyring, the old credentials stay
            self._recorder.fault(
                "login",
                f"the saved credentials cannot be read ({type(exc).__name__}); rcfs keeps the refused ones",
            )
        if found is not None and found != self._credentials:
            self._recorder.note("new credentials found")
            self._credentials, self.refused = found, None

    async def _refresh(self) -> bool:
        """Whether the refresh token gave a new token. It is used up even if the refresh fails."""
        old, now = self._token, self._gate.now_s
        if old is None or not old.refresh or now >= old.refresh_until_s or self._credentials.user:
            return False
        self._token = attrs.evolve(old, refresh="")
        try:
            self._token = await self._attempt(refresh_token(old.refresh, self._credentials))
        except PlatformError as exc:
            self._recorder.note("login renewal failed, logging in again", code=exc.code)
            return False
        self._refreshed = True
        return True

    async def _log_in(self, options: RequestOptions) -> Token:
        await self._lift()
        if self.refused is not None and self.refused_for_s > 0:
            raise AuthError(str(self.refused), code=self.refused.code)
        failures = 0
        while True:
            await trio.lowlevel.checkpoint()
            if self._gate.forecast(AUTH, Priority.PERSON, 1)[0] > _SOON_S:
                self.judged.set()
            try:
                if self._credentials.user:
                    token = await self._continue_login()
                else:
                    token = await self._attempt(get_token(self._credentials))
            except AuthError as exc:
                self._refuse(exc, self._gate.now_s)
                digest = self._credentials.digest()
                self._refusal_kept = self._document.keep_refusal(exc, self._refused_s, digest)
                raise
            except PlatformError as exc:
                failures += 1
                # While the old token is good, requests use it instead of waiting here.
                good = self._token is not None and self._gate.now_s < self._token.ends_at_s
                if good or not exc.retryable or failures >= options.attempts or self._network.is_down:
                    raise
                self._recorder.fault("login", str(exc))
                if not isinstance(exc, RateLimitedError):
                    await trio.sleep(backoff_s(failures, exc))
            else:
                if self.refused is not None:
                    self._recorder.note("login accepted again")
                    self.refused = None
                self.judged.set()
                return token

    async def _attempt(self, request: Request) -> Token:
        async with self._slot(request) as slot, self._send(request, slot) as answer:
            return await token_from(answer, self._gate.now_s)

    async def _continue_login(self) -> Token:
        """A token for the refresh token on the disk, whose successor is there when this returns.

        If the answer is lost, the same refresh token is sent again: the server may not have seen it.

        Raises:
            AuthError: There is no refresh token, or the server refused it; then it is removed.
            PlatformError: No usable answer came, or the disk cannot keep a refresh token.
        """
        refresh = self._document.grant()
        if not refresh:
            raise AuthError(_LOGIN_ENDED.format("", self.login_command))
        request = refresh_token(refresh, self._credentials)
        try:
            # If the disk is full, the refresh token is not used up.
            await self._document.keep_grant(refresh)
            async with self._slot(request) as slot:
                with trio.move_on_after(_REFRESHED_WITHIN_S, shield=True):
                    async with self._send(request, slot) as answer:
                        token = await token_from(answer, self._gate.now_s)
                    await self._document.keep_grant(token.refresh or refresh)
                    return token
        except GrantError as exc:
            self._document.drop_grant(refresh)
            raise AuthError(_LOGIN_ENDED.format(f" ({exc})", self.login_command), code=exc.code) from exc
        except StoreError as exc:
            raise PlatformError(f"the login cannot be renewed: {exc}") from exc
        raise TransportError("no answer in time to the renewal of the login")

    async def revoke(self) -> None:
        """Ends the session on the server, unless it `outlives` this process, or other processes use it.

        It takes a few seconds at most; errors are only logged.
        """
        token, self._token = self._token, None
        with self._document.leaving() as is_last:
            if self._credentials.user:
                if self.logs_out:
                    await self._log_out(token)
                return
            if not is_last or self._network.is_down:
                return
            # Another process may have renewed the token since, or was killed and left one.
            kept = self._document.read()
            if kept is not None and kept.token is not None:
                if self.outlives:
                    return
                token = kept.token
            self._document.forget()
            if token is not None:
                await self._revoke(token.access)

    async def _log_out(self, token: Token | None) -> None:
        """Ends a login with a browser, on the server and on the disk."""
        ended = self._document.grant() or ("" if token is None else token.access)
        self._document.drop_grant()
        self._document.forget()
        if ended and not self._network.is_down:
            await self._revoke(ended)

    async def _revoke(self, token: str) -> None:
        request = revoke_token(token, self._credentials)
        (wait_s,) = self._gate.forecast(request.group, Priority.PERSON, 1)
        if wait_s > _REVOKE_WITHIN_S:
            return  # An unmount would wait for nothing.
        try:
            with trio.move_on_after(_REVOKE_WITHIN_S):
                async with self._slot(request) as slot, self._send(request, slot):
                    pass
        except PlatformError as exc:
            self._recorder.fault("logout", str(exc))

    def _slot(self, request: Request) -> RequestSlot:
        """A slot of the auth group."""
        # All other requests wait for the login, so it always has the most urgent class.
        options = RequestOptions(Priority.PERSON, label="login")
        return self._gate.slot(request.operation, request.group, options)

    @asynccontextmanager
    async def _send(self, request: Request, slot: RequestSlot) -> AsyncIterator[Answer]:
        """The answer to `request`, sent in `slot`."""
        async with AsyncExitStack() as stack:
            with self._network.waiting_for_headers(request.url):
                answer = await stack.enter_async_context(
                    self._client.send(request, basic=self._credentials.basic)
                )
            slot.answered(answer.status, answer.rate, answer.retry_after_s)
            yield answer
