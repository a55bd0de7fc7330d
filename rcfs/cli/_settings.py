"""Reads the settings of a command, the same way for every command."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from rcfs.cli._output import warn
from rcfs.config import Settings, find_config, load_settings, read_keyring


def read_settings(
    options: Mapping[str, Any],
    *,
    login: bool = True,
    warn: Callable[[str], None] = warn,
) -> Settings:
    """The settings of this command: `options` of its command line, the environment, config.toml, the keyring.

    Without `login`, rcfs does not read the keyring, which may be locked and ask for its password.

    Raises:
        ConfigError: A value is wrong; the text names its source.
    """
    keyring = read_keyring if login else None
    return load_settings(options, os.environ, find_config(os.environ), keyring=keyring, warn=warn)
