"""What a login leaves behind on this disk and on the server: a session, if a mount of it was killed."""

import os

import structlog
import trio

from rcfs import __version__
from rcfs.cli._output import warn
from rcfs.cli._quota import open_quota
from rcfs.config import Settings
from rcfs.errors import RcfsError
from rcfs.host.logs import log_to_terminal
from rcfs.platform import AllowedHosts, Client, Credentials, Proxies, proxies_from
from rcfs.store import LinuxMachine, SharedSession
from rcfs.transport import Recorder, open_connection


def end_session(settings: Settings) -> None:
    """Removes the session of the login of `settings`, and ends it on the server if that can be reached.

    Mounts that are up keep it: they end it themselves.
    """
    login = settings.require_credentials()
    directory = settings.files.sessions
    if not (directory / f"{login.identity}.json").exists():
        return
    log_to_terminal("error")  # a server that cannot be reached is no reason not to log out
    try:
        trio.run(_end, settings, login.identity)
    except RcfsError as exc:
        warn(f"the session was not ended: {exc}")


async def _end(settings: Settings, identity: str) -> None:
    login = settings.require_credentials()
    shared = SharedSession(settings.files.sessions, identity, LinuxMachine.here().boot)
    client = Client(
        AllowedHosts(login.server_url, settings.media_url),
        user_agent=f"rcfs/{__version__}",
        proxies=proxies_from(os.environ) if login.server_url.startswith("https:") else Proxies(),
    )
    recorder = Recorder(structlog.get_logger("rcfs"))
    credentials = Credentials(login.client_id, login.client_secret, login.jwt)
    with open_quota(settings, identity, recorder, create=False) as (ledger, clock):
        async with open_connection(
            client, credentials, ledger, recorder, clock=clock, offline=settings.offline, shared=shared
        ):
            pass  # At its end the connection logs out.
