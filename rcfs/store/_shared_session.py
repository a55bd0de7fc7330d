"""The session of a login, shared by all processes of a state directory: the platform keeps about five.

Files below ``sessions``, named by a digest of server, app and user; each 0600, their directory 0700:

    <login>.json    the tokens, or why the login was refused; replaced as a whole, so a reader needs no lock
    <login>.lock    locked by the process that renews the session
    <login>.grant   the refresh token of a login with a browser, for one use; survives reboots and power cuts
    <login>.users   shared lock of each process that uses the session; the last one can lock it exclusively

The kernel drops the locks of a process that dies, so after a kill -9 the other processes, and the next mount,
keep using the session.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rcfs.errors import StoreError
from rcfs.private import FILE_MODE, make_private_directory, reason_of, replace_private_file

GRANT_SUFFIX = ".grant"
"""Suffix of the file with the refresh token of a login with a browser."""


class SharedSession:
    """The session as one process sees it; all methods are quick, and may be called from the event loop."""

    def __init__(self, directory: Path, login: str, boot: str) -> None:
        """Joins the session of `login`, a digest; `boot` is the id of the boot that times count from.

        Raises:
            StoreError: The files cannot be created.
        """
        self._boot = boot
        self._path = directory / f"{login}.json"
        self._lock_path = directory / f"{login}.lock"
        self._grant_path = grant_path(directory, login)
        try:
            make_private_directory(directory)
            self._users: int | None = _opened(directory / f"{login}.users")
            # Waits only while the last process logs out, which takes a few seconds at most.
            fcntl.flock(self._users, fcntl.LOCK_SH)
        except OSError as exc:
            raise StoreError(
                f"processes cannot share the login in {directory} ({reason_of(exc)}); each logs in by itself"
            ) from exc

    def read(self) -> Mapping[str, Any] | None:
        """The document that was written last; None if nobody wrote one since the boot."""
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) and document.get("boot") == self._boot else None

    def write(self, document: Mapping[str, Any]) -> None:
        """Write `document`, plain JSON values, in place of the last one.

        Raises:
            StoreError: The file cannot be written.
        """
        try:
            replace_private_file(self._path, json.dumps({**document, "boot": self._boot}))
        except OSError as exc:
            raise StoreError(
                f"processes cannot share the login ({reason_of(exc)}); each logs in by itself"
            ) from exc

    def grant(self) -> str:
        """The refresh token of the login with a browser; empty without one."""
        try:
            document = json.loads(self._grant_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return ""
        refresh = document.get("refresh") if isinstance(document, dict) else None
        return refresh if isinstance(refresh, str) else ""

    def keep_grant(self, refresh: str) -> None:
        """Put the refresh token `refresh` in place of the last one; it survives a power cut. This blocks.

        Raises:
            StoreError: The file cannot be written; the last one stays.
        """
        try:
            replace_private_file(self._grant_path, json.dumps({"refresh": refresh}), sync=True)
        except OSError as exc:
            raise StoreError(f"{self._grant_path} cannot be written: {reason_of(exc)}") from exc

    def drop_grant(self, refresh: str = "") -> None:
        """Remove the refresh token; with `refresh`, only if it is still this one."""
        if not refresh or self.grant() == refresh:
            with suppress(OSError):
                self._grant_path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove the document."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    @staticmethod
    def forget_refusals(directory: Path) -> None:
        """Remove the refusals in `directory`, so that those logins are tried again when they are needed."""
        for path in directory.glob("*.json"):
            with suppress(OSError, ValueError, RecursionError):
                document = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(document, dict) and "refused" in document:
                    path.unlink()

    def try_lock(self) -> int | None:
        """Lock the session for renewal; the argument of `unlock`, or None while another process renews it.

        Raises:
            StoreError: The file cannot be written.
        """
        try:
            descriptor = _opened(self._lock_path)
        except OSError as exc:
            raise StoreError(f"processes cannot lock the login: {reason_of(exc)}") from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor

    @staticmethod
    def unlock(lock: int) -> None:
        """Let other processes renew the session."""
        os.close(lock)

    def is_last(self) -> bool:
        """Whether no other process uses the session; if so, none can join it before `leave`."""
        if self._users is None:
            return False
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def leave(self) -> None:
        """Stop using the session."""
        if self._users is not None:
            os.close(self._users)
            self._users = None


def grant_path(directory: Path, login: str) -> Path:
    """The file with the refresh token of `login`, a digest, in the `directory` of the sessions."""
    return directory / f"{login}{GRANT_SUFFIX}"


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
