"""The password for the server of the shared quota ledger: from a file of its own, or from the keyring."""

import os
from pathlib import Path

from rcfs.config._keyring import find_entry
from rcfs.config._settings import Settings
from rcfs.errors import ConfigError

_ENTRY = "ledger"
"""Name of its entry in the keyring: ``keyring set rcfs ledger`` saves it."""
_IN_A_FILE = "write the ledger's password into a file, and name that as password_file under [quota]"
_LARGEST_BYTES = 4096
"""Most bytes of a password file: a password of a server has some hundred at most."""


def read_ledger_password(settings: Settings) -> str | None:
    """The password, from the file that the settings name; else, if they name a user, from the keyring.

    None if neither is named: then the server asks for none.

    Raises:
        ConfigError: The file cannot be read, or others may read it; or no password is saved for the user.
    """
    if settings.ledger_password_file is not None:
        return _read_file(settings.ledger_password_file)
    if settings.ledger is None or not settings.ledger.user:
        return None
    try:
        password = find_entry(_ENTRY)
    except ConfigError as exc:
        raise ConfigError(f"{exc}; {_IN_A_FILE}") from exc
    if not password:
        raise ConfigError(
            "the keyring has no password for the user in [quota] ledger; run `keyring set rcfs ledger`, or"
            f" {_IN_A_FILE}"
        )
    return password


def _read_file(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise ConfigError(f"others may read {path}, which holds a password; run: chmod 600 {path}")
            password = file.read(_LARGEST_BYTES).strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"quota.password_file {path} cannot be read: {reason}") from None
    if not password:
        raise ConfigError(f"quota.password_file {path} is empty; write the password into it")
    return password
