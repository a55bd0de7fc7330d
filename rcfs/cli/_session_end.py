"""Ends the session that a killed mount has left on the server."""

import structlog
import trio

from rcfs.cli._connecting import client_of, connect, proxies_to
from rcfs.cli._output import warn
from rcfs.config import Credentials, Settings
from rcfs.errors import RcfsError
from rcfs.host.logs import log_to_terminal
from rcfs.store import LinuxMachine, SharedSession
from rcfs.transport import Recorder


def end_session(settings: Settings) -> None:
    """Deletes the session of the login of `settings`, and revokes it if the server can be reached.

    While a mount of this login is up, its session stays.
    """
    login = settings.require_credentials()
    if not (settings.files.sessions / f"{login.identity}.json").exists():
        return
    log_to_terminal("error")  # the logout succeeds without the server, too
    try:
        trio.run(_end, settings, login)
    except RcfsError as exc:
        warn(f"rcfs could not end the login on the server: {exc}; its token expires by itself")


async def _end(settings: Settings, login: Credentials) -> None:
    recorder = Recorder(structlog.get_logger("rcfs"))
    client = client_of(settings, proxies_to(login.server_url))
    shared = SharedSession(settings.files.sessions, login.identity, LinuxMachine.here().boot)
    async with connect(settings, client, recorder, shared, offline=settings.offline):
        pass  # At its end the connection logs out.
