"""`rcfs login` and `rcfs logout`: the user logs in with a browser or types credentials, and rcfs saves them.

They go into the keyring. Without one that answers, rcfs saves them in a file that only the user can read, if
the user agrees. They never stand on a command line, which other users can read.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import click

from rcfs.cli._credential_places import file_is_to_hold_them, keep_grant, last_login, remove_saved, save
from rcfs.cli._forget import forget, kept_accounts
from rcfs.cli._options import examples, server_url_option
from rcfs.cli._output import announce, is_interactive, say, tell
from rcfs.cli._settings import read_settings
from rcfs.config import (
    DEFAULT_SERVER_URL,
    POOL,
    Credentials,
    Settings,
    parse_login_name,
    parse_login_part,
    try_credentials_file,
)
from rcfs.errors import ConfigError, MountError
from rcfs.model import server_origin

_REDIRECT_PORT = 8477
"""Port of the redirect URI; fixed, because the app has to register the URI."""
_NOTHING_SAVED = "No credentials were saved, so there is nothing to remove."


def _server_url(text: str) -> str:
    try:
        return server_origin(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def _given_or_empty(text: str) -> str:
    try:
        return parse_login_part(text) or ""
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def _given(text: str) -> str:
    if found := _given_or_empty(text):
        return found
    raise click.BadParameter("this must not be empty; type it again")


def _pool_name(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text:
        try:
            parse_login_name(text)
        except ValueError as exc:
            raise click.BadParameter(str(exc)) from exc
    return text


def _pool_option(description: str, without_name: str | None) -> Callable[[Any], Any]:
    """The option --pool, whose value is `without_name` if it is given without a name; None: it needs one."""
    optional: dict[str, Any] = {}
    if without_name is not None:
        optional = {"is_flag": False, "flag_value": without_name}
    return click.option("--pool", metavar="NAME", callback=_pool_name, help=description, **optional)


@click.command(
    "login",
    epilog=examples(
        "rcfs login                   with a browser",
        "rcfs login --no-browser      with a browser on another machine",
        "rcfs login --account work    a second account; then: rcfs mount --account work DIR",
        "rcfs login --jwt             with a JWT, for a machine that nobody logs in to",
        "rcfs login < answers         a script: server, client id, client secret and JWT, a line each",
        "rcfs login --pool second     a further login, which fetches attachments and recordings as well",
        "rcfs login --pool            list these logins",
        "rcfs doctor                  checks that the server accepts them",
    ),
)
@click.option(
    "--file", "in_file", is_flag=True, help="Save in a file that only you can read, not in the keyring."
)
@click.option("--jwt", "by_jwt", is_flag=True, help="Ask for a JWT instead of opening a browser.")
@click.option(
    "--no-browser",
    "by_hand",
    is_flag=True,
    help="Print the address to open, and take the address of the answer from you.",
)
@click.option("--client-id", metavar="ID", help="Log in with the app ID, and do not ask for it.")
@click.option(
    "--redirect-port",
    type=click.IntRange(1, 65535),
    default=_REDIRECT_PORT,
    show_default=True,
    metavar="PORT",
    help="Take the browser's answer at http://127.0.0.1:PORT/callback, which the app must register.",
)
@server_url_option
@_pool_option("Save a further login as NAME, which fetches as well; without NAME, list them.", "")
def login(
    *,
    in_file: bool,
    by_jwt: bool,
    by_hand: bool,
    client_id: str | None,
    redirect_port: int,
    server_url: str | None,
    pool: str | None,
) -> None:
    """Log in, and save your credentials in the keyring, or in a file.

    Create an app at https://developers.ringcentral.com that allows the authorization code flow with PKCE,
    refresh tokens, and the redirect URI http://127.0.0.1:8477/callback. rcfs asks for its client id, and for
    its client secret if it has one. Then you log in at RingCentral, in your browser. With --jwt, or when
    rcfs reads its answers from a script, it asks for the client id, the client secret and the JWT of a user
    instead.

    The new login replaces the one that you saved before. A mount whose login has ended or was refused
    continues with the new one at once.

    Further logins (--pool) belong to the same account. Each has its own limits, so several fetch more in a
    minute. Your agreement with RingCentral must allow that.
    """
    if pool == "":
        _list_pool()
        return
    where = read_settings({}, login=False, warn=lambda _line: None)
    if where.credentials_file is None:
        in_file = file_is_to_hold_them(in_file=in_file)
    else:
        try_credentials_file(where.credentials_file)
    if by_jwt or not (is_interactive() or client_id or by_hand):
        entry = Credentials(
            server_url=_server_of(server_url, pool),
            client_id=_ask("Client id", _given) if client_id is None else _given(client_id),
            client_secret=_ask("Client secret (hidden)", _given, hidden=True),
            jwt=_ask("JWT (hidden)", _given, hidden=True),
        )
    else:
        from rcfs.cli._browser_login import log_in

        app = _app(server_url, client_id, where, pool, in_file=in_file)
        logged_in = log_in(app, redirect_port, opens=not by_hand)
        entry = logged_in.credentials
        keep_grant(where, logged_in)
    place = save(entry, where, pool, in_file=in_file)
    _forget_refusals()
    if entry.user:
        announce(f"Logged in. Saved the credentials in {place}.")
    else:
        doctor = where.login_command.replace("login", "doctor", 1)
        announce(f"Saved the credentials in {place}. `{doctor}` checks that the server accepts them.")
    if pool is not None:
        tell("mounts that are up notice new credentials of their logins; a further login needs a new mount")


def _server_of(given: str | None, pool: str | None) -> str:
    """The server: the one of the command line, or the answer to a question.

    If the user names none, the platform is meant; for a further login, the server of the first one.
    """
    if given is not None:
        return _server_url(given)
    own = None if pool is None else read_settings({}, warn=lambda _line: None).credentials
    return _ask("Server", _server_url, default=DEFAULT_SERVER_URL if own is None else own.server_url)


def _app(
    server_url: str | None, client_id: str | None, where: Settings, pool: str | None, *, in_file: bool
) -> Credentials:
    """The app for a login with a browser; what is known of the last login need not be typed again."""
    last = last_login(where, pool, in_file=in_file) or Credentials(DEFAULT_SERVER_URL, "", "", "")
    if not is_interactive():
        server_url, client_id = server_url or last.server_url, client_id or last.client_id
        if not client_id:
            raise click.UsageError("without a terminal, a login with a browser needs --client-id")
    server_url = (
        _ask("Server", _server_url, default=last.server_url)
        if server_url is None
        else _server_url(server_url)
    )
    client_id = _ask("Client id", _given, default=last.client_id) if client_id is None else _given(client_id)
    is_known = (server_url, client_id) == (last.server_url, last.client_id)
    secret = last.client_secret if is_known else ""
    if is_interactive():
        # The saved secret may be wrong, or the developer console may have made a new one since.
        for_none = "Enter keeps the saved one" if secret else "only Enter for an app without one"
        secret = click.prompt(
            f"Client secret (hidden; {for_none})",
            default=secret,
            show_default=False,
            hide_input=True,
            value_proc=_given_or_empty,
            err=True,
        )
    return Credentials(server_url, client_id, secret, "")


def _list_pool() -> None:
    """Prints the logins of the pool, and why some cannot be used."""
    pool = read_settings({}).pool
    for entry in pool:
        app = f"app {entry.credentials.client_id}" if entry.credentials else f"not used: {entry.problem}"
        say(f"{entry.name}  {app}")
    if not pool:
        say("There is no further login; `rcfs login --pool NAME` saves one.")


def _forget_refusals() -> None:
    """Lets every mount whose login was refused try again at once, even with the same credentials."""
    from rcfs.store import SharedSession

    with suppress(ConfigError):  # A wrong config file must not undo the login.
        where = read_settings({}, login=False)
        SharedSession.forget_refusals(where.files.sessions)


def _ask(text: str, parse: Callable[[str], str], *, default: str = "", hidden: bool = False) -> str:
    """The answer that the user types, or the next line of a stdin that is not a terminal."""
    if is_interactive():
        answer: str = click.prompt(
            text, default=default or None, hide_input=hidden, value_proc=parse, err=True
        )
        return answer
    line = sys.stdin.readline()
    if not line:
        raise click.UsageError(
            "stdin ended too early; without a terminal, write four lines to it: the server (empty for"
            f" {DEFAULT_SERVER_URL}), the client id, the client secret and the JWT"
        )
    try:
        return parse(line.strip() or default)
    except click.BadParameter as exc:
        raise click.UsageError(f"{text.partition(' (')[0]}: {exc.message}") from exc


@click.command(
    "logout", epilog=examples("rcfs logout", "rcfs logout --forget     leave nothing on this disk")
)
@click.option(
    "--forget/--keep",
    "forgetting",
    default=None,
    help="Erase or keep what rcfs stores on this disk, and skip the question.",
)
@_pool_option("Remove only the further login NAME.", None)
@click.pass_context
def logout(context: click.Context, *, forgetting: bool | None, pool: str | None) -> None:
    """Remove the saved credentials.

    A login with a browser ends, also for mounts that are up. Then rcfs asks whether to erase what `rcfs
    forget` erases: the index, the archive of purged messages, the cache and the logs. If this disk holds
    several accounts, it erases only the one that you log out of.
    """
    if pool is not None:
        if forgetting is not None:
            raise click.UsageError("--forget and --keep have no effect with --pool")
        _log_out_of_pool(pool)
        return
    identity = _end_session()
    where = read_settings({}, login=False, warn=lambda _line: None)
    removed = remove_saved(where)
    announce(f"Removed the credentials from {' and '.join(removed)}." if removed else _NOTHING_SAVED)
    others = [entry.name for entry in read_settings({}, warn=lambda _line: None).pool]
    if others:
        tell(f"further logins stay: {', '.join(others)}; `rcfs logout --pool NAME` removes one")
    if forgetting:
        _forget(context, identity, yes=True)
    elif forgetting is None and is_interactive():
        try:
            _forget(context, identity, yes=False)
        except MountError as exc:
            tell(f"the index, the cache and the logs stay on this disk: {exc}")
    elif forgetting is None:
        tell("the index, the cache and the logs stay on this disk; `rcfs forget` erases them")


def _log_out_of_pool(name: str) -> None:
    """Removes the saved login `name` of the pool, and ends the session that a killed mount has left."""
    settings = read_settings({}, warn=lambda _line: None)
    entry = next((entry for entry in settings.pool if entry.name == name), None)
    if entry is not None and entry.credentials is not None:
        from rcfs.cli._session_end import end_session

        end_session(attrs.evolve(settings, credentials=entry.credentials))
    if POOL.remove(name):
        announce(f"Removed the login '{name}'.")
    elif entry is not None:
        raise ConfigError(f"the login '{name}' is in {settings.config_path}; remove its [[pool]] there")
    else:
        raise ConfigError(f"there is no login '{name}'; `rcfs login --pool` lists them")


def _forget(context: click.Context, identity: str | None, *, yes: bool) -> None:
    """Erases the account of the login `identity`, or everything if this disk holds no other account.

    Raises:
        MountError: The account is mounted.
    """
    accounts = kept_accounts(read_settings({}, login=False))
    if len(set(accounts.values())) < 2:
        context.invoke(forget, yes=yes)
    elif identity in accounts:
        context.invoke(forget, account=accounts[identity], yes=yes)
    else:
        tell(
            "this disk holds several accounts, and rcfs cannot tell which one this login was for, so it"
            " erased none; `rcfs forget --account ACCOUNT` erases one, `rcfs forget` all"
        )


def _end_session() -> str | None:
    """Ends the session that a killed mount has left; returns the identity of the login.

    None without credentials, and when this disk holds nothing of any login.
    """
    where = read_settings({}, login=False)
    if not any(where.files.sessions.glob("*.[jg]*")) and not where.files.mailboxes.exists():
        return None
    settings = read_settings({}, warn=lambda _line: None)
    if settings.credentials is None:
        return None
    from rcfs.cli._session_end import end_session

    end_session(settings)
    return settings.credentials.identity
