"""The requests of `rcfs doctor`: a real login, the clock of the server, and the permissions of the login."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio

from rcfs.assembly.connecting import client_of, connect, proxies_to, shared_session
from rcfs.cli._findings import Finding, State, facts_of, problem_of
from rcfs.config import PoolEntry, Settings
from rcfs.errors import AuthError, ConfigError, ForbiddenError, PlatformError, UnreachableError
from rcfs.host.logs import EventLog
from rcfs.model import Priority, account_from
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


async def _probe_login(settings: Settings, entry: PoolEntry, own_account: str) -> Finding:
    """Logs in with a login of the pool, and compares its account: at most three requests."""
    name = f"pool {entry.name}"
    if entry.credentials is None:
        detail, _, advice = entry.problem.partition("; ")
        return Finding(name, State.PROBLEM, detail, advice)
    found, problem = await _account_of(attrs.evolve(settings, credentials=entry.credentials))
    if problem:
        return Finding(name, State.PROBLEM, problem, f"save others: rcfs login --pool {entry.name}")
    if own_account and found != own_account:
        detail = f"logs in to the account {found}, and your own login to {own_account}"
        return Finding(name, State.PROBLEM, detail, "use a login of the same account")
    return Finding(name, State.OK, f"logged in to the account {found}")


async def _account_of(settings: Settings) -> tuple[str, str]:
    """The account of the login of `settings`, or why the server does not tell it; the other is empty."""
    credentials = settings.require_credentials()
    recorder = Recorder(EventLog())
    client = client_of(settings, proxies_to(credentials.server_url))
    has_sessions = settings.files.sessions.exists()
    shared = shared_session(settings, credentials.identity, recorder) if has_sessions else None
    async with connect(settings, client, recorder, shared) as connection:
        options = RequestOptions(Priority.PERSON, attempts=1)
        try:
            account_id, _name = await connection.requester.read(read_account(), account_from, options)
        except PlatformError as exc:
            return "", str(exc)
    return account_id, ""


def probe_server(settings: Settings) -> list[Finding]:
    """Logs in with the credentials of `settings`, and checks what they permit: at most four requests.

    Raises:
        ConfigError: Credentials are missing.
    """
    return trio.run(_probe, settings)


async def _probe(settings: Settings) -> list[Finding]:
    credentials = settings.require_credentials()
    findings: list[Finding] = []
    documents: dict[str, Mapping[str, Any]] = {}
    try:
        proxies = proxies_to(credentials.server_url)
    except ConfigError as exc:
        return [problem_of("proxy", exc)]
    client = client_of(settings, proxies)
    findings += _proxies(proxies, credentials.server_url, settings.media_url)
    recorder = Recorder(EventLog())
    # The doctor must not create a state directory. It tries the session of the mounts, if they have one,
    # because another login might end it.
    has_sessions = settings.files.sessions.exists()
    shared = shared_session(settings, credentials.identity, recorder) if has_sessions else None
    async with connect(settings, client, recorder, shared) as connection:
        options = RequestOptions(Priority.PERSON, attempts=1)
        try:
            await connection.lane.session.token(options)
        except PlatformError as exc:
            findings.append(_no_login(settings, exc))
        else:
            findings.append(Finding("login", State.OK, f"logged in to {credentials.server_url}"))
            allowed = [
                await _allowed(connection.requester, options, what, scope, request(), documents)
                for what, scope, request in _NEEDED
            ]
            # Of a shared session there may be no answer yet that tells the server's clock.
            findings += [_clock(client.clock_offset_s), *allowed]
    own_account = str(documents.get("account", {}).get("id", ""))
    return findings + [await _probe_login(settings, entry, own_account) for entry in settings.pool]


def _no_login(settings: Settings, error: PlatformError) -> Finding:
    credentials = settings.require_credentials()
    if isinstance(error, AuthError):
        return Finding(
            "login",
            State.PROBLEM,
            str(error),
            f"run: {settings.login_command}"
            if credentials.user
            else "check client id, client secret and JWT in the developer console: the app must allow the JWT"
            " grant, and the JWT must be for this app and not expired",
            facts_of(error),
        )
    if isinstance(error, UnreachableError) and error.lasting:
        return problem_of("login", error)
    return Finding(
        "login",
        State.PROBLEM,
        str(error),
        f"check that {credentials.server_url} is the right server, and that this machine can reach it",
        facts_of(error),
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
        f"{offset_s:.0f} s",
    )


async def _allowed(
    requester: Requester,
    options: RequestOptions,
    what: str,
    scope: str,
    request: Request,
    documents: dict[str, Mapping[str, Any]],
) -> Finding:
    """Whether the server answers a request; `documents` gets the answer."""
    try:
        documents[what] = await requester.read(request, lambda document: document, options)
    except ForbiddenError as exc:
        return Finding(
            what,
            State.PROBLEM,
            str(exc),
            f"give the app the scope {scope}, or the user the permission",
            facts_of(exc),
        )
    except PlatformError as exc:
        return Finding(
            what,
            State.PROBLEM,
            str(exc),
            "try again later; if it stays, ask RingCentral's support",
            facts_of(exc),
        )
    return Finding(what, State.OK, f"the server answers ({scope})")
