"""Credentials in a file of their own, for a machine without a keyring: 0600, beside config.toml.

Not in config.toml, which is yours: rcfs would have to rewrite it with all its comments.
"""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from rcfs.config._keyring import SavedCredentials
from rcfs.errors import ConfigError, StoreError
from rcfs.private import private_directory, write_private

_LARGEST_BYTES = 1 << 20
"""A JWT has some thousand characters; what is larger than this was not written by rcfs."""


def credentials_path() -> Path:
    """Where the file is, or would be."""
    return platformdirs.user_config_path("rcfs") / "credentials.json"


def read_credentials_file(warn: Callable[[str], None]) -> SavedCredentials | None:
    """What the file holds; None when there is none.

    `warn` gets a line when it cannot be used, or others may read it.
    """
    path = credentials_path()
    try:
        # A FIFO must hold nobody up.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            saved = SavedCredentials.from_json(file.read(_LARGEST_BYTES))
    except FileNotFoundError:
        return None
    except OSError as exc:
        warn(f"{path} cannot be read: {exc.strerror}; its credentials are not used")
        return None
    except ValueError:
        warn(f"{path} does not hold credentials of rcfs; run `rcfs login` again")
        return None
    if mode & 0o077:
        warn(f"{path} holds secrets and others may read it; run: chmod 600 {path}")
    return saved


def try_credentials_file() -> None:
    """Returns if the file can be written; what it holds stays.

    Raises:
        ConfigError: It cannot.
    """
    trial = credentials_path().with_suffix(".trial")
    _write(trial, "")
    trial.unlink(missing_ok=True)


def write_credentials_file(entry: SavedCredentials) -> None:
    """Saves `entry` in place of what was saved; whoever reads meanwhile gets the one or the other, whole.

    Raises:
        ConfigError: The file cannot be written.
    """
    _write(credentials_path(), entry.to_json())


def _write(path: Path, text: str) -> None:
    try:
        private_directory(path.parent)
        write_private(path, text)
    except StoreError as exc:
        raise ConfigError(str(exc)) from exc


def remove_credentials_file() -> bool:
    """Removes the file; whether there was one.

    Raises:
        ConfigError: It cannot be removed.
    """
    path = credentials_path()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise ConfigError(f"{path} cannot be removed: {exc.strerror}") from exc
    return True
