"""Whether the desktop's keyring is locked, found out without a window that asks for its password.

Source: the Secret Service API of freedesktop.org, which GNOME's keyring and KeePassXC speak, and KDE's wallet
since KDE Frameworks 5.97.
"""

import sys

from rcfs.errors import ConfigError

_WITHIN_S = 1.0
"""Longest wait for the answer, in seconds: it is a property that the service has in memory."""
_BACKENDS = ("SecretService", "libsecret", "chainer")
"""Implementations of the keyring library that ask that service."""


class KeyringLockedError(ConfigError):
    """The keyring is locked, and nobody is there to type its password."""

    def __init__(self) -> None:
        super().__init__("the keyring is locked, and must be unlocked first")


def is_terminal() -> bool:
    """Whether a person at a terminal waits for this process, and can type the password of the keyring."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def is_locked() -> bool:
    """Whether the keyring is locked; False if that cannot be told. It blocks, so it belongs into a thread."""
    import keyring

    if type(keyring.get_keyring()).__module__.rpartition(".")[2] not in _BACKENDS:
        return False
    from jeepney import DBusAddress, Properties
    from jeepney.io.blocking import open_dbus_connection
    from jeepney.wrappers import unwrap_msg

    default = DBusAddress(
        "/org/freedesktop/secrets/aliases/default",
        "org.freedesktop.secrets",
        "org.freedesktop.Secret.Collection",
    )
    try:
        with open_dbus_connection() as connection:
            answer = connection.send_and_get_reply(Properties(default).get("Locked"), timeout=_WITHIN_S)
            (_kind, locked) = unwrap_msg(answer)[0]
            return bool(locked)
    except Exception:  # noqa: BLE001 - no bus, no service, no such keyring, or whatever D-Bus raises
        return False
