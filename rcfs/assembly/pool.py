"""The pool of logins, from the settings to an engine."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from rcfs.assembly.connecting import login_with, settings_now, shared_session
from rcfs.assembly.ledger import open_ledger
from rcfs.config import Settings
from rcfs.platform import Credentials
from rcfs.transport import PoolLogin, Recorder


@contextmanager
def pool_logins(settings: Settings, recorder: Recorder) -> Iterator[tuple[PoolLogin, ...]]:
    """The logins of the pool that can be used, each with its ledger; `recorder` gets why others cannot."""
    with ExitStack() as stack:
        logins = []
        for entry in settings.pool:
            if entry.credentials is None:
                recorder.fault("pool", f"rcfs does not use the login '{entry.name}': {entry.problem}")
                continue
            identity = entry.credentials.identity
            ledger, _clock = stack.enter_context(open_ledger(settings, identity, recorder))
            logins.append(
                PoolLogin(
                    entry.name,
                    login_with(entry.credentials, _command(entry.name)),
                    ledger,
                    shared_session(settings, identity, recorder),
                    partial(_credentials_now, settings, entry.name, identity),
                )
            )
        yield tuple(logins)


def _credentials_now(settings: Settings, name: str, identity: str) -> Credentials | None:
    """The credentials that are saved now for the login `name`.

    None for those of another user or app, whose budget is another one: they need another mount.
    """
    pool = settings_now(settings).pool
    found = next((entry.credentials for entry in pool if entry.name == name), None)
    if found is None or found.identity != identity:
        return None
    return login_with(found, _command(name))


def _command(name: str) -> str:
    return f"rcfs login --pool {name}"
