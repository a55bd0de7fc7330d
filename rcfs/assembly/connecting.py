"""The connection of a command to the server, and its login."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from rcfs import __version__
from rcfs.assembly.ledger import open_ledger
from rcfs.config import Credentials, Settings, find_config, load_settings
from rcfs.errors import StoreError, TransportError
from rcfs.platform import (
    AllowedHosts,
    BrowserLogin,
    Client,
    Proxies,
    Token,
    proxies_from,
    redeem_code,
    token_from,
)
from rcfs.platform import Credentials as Login
from rcfs.store import LinuxMachine, SharedSession
from rcfs.transport import Connection, Recorder, open_connection


def proxies_to(server_url: str) -> Proxies:
    """The proxies of the environment for `server_url`; none for plain http, which is on this machine.

    Raises:
        ConfigError: A variable names a proxy that rcfs does not understand.
    """
    return proxies_from(os.environ) if server_url.startswith("https:") else Proxies()


def client_of(settings: Settings, proxies: Proxies) -> Client:
    """A client for the server and the media host of `settings`, to be closed by the caller."""
    hosts = AllowedHosts(settings.require_credentials().server_url, settings.media_url)
    return Client(hosts, user_agent=f"rcfs/{__version__}", proxies=proxies)


def settings_now(settings: Settings) -> Settings:
    """The settings as the environment, the configuration file and the keyring have them now.

    Raises:
        ConfigError: A value is wrong.
    """
    path = settings.config_path or find_config(os.environ)
    chosen = {"account": settings.account, "credentials_file": settings.credentials_file}
    return load_settings(chosen, os.environ, path, warn=lambda _line: None)


def login_with(credentials: Credentials, command: str) -> Login:
    """`credentials` as the platform room takes them, which knows the server already.

    `command` is the one with which a person replaces them.
    """
    return Login(credentials.client_id, credentials.client_secret, credentials.jwt, credentials.user, command)


async def token_for(app: Credentials, flow: BrowserLogin, code: str, within_s: float) -> Token:
    """The first tokens of a login with a browser, for its `code`: one request, of at most `within_s`.

    The ledger does not know of it: whose budget it is, only the answer tells.

    Raises:
        ConfigError: A variable names a proxy that rcfs does not understand.
        AuthError: The server refused the code or the app.
        PlatformError: The server failed or could not be reached.
    """
    hosts, login = AllowedHosts(app.server_url, None), login_with(app, "rcfs login")
    client = Client(hosts, user_agent=f"rcfs/{__version__}", proxies=proxies_to(app.server_url))
    request = redeem_code(code, flow.verifier, flow.redirect_uri, login)
    try:
        with trio.move_on_after(within_s):
            async with client.send(request, basic=login.basic) as answer:
                return await token_from(answer, trio.current_time())
    finally:
        with trio.move_on_after(1, shield=True):
            await client.aclose()
    raise TransportError("no answer in time to the login")


def shared_session(settings: Settings, identity: str, recorder: Recorder) -> SharedSession | None:
    """The session that all processes of the login `identity` share; None if it cannot be kept on the disk."""
    try:
        return SharedSession(settings.files.sessions, identity, LinuxMachine.here().boot)
    except StoreError as exc:
        recorder.fault("session", str(exc))
        return None


@asynccontextmanager
async def connect(
    settings: Settings,
    client: Client,
    recorder: Recorder,
    shared: SharedSession | None,
    *,
    offline: bool = False,
) -> AsyncIterator[Connection]:
    """A connection for a few requests; it creates no state directory. At its end it logs out."""
    credentials = settings.require_credentials()
    with open_ledger(settings, credentials.identity, recorder, create=False) as (ledger, clock):
        login = login_with(credentials, settings.login_command)
        async with open_connection(
            client, login, ledger, recorder, clock=clock, offline=offline, shared=shared
        ) as connection:
            yield connection
