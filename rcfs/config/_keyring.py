"""Credentials in the desktop's keyring: one entry, saved and read as a whole.

The keyring library is imported where it is used: it takes a tenth of a second and may start D-Bus. A keyring
that is locked, or a bus on which nobody answers, may block forever, so every question has a deadline. Only
where a person waits at a terminal, a locked keyring opens its window: a service that is started again and
again would open one each time. rcfs never makes a new keyring, which would open one, too.
"""

import json
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from rcfs.config._keyring_lock import KeyringLockedError, is_locked, is_terminal
from rcfs.config._settings import Credentials
from rcfs.errors import ConfigError

_T = TypeVar("_T")

ANSWERS_WITHIN_S = 2.0
"""Longest wait for the keyring, in seconds: an unlocked one answers within some milliseconds."""
UNLOCKED_WITHIN_S = 30.0
"""Longest wait for it at a terminal, in seconds: long enough to type its password."""
TRIED_WITHIN_S = 2.0
"""Longest wait before rcfs saves in it: a locked keyring takes longer, and rcfs then offers a file."""
_SERVICE = "rcfs"
_ENTRY = "credentials"
"""Name of the one entry. It is a JSON object, so that its parts always belong together."""
_TRIAL = "trial"
"""Name of the entry of `try_keyring`."""


def credentials_to_json(credentials: Credentials) -> str:
    """`credentials` as a JSON object, secrets included."""
    return json.dumps(fields_of(credentials))


def fields_of(credentials: Credentials) -> Mapping[str, str]:
    """The fields of `credentials` to save, secrets included."""
    return attrs.asdict(credentials, filter=lambda field, value: field.name != "user" or bool(value))


def credentials_from_json(text: str) -> Credentials:
    """The credentials that `credentials_to_json` wrote.

    Raises:
        ValueError: `text` is something else.
    """
    try:
        return credentials_from(json.loads(text))
    except RecursionError as exc:
        raise ValueError("this was not written by rcfs") from exc


def credentials_from(saved: Any) -> Credentials:
    """The credentials in a JSON object of rcfs; those of earlier versions have no ``user``.

    Raises:
        ValueError: `saved` is something else.
    """
    try:
        found = {"user": "", **saved}
        found = {field.name: found[field.name] for field in attrs.fields(Credentials)}
    except (TypeError, KeyError) as exc:
        raise ValueError("this was not written by rcfs") from exc
    if not all(isinstance(value, str) and value.isprintable() for value in found.values()):
        raise ValueError("this was not written by rcfs")
    return Credentials(**found)


def read_keyring(warn: Callable[[str], None]) -> Credentials | None:
    """The saved credentials; None when nothing is saved, or there is no keyring.

    `warn` gets a line when there is a keyring that rcfs cannot read.
    """
    text = read_entry(_ENTRY, warn)
    try:
        return None if text is None else credentials_from_json(text)
    except ValueError:
        warn("the keyring does not hold credentials of rcfs; run `rcfs login` again")
        return None


def read_entry(name: str, warn: Callable[[str], None]) -> str | None:
    """The text of an entry of rcfs in the keyring; None without one, or if there is no keyring.

    `warn` gets a line when there is a keyring that rcfs cannot read.
    """
    from keyring.errors import NoKeyringError

    try:
        return _answered(lambda: _read(name))
    except NoKeyringError:
        pass
    except (TimeoutError, KeyringLockedError) as exc:
        warn(str(exc))
    except Exception as exc:  # noqa: BLE001 - KeyringError, or whatever a backend and D-Bus raise
        warn(f"the keyring cannot be read ({type(exc).__name__})")
    return None


def find_entry(name: str) -> str | None:
    """The text that is saved under `name`, by ``keyring set rcfs NAME``; None if nothing is.

    Raises:
        ConfigError: There is no keyring, it refused, or it does not answer.
    """
    try:
        return _answered(lambda: _read(name))
    except KeyringLockedError:
        raise
    except TimeoutError as exc:
        raise ConfigError(str(exc)) from None
    except Exception as exc:  # noqa: BLE001 - KeyringError, or whatever a backend and D-Bus raise
        raise ConfigError(f"the keyring cannot be read ({type(exc).__name__})") from None


