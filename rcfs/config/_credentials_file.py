"""Credentials in a file of their own, for a machine without a keyring: 0600, beside config.toml.

They are not in config.toml, because rcfs does not rewrite a file that you edit.
"""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import platformdirs

from rcfs.config._keyring import credentials_from_json, credentials_to_json
from rcfs.config._settings import Credentials
from rcfs.errors import ConfigError, StoreError
from rcfs.private import private_directory, write_private

_LARGEST_BYTES = 1 << 20
"""Most bytes that rcfs reads of the file: a JWT has some thousand characters, so it never writes as many."""

_USUAL_BYTES = 8192
"""Most bytes that credentials usually have: an empty file could be made on a full disk, too."""


def credentials_path() -> Path:
    """The path of the file, which need not exist."""
    return platformdirs.user_config_path("rcfs") / "credentials.json"


def read_credentials_file(
    warn: Callable[[str], None], path: Path | None = None, *, is_guarded: bool = False
) -> Credentials | None:
    """The credentials in the file at `path`, None for `credentials_path`; None when there is no such file.

    `warn` gets a line when rcfs cannot use the file, or others may read it; systemd guards its own
    (`is_guarded`) by access control lists, which the mode does not show.
    """
    option = "" if path is None else f" --credentials-file {shlex.quote(str(path))}"
    path = path or credentials_path()
    try:
        text = read_private_file(path, warn, is_guarded=is_guarded)
        return None if text is None else credentials_from_json(text)
    except ValueError:
        warn(f"{path} does not hold credentials of rcfs; run `rcfs login{option}` again")
        return None


def read_private_file(path: Path, warn: Callable[[str], None], *, is_guarded: bool = False) -> str | None:
    """The text of a file with secrets; None if it does not exist.

    `warn` gets a line when rcfs cannot read the file, or others may read it and it is not `is_guarded`.

    Raises:
        ValueError: It is not UTF-8.
    """
    try:
        # A FIFO must not block the command.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LARGEST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as exc:
        warn(f"{path} cannot be read: {exc.strerror}; rcfs does not use the credentials in it")
        return None
    if mode & 0o077 and not is_guarded:
        warn(f"{path} holds secrets and others may read it; run: chmod 600 {path}")
    return text


def try_credentials_file(path: Path | None = None) -> None:
    """Tries to write a file beside it (None for `credentials_path`); the saved credentials stay as they are.

    Raises:
        ConfigError: The directory cannot be written, or its disk is full.
    """
    path = path or credentials_path()
    if path.is_dir():
        raise ConfigError(f"{path} is a directory; name a file")
    trial = path.with_name(f".{path.name}.trial")
    write_private_file(trial, " " * _USUAL_BYTES)
    trial.unlink(missing_ok=True)


def write_credentials_file(credentials: Credentials, path: Path | None = None) -> None:
    """Saves `credentials` in place of those saved before, atomically.

    Raises:
        ConfigError: The file cannot be written.
    """
    write_private_file(path or credentials_path(), credentials_to_json(credentials))


def write_private_file(path: Path, text: str) -> None:
    """Writes `text` to a file that only you can read, in place of the old one, atomically.

    Raises:
        ConfigError: The file cannot be written.
    """
    try:
        private_directory(path.parent)
        write_private(path, text)
    except StoreError as exc:
        raise ConfigError(str(exc)) from exc


def remove_credentials_file(path: Path | None = None) -> bool:
    """Removes the file, None for `credentials_path`; returns whether it existed.

    Raises:
        ConfigError: It cannot be removed.
    """
    path = path or credentials_path()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise ConfigError(f"{path} cannot be removed: {exc.strerror}") from exc
    return True
