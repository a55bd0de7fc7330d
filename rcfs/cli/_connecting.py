"""The connection of a command to the server, and its login."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rcfs import __version__
from rcfs.cli._ledger import open_ledger
from rcfs.config import Credentials, Settings
from rcfs.errors import StoreError
from rcfs.platform import AllowedHosts, Client, Proxies, proxies_from
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


def login_with(credentials: Credentials) -> Login:
    """`credentials` as the platform room takes them, which knows the server already."""
    return Login(credentials.client_id, credentials.client_secret, credentials.jwt)


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
        login = login_with(credentials)
        async with open_connection(
            client, login, ledger, recorder, clock=clock, offline=offline, shared=shared
        ) as connection:
            yield connection