def write_entry(name: str, text: str) -> None:
    """Writes an entry of rcfs into the keyring.

    Raises:
        ConfigError: There is no keyring, it refused, or it does not answer.
    """
    _written(lambda: _write(name, text))


def write_keyring(credentials: Credentials) -> None:
    """Saves `credentials` in place of those saved before.

    Raises:
        ConfigError: There is no keyring, it refused, or it does not answer.
    """
    write_entry(_ENTRY, credentials_to_json(credentials))


def keyring_backend() -> str:
    """The name of the keyring's implementation, for bug reports, or why it cannot be named."""

    def name() -> str:
        import keyring

        kind = type(keyring.get_keyring())
        return f"{kind.__module__}.{kind.__qualname__}"

    try:
        return _answered(name)
    except TimeoutError:
        return "does not answer"
    except Exception as exc:  # noqa: BLE001 - whatever a backend and D-Bus raise
        return f"fails ({type(exc).__name__})"


def try_keyring() -> None:
    """Writes an entry and removes it; the keyring may ask for its password.

    Raises:
        ConfigError: There is no keyring, it refused, or it does not answer.
    """

    def write_and_remove() -> None:
        _write(_TRIAL, "to be removed at once")
        _delete(_TRIAL)

    _written(write_and_remove, TRIED_WITHIN_S)


def clear_keyring() -> bool:
    """Removes the saved entry; whether there was one.

    Raises:
        ConfigError: The keyring refused, or does not answer.
    """
    from keyring.errors import NoKeyringError

    try:
        return _answered(lambda: _read(_ENTRY) is not None and _delete(_ENTRY))
    except NoKeyringError:
        return False
    except (TimeoutError, KeyringLockedError) as exc:
        raise ConfigError(
            f"{exc}; your credentials are still in it, so unlock it and run this again"
        ) from None
    except Exception as exc:
        raise ConfigError(f"the keyring cannot be changed ({type(exc).__name__})") from exc


def _read(name: str) -> str | None:
    import keyring

    return keyring.get_password(_SERVICE, name)


def _write(name: str, text: str) -> None:
    import keyring

    keyring.set_password(_SERVICE, name, text)


def _delete(name: str) -> bool:
    import keyring

    keyring.delete_password(_SERVICE, name)
    return True


def _written(work: Callable[[], object], within_s: float | None = None) -> None:
    try:
        _answered(work, within_s)
    except KeyringLockedError:
        raise
    except TimeoutError as exc:
        raise ConfigError(str(exc)) from None
    except Exception as exc:  # noqa: BLE001 - KeyringError, or whatever a backend and D-Bus raise
        # Without its cause, which could hold the secrets.
        raise ConfigError(f"there is no keyring that can be written ({type(exc).__name__})") from None


def _answered(work: Callable[[], _T], within_s: float | None = None) -> _T:
    """The result of `work`, run in a thread that is abandoned when the keyring does not answer.

    It gets `within_s` seconds; None for ANSWERS_WITHIN_S, and for a person at a terminal UNLOCKED_WITHIN_S.

    Raises:
        NoKeyringError: The desktop has no keyring.
        KeyringLockedError: It is locked, and nobody is at a terminal.
        TimeoutError: The keyring has not answered in time.
    """
    from keyring.errors import NoKeyringError

    has_person = is_terminal()
    results: list[_T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            locked = is_locked()
            if locked is None:
                raise NoKeyringError
            if locked and not has_person:
                raise KeyringLockedError
            results.append(work())
        except Exception as exc:  # noqa: BLE001 - raised where it was asked for
            errors.append(exc)

    thread = threading.Thread(target=run, name="keyring", daemon=True)
    thread.start()
    is_patient = has_person and within_s is None
    within_s = ANSWERS_WITHIN_S if within_s is None else within_s
    thread.join(within_s)
    if is_patient and thread.is_alive():
        print(
            "rcfs: the keyring does not answer; if it is locked, type its password into its window, within"
            f" {UNLOCKED_WITHIN_S:.0f} s",
            file=sys.stderr,
        )
        within_s = UNLOCKED_WITHIN_S
        thread.join(within_s)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(
            f"the keyring has not answered within {within_s:.0f} s, perhaps because it is locked"
        )
    return results[0]
