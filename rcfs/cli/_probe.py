"""What `rcfs doctor` asks the server: a real login, its clock, and what the login may do."""

import os
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import structlog
import trio

from rcfs import __version__
from rcfs.cli._findings import Finding, State
from rcfs.cli._output import error_line
from rcfs.cli._quota import open_quota
from rcfs.cli._serve import shared_session
from rcfs.config import Settings
from rcfs.errors import AuthError, ConfigError, ForbiddenError, PlatformError, UnreachableError
from rcfs.model import Priority
from rcfs.platform import (
    AllowedHosts,
    Client,
    Credentials,
    Proxies,
    Request,
    list_messages,
    proxies_from,
    read_account,
    read_own_extension,
)
from rcfs.transport import Demand, Recorder, Requester, open_connection

_CLOCK_TOLERANCE_S = 60.0
"""A clock that is further off makes new messages appear late, and JWT logins fail."""
_NEEDED: tuple[tuple[str, str, Callable[[], Request]], ...] = (
    ("account", "ReadAccounts", read_account),
    ("extensions", "ReadAccounts", read_own_extension),
    ("messages", "ReadMessages", lambda: list_messages(None, until_s=time.time(), per_page=1)),
)
"""(what, the app scope it needs, a request that shows whether it is there). Source: the scopes in
"Authentication" of the API documentation."""


def probe_server(settings: Settings) -> list[Finding]:
    """What the server says to these credentials; four requests in all, of which mounts spare it the login.

    Raises:
        ConfigError: Credentials are missing.
    """
    return trio.run(_probe, settings)


async def _probe(settings: Settings) -> list[Finding]:
    credentials = settings.require_credentials()
    findings: list[Finding] = []
    try:
        # A server on plain http is on this machine.
        https = credentials.server_url.startswith("https:")
        proxies = proxies_from(os.environ) if https else Proxies()
    except ConfigError as exc:
        detail, _, advice = error_line(exc).partition("; ")
        return [Finding("proxy", State.PROBLEM, detail, advice)]
    client = Client(
        AllowedHosts(credentials.server_url, settings.media_url),
        user_agent=f"rcfs/{__version__}",
        proxies=proxies,
    )
    findings += _proxies(proxies, credentials.server_url, settings.media_url)
    recorder = Recorder(structlog.get_logger("rcfs"))
    login = Credentials(credentials.client_id, credentials.client_secret, credentials.jwt)
    identity = login.identity(credentials.server_url)
    # Looking for a fault must not create anything, and without a state directory nothing is shared. Where
    # mounts have a session it is theirs that is tried: another login might end it.
    shared = shared_session(settings, identity, recorder) if settings.files.sessions.exists() else None
    with open_quota(settings, identity, recorder, create=False) as (ledger, clock):
        async with open_connection(client, login, ledger, recorder, clock=clock, shared=shared) as connection:
            demand = Demand(Priority.PERSON, attempts=1)
            try:
                await connection.lane.session.token(demand)
            except PlatformError as exc:
                findings.append(_no_login(credentials.server_url, exc))
            else:
                findings.append(Finding("login", State.OK, f"logged in to {credentials.server_url}"))
                allowed = [
                    await _allowed(connection.requester, demand, what, scope, request())
                    for what, scope, request in _NEEDED
                ]
                # A session that was there already has told nothing of the server's clock.
                findings += [_clock(client.clock_offset_s), *allowed]
    return findings


def _no_login(server_url: str, error: PlatformError) -> Finding:
    if isinstance(error, AuthError):
        return Finding(
            "login",
            State.PROBLEM,
            str(error),
            "check the client id, the client secret and the JWT in the developer console: the app must allow"
            " the JWT grant, and the JWT must be for this app and not expired",
        )
    if isinstance(error, UnreachableError) and error.lasting:
        detail, _, advice = str(error).partition("; ")
        return Finding("login", State.PROBLEM, detail, advice)
    return Finding(
        "login", State.PROBLEM, str(error), f"check that {server_url} is the right server and is reachable"
    )


def _proxies(proxies: Proxies, server_url: str, media_url: str | None) -> Iterator[Finding]:
    """What leads to each host, without passwords."""
    for url in filter(None, (server_url, media_url)):
        host = urlsplit(url).netloc
        proxy = proxies.proxy_for(url)
        if proxy is not None:
            yield Finding("proxy", State.OK, f"{host} is reached through {proxy}")
        elif proxies.proxy is not None:
            yield Finding("proxy", State.OK, f"{host} is reached without {proxies.proxy}")
        else:
            yield Finding("proxy", State.OK, f"{host} is reached without a proxy: none is set")
    for line in proxies.oddities:
        yield Finding("proxy", State.NOTE, line, "it has no effect; correct or remove it")


def _clock(offset_s: float) -> Finding:
    if abs(offset_s) <= _CLOCK_TOLERANCE_S:
        return Finding("clock", State.OK, f"within {abs(offset_s):.0f} s of the server's")
    direction = "behind" if offset_s > 0 else "ahead of"
    return Finding(
        "clock",
        State.PROBLEM,
        f"this machine's clock is {abs(offset_s):.0f} s {direction} the server's",
        "set it, for example with timedatectl set-ntp true",
    )


async def _allowed(requester: Requester, demand: Demand, what: str, scope: str, request: Request) -> Finding:
    try:
        await requester.read(request, lambda _document: None, demand)
    except ForbiddenError as exc:
        return Finding(
            what, State.PROBLEM, str(exc), f"give the app the scope {scope}, or the user the permission"
        )
    except PlatformError as exc:
        return Finding(
            what, State.PROBLEM, str(exc), "try again later; if it stays, ask RingCentral's support"
        )
    return Finding(what, State.OK, f"the server answers ({scope})")
