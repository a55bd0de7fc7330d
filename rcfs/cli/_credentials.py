"""`rcfs login` and `rcfs logout`: the user types the credentials, and rcfs saves them in the keyring.

Without a keyring, rcfs saves them in a file that only the user can read, if the user agrees. They never stand
on a command line, which other users can read.
"""

import sys
from collections.abc import Callable
from contextlib import suppress

import click

from rcfs.cli._forget import forget, kept_accounts
from rcfs.cli._options import examples
from rcfs.cli._output import announce, is_interactive, tell
from rcfs.cli._settings import read_settings
from rcfs.config import (
    DEFAULT_SERVER_URL,
    Credentials,
    clear_keyring,
    credentials_path,
    remove_credentials_file,
    try_credentials_file,
    try_keyring,
    write_credentials_file,
    write_keyring,
)
from rcfs.errors import ConfigError, MountError
from rcfs.model import server_origin

_NOTHING_SAVED = "No credentials were saved, so there is nothing to remove."


def _server_url(text: str) -> str:
    try:
        return server_origin(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def _given(text: str) -> str:
    if not text.strip():
        raise click.BadParameter("this must not be empty; type it again")
    return text.strip()


@click.command(
    "login",
    epilog=examples(
        "rcfs login",
        "rcfs login --file        for a machine without a keyring",
        "rcfs login < answers     for a script: server, client id, client secret and JWT, a line each",
        "rcfs doctor              checks that the server accepts them",
    ),
)
@click.option(
    "--file", "in_file", is_flag=True, help="Save in a file that only you can read, not in the keyring."
)
def login(*, in_file: bool) -> None:
    """Save your credentials in the keyring, or in a file.

    rcfs asks for the client id and the client secret of an app, and for the JWT of a user. Create all three
    at https://developers.ringcentral.com. They replace the credentials that you saved before. A mount whose
    login the server has refused tries again at once.
    """
    in_file = _file_is_to_hold_them(in_file=in_file)
    entry = Credentials(
        server_url=_ask("Server", _server_url, default=DEFAULT_SERVER_URL),
        client_id=_ask("Client id", _given),
        client_secret=_ask("Client secret (hidden)", _given, hidden=True),
        jwt=_ask("JWT (hidden)", _given, hidden=True),
    )
    if in_file:
        write_credentials_file(entry)
        place = str(credentials_path())
    else:
        write_keyring(entry)
        remove_credentials_file()  # It would be read first.
        place = "the keyring"
    _forget_refusals()
    announce(f"Saved the credentials in {place}. `rcfs doctor` checks that the server accepts them.")


def _forget_refusals() -> None:
    """Lets every mount whose login was refused try again at once, even with the same credentials."""
    from rcfs.store import SharedSession

    with suppress(ConfigError):  # A wrong config file must not undo the login.
        where = read_settings({}, login=False)
        SharedSession.forget_refusals(where.files.sessions)


def _file_is_to_hold_them(*, in_file: bool) -> bool:
    """Whether the credentials go into the file, not the keyring; tries to write to the one that it chooses.

    Raises:
        ConfigError: Neither can be written.
    """
    if not in_file:
        try:
            try_keyring()
        except ConfigError as exc:
            path = credentials_path()
            if not is_interactive():
                raise ConfigError(
                    f"{exc}; give --file to save the credentials in {path}, which only you can read, or set"
                    " environment variables instead (`rcfs mount --help` lists them)"
                ) from None
            tell(str(exc))
            click.confirm(f"Save the credentials in {path}, which only you can read?", abort=True, err=True)
        else:
            return False
    try_credentials_file()
    return True


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
@click.pass_context
def logout(context: click.Context, *, forgetting: bool | None) -> None:
    """Remove the saved credentials.

    Then rcfs asks whether to erase what `rcfs forget` erases: the index, the archive of purged messages, the
    cache and the logs. If this disk holds several accounts, it erases only the one that you log out of.
    """
    identity = _end_session()
    removed = [str(credentials_path())] if remove_credentials_file() else []
    if clear_keyring():
        removed.append("the keyring")
    announce(f"Removed the credentials from {' and '.join(removed)}." if removed else _NOTHING_SAVED)
    if forgetting:
        _forget(context, identity, yes=True)
    elif forgetting is None and is_interactive():
        try:
            _forget(context, identity, yes=False)
        except MountError as exc:
            tell(f"the index, the cache and the logs stay on this disk: {exc}")
    elif forgetting is None:
        tell("the index, the cache and the logs stay on this disk; `rcfs forget` erases them")


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
    if not any((where.files.sessions).glob("*.json")) and not where.files.mailboxes.exists():
        return None
    settings = read_settings({}, warn=lambda _line: None)
    if settings.credentials is None:
        return None
    from rcfs.cli._session_end import end_session

    end_session(settings)
    return settings.credentials.identity
