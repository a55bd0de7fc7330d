"""Ends the session that a killed mount has left on the server."""

import trio

from rcfs.assembly.connecting import client_of, connect, proxies_to
from rcfs.cli._output import warn
from rcfs.config import Credentials, Settings
from rcfs.errors import RcfsError
from rcfs.host.logs import EventLog, log_to_terminal
from rcfs.store import LinuxMachine, SharedSession, grant_path
from rcfs.transport import Recorder


def end_session(settings: Settings) -> None:
    """Deletes the session of the login of `settings`, and revokes it if the server can be reached.

    While a mount of this login is up, its session stays; but a login with a browser ends for all.
    """
    login = settings.require_credentials()
    sessions = settings.files.sessions
    if not any(
        p.exists() for p in (sessions / f"{login.identity}.json", grant_path(sessions, login.identity))
    ):
        return
    log_to_terminal("error")  # the logout succeeds without the server, too
    try:
        trio.run(_end, settings, login)
    except RcfsError as exc:
        warn(f"rcfs could not end the login on the server: {exc}; its token expires by itself")


async def _end(settings: Settings, login: Credentials) -> None:
    recorder = Recorder(EventLog())
    client = client_of(settings, proxies_to(login.server_url))
    shared = SharedSession(settings.files.sessions, login.identity, LinuxMachine.here().boot)
    async with connect(settings, client, recorder, shared, offline=settings.offline) as connection:
        connection.lane.session.logs_out = True  # At its end the connection logs out.
