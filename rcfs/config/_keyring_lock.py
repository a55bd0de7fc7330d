"""Whether the desktop's keyring is there and locked, found out without a window that asks for a password.

Source: the Secret Service API of freedesktop.org, which GNOME's keyring and KeePassXC speak, and KDE's wallet
since KDE Frameworks 5.97.
"""

import sys
from functools import partial

from rcfs.errors import ConfigError

_WITHIN_S = 1.0
"""Longest wait for the answer, in seconds: it is a property that the service has in memory."""
_NOWHERE = "/"
"""The path of an alias that stands for no keyring."""
_BACKENDS = ("SecretService", "libsecret", "chainer")
"""Implementations of the keyring library that ask that service; the last one also asks others."""


class KeyringLockedError(ConfigError):
    """The keyring is locked, and nobody is there to type its password."""

    def __init__(self) -> None:
        super().__init__("the keyring is locked, and must be unlocked first")


def is_terminal() -> bool:
    """Whether a person at a terminal waits for this process, and can type the password of the keyring."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def is_locked() -> bool | None:
    """Whether the keyring is locked; None if the user has none yet, and False if that cannot be told.

    Without a keyring, the keyring library would make one when it reads or writes, and the desktop would open
    a window for its password. This function blocks, so it belongs into a thread.
    """
    import keyring

    backend = type(keyring.get_keyring()).__module__.rpartition(".")[2]
    if backend not in _BACKENDS:
        return False
    from jeepney import DBusAddress, Properties, new_method_call
    from jeepney.io.blocking import open_dbus_connection
    from jeepney.wrappers import unwrap_msg

    name = "org.freedesktop.secrets"
    service = DBusAddress("/org/freedesktop/secrets", name, "org.freedesktop.Secret.Service")
    try:
        with open_dbus_connection() as connection:
            ask = partial(connection.send_and_get_reply, timeout=_WITHIN_S)
            (path,) = unwrap_msg(ask(new_method_call(service, "ReadAlias", "s", ("default",))))
            if path == _NOWHERE:
                return False if backend == "chainer" else None
            default = DBusAddress(path, name, "org.freedesktop.Secret.Collection")
            (_kind, locked) = unwrap_msg(ask(Properties(default).get("Locked")))[0]
            return bool(locked)
    except Exception:  # noqa: BLE001 - no bus, no service, or whatever D-Bus raises
        return False
