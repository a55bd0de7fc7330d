"""The storage options of ``rcfs://``, and the settings that they make."""

import os
from pathlib import Path
from typing import Any, Final

import attrs

from rcfs.config import Settings, find_config, load_settings
from rcfs.errors import ConfigError

PATIENCE_S: Final = 3600.0
"""Longest wait for a mailbox or content unless an option says otherwise. The bound of a mount, five minutes,
is for programs that expect a local disk. A worker among a hundred waits longer than that for its turn."""


def _texts(value: Any) -> tuple[str, ...] | None:
    return None if value is None else (value,) if isinstance(value, str) else tuple(value)


def _text(value: Any) -> str | None:
    return None if value is None else os.fspath(value) if isinstance(value, os.PathLike) else str(value)


@attrs.frozen
class Options:
    """Storage options, with the names and values that the command line has; None for what is not given.

    None of them is a secret, because fsspec writes storage options into pickles, JSON and logs.
    """

    config: str | None = attrs.field(default=None, converter=_text)
    """Path of config.toml, as in RCFS_CONFIG."""
    server_url: str | None = attrs.field(default=None, converter=_text)
    state_dir: str | None = attrs.field(default=None, converter=_text)
    cache_dir: str | None = attrs.field(default=None, converter=_text)
    cache_size: str | None = attrs.field(default=None, converter=_text)
    max_content: str | None = attrs.field(default=None, converter=_text)
    max_wait: float | None = None
    """Longest wait in seconds; None for `PATIENCE_S`, or for that of the configuration if it is longer."""
    limit: tuple[str, ...] | None = attrs.field(default=None, converter=_texts)
    offline: bool | None = None

    def settings(self) -> Settings:
        """The settings, with the login of the environment, of config.toml, or of the keyring.

        Raises:
            ConfigError: An option or setting is wrong, or credentials are missing.
        """
        options = attrs.asdict(self)
        path = self._config_path(options.pop("config"))
        found = load_settings(options, os.environ, path, warn=lambda _line: None)
        found.require_credentials()
        patience_s = found.max_wait_s if self.max_wait is not None else max(found.max_wait_s, PATIENCE_S)
        # A mount with these settings sends changes; this file system makes none.
        return attrs.evolve(found, max_wait_s=patience_s, read_write=False, send=False)

    @staticmethod
    def _config_path(named: str | None) -> Path:
        if named is None:
            return find_config(os.environ)
        path = Path(named).expanduser().absolute()
        if not path.exists():
            raise ConfigError(f"config: there is no file {path}; create it, or omit the option")
        return path
