"""The document in which the processes of one login share their session: its token, or why it was refused.

`SharedSession` keeps the document on the disk and locks it; this module reads and writes its fields. If the
disk or the document is damaged, a process can still log in by itself, so no method here raises an error for
that.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import trio

from rcfs.errors import AuthError, StoreError
from rcfs.model import one_line
from rcfs.platform import Token, is_bearer
from rcfs.store import SharedSession
from rcfs.transport._recorder import Recorder

_POLL_S = 0.05
"""How often rcfs looks whether another process has renewed the session, in seconds."""
_OTHER_WITHIN_S = 150.0
"""Longest wait for that process, in seconds: its login may wait for a penalty. Then this process logs in
itself."""


@attrs.frozen
class Kept:
    """The fields of the document."""

    token: Token | None
    """None when the document has no valid token."""
    is_refreshed: bool
    """Whether the token came from a refresh and not from a login."""
    refused_by: str
    """Digest of the credentials that the server refused; empty without a refusal."""
    refusal: AuthError
    """Why the server refused them."""
    refused_s: float
    """When it refused them; -inf when the document has no valid time."""


class SessionDocument:
    """The document of a session; all methods are quick except the wait for another process."""

    def __init__(self, shared: SharedSession | None, recorder: Recorder) -> None:
        """Without `shared` nothing is written, and the session is not shared."""
        self._shared = shared
        self._recorder = recorder

    def read(self) -> Kept | None:
        """The document as it is now; None without one on the disk."""
        document = None if self._shared is None else self._shared.read()
        if document is None:
            return None
        return Kept(
            token=_token_of(document),
            is_refreshed=bool(document.get("refreshed")),
            refused_by=str(document.get("refused_by") or ""),
            refusal=AuthError(
                one_line(str(document.get("refused"))), code=one_line(str(document.get("code")))
            ),
            refused_s=_refused_s(document),
        )

    def keep_token(self, token: Token, *, is_refreshed: bool) -> None:
        """Writes `token` for other processes."""
        self._write({**attrs.asdict(token), "refreshed": is_refreshed})

    def keep_refusal(self, error: AuthError, refused_s: float, digest: str) -> bool:
        """Writes that the server refused the credentials of `digest`; whether that succeeded."""
        told = {"refused": str(error), "code": error.code, "refused_s": refused_s, "refused_by": digest}
        return self._write(told)

    def _write(self, document: Mapping[str, Any]) -> bool:
        if self._shared is None:
            return False
        try:
            self._shared.write(document)
        except StoreError as exc:  # Each process then has a session of its own.
            self._recorder.fault("session", str(exc))
            return False
        return True

    def grant(self) -> str:
        """The refresh token of the login with a browser; empty if the disk has none."""
        return "" if self._shared is None else self._shared.grant()

    async def keep_grant(self, refresh: str) -> None:
        """Returns when the refresh token `refresh` is on the disk.

        Raises:
            StoreError: It cannot be written; the last one stays.
        """
        if self._shared is not None:
            await trio.to_thread.run_sync(self._shared.keep_grant, refresh)

    def drop_grant(self, refresh: str = "") -> None:
        """Removes the refresh token; with `refresh`, only if it is still this one."""
        if self._shared is not None:
            self._shared.drop_grant(refresh)

    def forget(self) -> None:
        """Removes the document."""
        if self._shared is not None:
            self._shared.forget()

    @asynccontextmanager
    async def renewing(self, is_renewed: Callable[[], bool]) -> AsyncIterator[bool]:
        """A block in which no other process renews the session, unless the disk fails or that process hangs.

        It begins when no other process renews the session, or `is_renewed` says that one has done so. It
        gives whether the session is locked.
        """
        lock = None
        try:
            with trio.move_on_after(_OTHER_WITHIN_S):  # noqa: ASYNC912 - mostly nobody else renews it
                while self._shared is not None:
                    lock = self._shared.try_lock()
                    if lock is not None or is_renewed():
                        break
                    await trio.sleep(_POLL_S)
        except StoreError as exc:
            self._recorder.fault("session", str(exc))
        try:
            yield lock is not None
        finally:
            if lock is not None:
                SharedSession.unlock(lock)

    @contextmanager
    def leaving(self) -> Iterator[bool]:
        """A block at whose end this process leaves the session; gives whether it is the last process."""
        if self._shared is None:
            yield True
            return
        try:
            yield self._shared.is_last()
        finally:
            self._shared.leave()


def _token_of(document: Mapping[str, Any]) -> Token | None:
    access = document.get("access")
    if not is_bearer(access):
        return None
    try:
        return Token(
            access=access,
            renew_at_s=float(document["renew_at_s"]),
            ends_at_s=float(document["ends_at_s"]),
            refresh=str(document["refresh"]),
            refresh_until_s=float(document["refresh_until_s"]),
            scopes=tuple(map(str, document["scopes"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _refused_s(document: Mapping[str, Any]) -> float:
    try:
        return float(document["refused_s"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return -math.inf
