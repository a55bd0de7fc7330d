"""Reads the settings of a command, the same way for every command."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import click

from rcfs.cli._options import LOGIN_CHOICE
from rcfs.cli._output import warn
from rcfs.config import Settings, find_config, load_settings, read_keyring


def login_choice() -> Mapping[str, Any]:
    """The options of the command line that choose a saved login, by name; empty without any."""
    context = click.get_current_context(silent=True)
    return {} if context is None else context.meta.get(LOGIN_CHOICE, {})


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
    config = find_config(os.environ, options.get("config"))
    return load_settings({**options, **login_choice()}, os.environ, config, keyring=keyring, warn=warn)
