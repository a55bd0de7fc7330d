"""Saved credentials with names: the further logins of the pool, and the accounts of `rcfs login --account`.

Each kind is listed in a file of its own beside config.toml: by name, the credentials, or null if they are in
the keyring. So without such logins nothing asks the keyring for one.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import platformdirs

from rcfs.config._credentials_file import read_private_file, write_private_file
from rcfs.config._keyring import credentials_from, fields_of, read_entry, write_entry
from rcfs.config._settings import Credentials
from rcfs.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)

Saved = Mapping[str, Credentials | None]
"""Saved logins by name; None for one whose credentials cannot be read."""


def parse_login_name(text: str) -> str:
    """The name of a saved login.

    Raises:
        ValueError: It has characters that no such name has.
    """
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:40]!r} is no name of a login; use at most 32 letters, digits, dots, hyphens and"
            " underscores"
        )
    return text


@attrs.frozen
class NamedCredentials:
    """The saved logins of one kind."""

    option: str
    """The option of `rcfs login` that saves one, without its dashes."""
    entry: str
    """Name of the file, without its suffix, and of the keyring's entry: a JSON object of credentials by
    name, so that one question brings them all."""

    @property
    def path(self) -> Path:
        """The path of the file, which need not exist."""
        return platformdirs.user_config_path("rcfs") / f"{self.entry}.json"

    def places(self, warn: Callable[[str], None]) -> Mapping[str, str]:
        """Where the credentials of each login are, by name; the keyring is not asked."""
        return {
            name: "the keyring" if entry is None else str(self.path)
            for name, entry in self._listed(warn).items()
        }

    def read(self, warn: Callable[[str], None], name: str | None = None) -> Saved:
        """The saved logins, or only the one of `name`, in the order in which they were saved.

        The keyring is asked only if it has some of them. `warn` gets a line for what cannot be read.
        """
        listed = self._listed(warn)
        if name is not None:
            listed = {each: entry for each, entry in listed.items() if each == name}
        if any(entry is None for entry in listed.values()):
            kept = self._kept(warn)
            listed = {each: entry or kept.get(each) for each, entry in listed.items()}
        return {each: _credentials(entry) for each, entry in listed.items()}

    def in_file(self, name: str) -> Credentials | None:
        """The credentials of `name` if they are in the file; the keyring is not asked."""
        return _credentials(self._listed(lambda _line: None).get(name))

    def save(self, name: str, credentials: Credentials, *, in_file: bool) -> str:
        """Saves the login `name`, in place of an earlier one of this name; returns where.

        Raises:
            ConfigError: The file or the keyring cannot be written.
        """
        fields = fields_of(credentials)
        listed = dict(self._listed(_refuse))
        if not in_file:
            write_entry(self.entry, json.dumps({**self._kept(_refuse), name: fields}))
        listed[name] = fields if in_file else None
        write_private_file(self.path, json.dumps(listed))
        return str(self.path) if in_file else "the keyring"

    def remove(self, name: str) -> bool:
        """Removes the saved login `name`; whether there was one.

        Raises:
            ConfigError: The file or the keyring cannot be written.
        """
        listed = dict(self._listed(_refuse))
        if name not in listed:
            return False
        if listed.pop(name) is None:
            kept = self._kept(_refuse)
            write_entry(self.entry, json.dumps({each: kept[each] for each in kept if each != name}))
        write_private_file(self.path, json.dumps(listed))
        return True

    def _listed(self, warn: Callable[[str], None]) -> Mapping[str, Mapping[str, Any] | None]:
        try:
            text = read_private_file(self.path, warn)
        except ValueError:
            text = ""
        return {} if text is None else self._from_json(text, str(self.path), warn)

    def _kept(self, warn: Callable[[str], None]) -> Mapping[str, Mapping[str, Any] | None]:
        """The credentials in the keyring, by name."""
        return self._from_json(read_entry(self.entry, warn) or "{}", "the keyring", warn)

    def _from_json(
        self, text: str, place: str, warn: Callable[[str], None]
    ) -> Mapping[str, Mapping[str, Any] | None]:
        try:
            found = json.loads(text)
            if isinstance(found, dict) and all(
                _NAME.fullmatch(name) and (entry is None or isinstance(entry, dict))
                for name, entry in found.items()
            ):
                return found
        except (ValueError, RecursionError):
            pass
        warn(
            f"{place} does not hold the {self.entry} of rcfs; run `rcfs login --{self.option} NAME` again for"
            " each login"
        )
        return {}


POOL = NamedCredentials("pool", "pool")
"""The further logins, which fetch contents as well."""
ACCOUNTS = NamedCredentials("account", "accounts")
"""The logins of `rcfs login --account NAME`."""


def _credentials(entry: Mapping[str, Any] | None) -> Credentials | None:
    try:
        return None if entry is None else credentials_from(entry)
    except ValueError:
        return None


def _refuse(line: str) -> None:
    """Refuses to write logins of which a part cannot be read, and would be lost.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError(line)
