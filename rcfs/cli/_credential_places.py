"""The places where `rcfs login` saves credentials, and where `rcfs logout` removes them."""

import time
from typing import TYPE_CHECKING

import click

from rcfs.cli._output import is_interactive, tell
from rcfs.cli._settings import read_settings
from rcfs.config import (
    ACCOUNTS,
    POOL,
    Credentials,
    Settings,
    clear_keyring,
    credentials_path,
    read_credentials_file,
    remove_credentials_file,
    try_credentials_file,
    try_keyring,
    write_credentials_file,
    write_keyring,
)
from rcfs.errors import ConfigError

if TYPE_CHECKING:
    from rcfs.cli._browser_login import LoggedIn

_RENEWED_WITHIN_S = 25.0
"""Longest wait for a process that renews the same login, in seconds: its answer may take 20."""
_POLL_S = 0.05
"""How often rcfs looks whether that process has ended its renewal, in seconds."""


def last_login(where: Settings, pool: str | None, *, in_file: bool) -> Credentials | None:
    """The login that is saved now; of one in the keyring only if that has just answered."""

    def ignore(_line: str) -> None: ...

    if in_file or where.credentials_file is not None:
        if pool is not None:
            return POOL.in_file(pool)
        if where.account is not None and where.credentials_file is None:
            return ACCOUNTS.in_file(where.account)
        return read_credentials_file(ignore, where.credentials_file)
    if pool is not None:
        return POOL.read(ignore, pool).get(pool)
    return read_settings({}, warn=ignore).credentials


def keep_grant(where: Settings, logged_in: "LoggedIn") -> None:
    """Puts the refresh token on the disk, where the commands and mounts of this login find it.

    Raises:
        StoreError: The state directory cannot be written.
    """
    from rcfs.store import LinuxMachine, SharedSession

    identity = logged_in.credentials.identity
    session = SharedSession(where.files.sessions, identity, LinuxMachine.here().boot)
    deadline_s = time.monotonic() + _RENEWED_WITHIN_S
    # A mount that renews the old login would put the old refresh token back.
    while (lock := session.try_lock()) is None and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
    try:
        session.keep_grant(logged_in.refresh)
    finally:
        if lock is not None:
            SharedSession.unlock(lock)
        session.leave()


def save(entry: Credentials, where: Settings, pool: str | None, *, in_file: bool) -> str:
    """Saves `entry`; returns where.

    Raises:
        ConfigError: The file or the keyring cannot be written.
    """
    if pool is not None:
        return POOL.save(pool, entry, in_file=in_file)
    if where.credentials_file is not None:
        write_credentials_file(entry, where.credentials_file)
        return str(where.credentials_file)
    if where.account is not None:
        return ACCOUNTS.save(where.account, entry, in_file=in_file)
    if in_file:
        write_credentials_file(entry)
        return str(credentials_path())
    write_keyring(entry)
    remove_credentials_file()  # It would be read first.
    return "the keyring"


def file_is_to_hold_them(*, in_file: bool) -> bool:
    """Whether the credentials go into the file, not the keyring; tries to write to the one that it chooses.

    Raises:
        ConfigError: Neither can be written.
    """
    if not in_file:
        try:
            try_keyring()
        except ConfigError as exc:
            path = credentials_path()
            if not is_interactive():
                raise ConfigError(
                    f"{exc}; give --file to save the credentials in {path}, which only you can read, or set"
                    " environment variables instead (`rcfs mount --help` lists them)"
                ) from None
            tell(str(exc))
            click.confirm(f"Save the credentials in {path}, which only you can read?", abort=True, err=True)
        else:
            return False
    try_credentials_file()
    return True


def remove_saved(where: Settings) -> list[str]:
    """Removes the saved credentials; returns the places that had them.

    Raises:
        ConfigError: A place cannot be written.
    """
    if where.credentials_file is not None:
        return [str(where.credentials_file)] if remove_credentials_file(where.credentials_file) else []
    if where.account is not None:
        place = ACCOUNTS.places(lambda _line: None).get(where.account, "")
        if not ACCOUNTS.remove(where.account):
            known = ", ".join(ACCOUNTS.places(lambda _line: None)) or "none"
            raise ConfigError(f"no account '{where.account}' is saved; saved are: {known}")
        return [place]
    removed = [str(credentials_path())] if remove_credentials_file() else []
    return [*removed, "the keyring"] if clear_keyring() else removed
