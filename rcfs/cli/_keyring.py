"""Credentials in the desktop's keyring: one entry, saved and read as a whole.

The keyring library is imported where it is used: it takes a tenth of a second and may start D-Bus.
"""

import json
from collections.abc import Callable

import attrs

from rcfs.errors import ConfigError

_SERVICE = "rcfs"
_ENTRY = "credentials"
"""Name of the one entry; a JSON object, so that its parts always belong together."""


@attrs.frozen
class KeyringEntry:
    """What `rcfs login` saved; all fields None when it saved nothing."""

    server_url: str | None = None
    """Origin of the platform."""
    client_id: str | None = None
    """Client id of the app."""
    client_secret: str | None = attrs.field(default=None, repr=False)
    """Client secret of the app."""
    jwt: str | None = attrs.field(default=None, repr=False)
    """JWT credential of the user."""


def read_keyring(warn: Callable[[str], None]) -> KeyringEntry:
    """The saved entry, an empty one when there is none or no keyring.

    `warn` gets a line when there is a keyring but it cannot be read.
    """
    import keyring
    from keyring.errors import KeyringError, NoKeyringError

    try:
        text = keyring.get_password(_SERVICE, _ENTRY)
    except NoKeyringError:
        return KeyringEntry()
    except KeyringError as exc:
        warn(f"the keyring cannot be read ({type(exc).__name__}); its credentials are not used")
        return KeyringEntry()
    if text is None:
        return KeyringEntry()
    try:
        saved = json.loads(text)
        values = {field.name: saved[field.name] for field in attrs.fields(KeyringEntry)}
    except (ValueError, TypeError, KeyError):
        warn("the keyring's entry is not one of rcfs; run `rcfs login` again")
        return KeyringEntry()
    return KeyringEntry(**{name: str(value) for name, value in values.items()})


def write_keyring(entry: KeyringEntry) -> None:
    """Saves `entry` in place of what was saved.

    Raises:
        ConfigError: There is no keyring, or it refused.
    """
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(_SERVICE, _ENTRY, json.dumps(attrs.asdict(entry)))
    except KeyringError as exc:
        raise ConfigError(
            f"there is no keyring that can be written ({type(exc).__name__}); put the credentials into the"
            " environment or into config.toml instead (`rcfs mount --help` names the variables)"
        ) from None  # the chained error could hold the secrets


def clear_keyring() -> bool:
    """Removes the saved entry; whether there was one.

    Raises:
        ConfigError: The keyring refused.
    """
    import keyring
    from keyring.errors import KeyringError, NoKeyringError

    try:
        if keyring.get_password(_SERVICE, _ENTRY) is None:
            return False
        keyring.delete_password(_SERVICE, _ENTRY)
    except NoKeyringError:
        return False
    except KeyringError as exc:
        raise ConfigError(f"the keyring cannot be changed ({type(exc).__name__})") from exc
    return True
