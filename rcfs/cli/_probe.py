"""The requests of `rcfs doctor`: a real login, the clock of the server, and the permissions of the login."""

import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import structlog
import trio

from rcfs.cli._connecting import client_of, connect, proxies_to, shared_session
from rcfs.cli._findings import Finding, State, problem_of
from rcfs.config import Settings
from rcfs.errors import AuthError, ConfigError, ForbiddenError, PlatformError, UnreachableError
from rcfs.model import Priority
from rcfs.platform import Proxies, Request, list_messages, read_account, read_own_extension
from rcfs.transport import Recorder, Requester, RequestOptions

_CLOCK_TOLERANCE_S = 60.0
"""Most seconds that the clock may be off: with more, new messages appear late, and JWT logins fail."""
_NEEDED: tuple[tuple[str, str, Callable[[], Request]], ...] = (
    ("account", "ReadAccounts", read_account),
    ("extensions", "ReadAccounts", read_own_extension),
    ("messages", "ReadMessages", lambda: list_messages(None, until_s=time.time(), per_page=1)),
)
"""(name, scope of the app, request that needs it). Source: "Authentication" of the API documentation."""


def probe_server(settings: Settings) -> list[Finding]:
    """Logs in with the credentials of `settings`, and checks what they permit: at most four requests.

    Raises:
        ConfigError: Credentials are missing.
    """
    return trio.run(_probe, settings)


async def _probe(settings: Settings) -> list[Finding]:
    credentials = settings.require_credentials()
    findings: list[Finding] = []
    try:
        proxies = proxies_to(credentials.server_url)
    except ConfigError as exc:
        return [problem_of("proxy", exc)]
    client = client_of(settings, proxies)
    findings += _proxies(proxies, credentials.server_url, settings.media_url)
    recorder = Recorder(structlog.get_logger("rcfs"))
    # The doctor must not create a state directory. It tries the session of the mounts, if they have one,
    # because another login might end it.
    has_sessions = settings.files.sessions.exists()
    shared = shared_session(settings, credentials.identity, recorder) if has_sessions else None
    async with connect(settings, client, recorder, shared) as connection:
        options = RequestOptions(Priority.PERSON, attempts=1)
        try:
            await connection.lane.session.token(options)
        except PlatformError as exc:
            findings.append(_no_login(credentials.server_url, exc))
        else:
            findings.append(Finding("login", State.OK, f"logged in to {credentials.server_url}"))
            allowed = [
                await _allowed(connection.requester, options, what, scope, request())
                for what, scope, request in _NEEDED
            ]
            # Of a shared session there may be no answer yet that tells the server's clock.
            findings += [_clock(client.clock_offset_s), *allowed]
    return findings


def _no_login(server_url: str, error: PlatformError) -> Finding:
    if isinstance(error, AuthError):
        return Finding(
            "login",
            State.PROBLEM,
            str(error),
            "check client id, client secret and JWT in the developer console: the app must allow the JWT"
            " grant, and the JWT must be for this app and not expired",
        )
    if isinstance(error, UnreachableError) and error.lasting:
        return problem_of("login", error)
    return Finding(
        "login",
        State.PROBLEM,
        str(error),
        f"check that {server_url} is the right server, and that this machine can reach it",
    )


def _proxies(proxies: Proxies, server_url: str, media_url: str | None) -> Iterator[Finding]:
    """The way to each host, without passwords."""
    for url in filter(None, (server_url, media_url)):
        host = urlsplit(url).netloc
        proxy = proxies.proxy_for(url)
        if proxy is not None:
            yield Finding("proxy", State.OK, f"rcfs reaches {host} through {proxy}")
        elif proxies.proxy is not None:
            yield Finding("proxy", State.OK, f"rcfs reaches {host} without {proxies.proxy}")
        else:
            yield Finding("proxy", State.OK, f"rcfs reaches {host} without a proxy: none is set")
    for line in proxies.oddities:
        yield Finding("proxy", State.NOTE, line, "it has no effect; correct or remove it")


def _clock(offset_s: float) -> Finding:
    if abs(offset_s) <= _CLOCK_TOLERANCE_S:
        return Finding("clock", State.OK, f"within {abs(offset_s):.0f} s of the server's")
    direction = "behind" if offset_s > 0 else "ahead of"
    return Finding(
        "clock",
        State.PROBLEM,
        f"the clock of this machine is {abs(offset_s):.0f} s {direction} the server's",
        "set it, for example with timedatectl set-ntp true",
    )


async def _allowed(
    requester: Requester, options: RequestOptions, what: str, scope: str, request: Request
) -> Finding:
    try:
        await requester.read(request, lambda _document: None, options)
    except ForbiddenError as exc:
        return Finding(
            what, State.PROBLEM, str(exc), f"give the app the scope {scope}, or the user the permission"
        )
    except PlatformError as exc:
        return Finding(
            what, State.PROBLEM, str(exc), "try again later; if it stays, ask RingCentral's support"
        )
    return Finding(what, State.OK, f"the server answers ({scope})")
