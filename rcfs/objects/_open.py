"""Opens the object store that a setting names."""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rcfs.errors import ConfigError, install_command
from rcfs.objects._directory import DirectoryStore
from rcfs.objects._store import ObjectStore

_FILE: Final = "file://"
_LARGEST_BYTES: Final = 1 << 20
"""Most bytes that rcfs reads of a file of options."""


def open_objects(place: str, options_file: Path | None = None) -> ObjectStore:
    """The object store at `place`: an absolute path, or a URL that obstore opens. Nothing is sent.

    Args:
        place: Without secrets.
        options_file: A TOML file with obstore's settings for it; None where the environment has them.

    Raises:
        ConfigError: The package is missing, or a setting is wrong.
    """
    if place.startswith(("/", _FILE)):
        directory = Path(place.removeprefix(_FILE))
        if not directory.is_dir():
            raise ConfigError(f"the shared store {directory} is not a directory; mount it, or create it")
        return DirectoryStore(directory)
    options = {} if options_file is None else _options(options_file)
    try:
        from rcfs.objects._obstore import Obstore  # noqa: PLC0415 - only who configures it needs obstore
    except ModuleNotFoundError as exc:
        raise ConfigError(
            f"the shared store {place} needs the package obstore; run: {install_command('objects')}"
        ) from exc
    return Obstore(place, options)


def _options(path: Path) -> Mapping[str, str]:
    try:
        # A FIFO must not block the command.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LARGEST_BYTES).decode()
    except OSError as exc:
        raise ConfigError(f"cache.shared_options: {path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigError(f"cache.shared_options: {path} is not TOML") from exc
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"{path} holds secrets and others may read it; run: chmod 600 {path}")
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"cache.shared_options: {path} is not TOML") from exc
    for name, value in found.items():
        if not isinstance(value, str):
            raise ConfigError(f"cache.shared_options: {name} in {path} must be a text in quotes")
    return found
