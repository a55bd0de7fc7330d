"""`rcfs login` and `rcfs logout`: credentials go into the keyring, typed in and never on a command line.

Where there is no keyring they go into a file that only you can read, if you say so.
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


def _server_url(text: str) -> str:
    try:
        return server_origin(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def _given(text: str) -> str:
    if not text.strip():
        raise click.BadParameter("this cannot be empty")
    return text.strip()


@click.command(
    "login",
    epilog=examples(
        "rcfs login",
        "rcfs login --file        on a machine without a keyring",
        "rcfs login < answers     a script: server, client id, client secret and JWT, a line each",
        "rcfs doctor              whether the server accepts them",
    ),
)
@click.option(
    "--file", "in_file", is_flag=True, help="Save them in a file that only you can read, not in the keyring."
)
def login(*, in_file: bool) -> None:
    """Asks for the credentials of an app and a user, and saves them in the keyring.

    App and JWT are made at https://developers.ringcentral.com. What was saved before is replaced.
    A mount whose login was refused tries again at once.
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
    announce(f"Saved in {place}. `rcfs doctor` tells whether the server accepts them.")


def _forget_refusals() -> None:
    """Lets mounts whose login was refused try again at once, also with the credentials of before."""
    from rcfs.store import SharedSession

    with suppress(ConfigError):  # The credentials are saved, whatever the config file says.
        where = read_settings({}, login=False)
        SharedSession.forget_refusals(where.files.sessions)


def _file_is_to_hold_them(*, in_file: bool) -> bool:
    """Whether the credentials go into the file, and not into the keyring; the place was tried.

    Raises:
        ConfigError: They cannot be kept.
    """
    if not in_file:
        try:
            try_keyring()
        except ConfigError as exc:
            path = credentials_path()
            if not is_interactive():
                raise ConfigError(
                    f"{exc}; give --file to keep the credentials in {path} instead, which only you can read,"
                    " or put them into the environment (`rcfs mount --help` names the variables)"
                ) from None
            tell(str(exc))
            click.confirm(f"Keep the credentials in {path}, which only you can read?", abort=True, err=True)
        else:
            return False
    try_credentials_file()
    return True


def _ask(text: str, parse: Callable[[str], str], *, default: str = "", hidden: bool = False) -> str:
    """What is typed, or stands on the next line of stdin where that is no terminal."""
    if is_interactive():
        answer: str = click.prompt(
            text, default=default or None, hide_input=hidden, value_proc=parse, err=True
        )
        return answer
    line = sys.stdin.readline()
    if not line:
        raise click.UsageError(
            "stdin ended too early: without a terminal, it holds the server (an empty line for"
            f" {DEFAULT_SERVER_URL}), the client id, the client secret and the JWT, a line each"
        )
    try:
        return parse(line.strip() or default)
    except click.BadParameter as exc:
        raise click.UsageError(f"{text.partition(' (')[0]}: {exc.message}") from exc


@click.command(
    "logout", epilog=examples("rcfs logout", "rcfs logout --forget     nothing stays on this disk")
)
@click.option(
    "--forget/--keep",
    "forgetting",
    default=None,
    help="Erase what rcfs keeps on this disk, or keep it, without a question.",
)
@click.pass_context
def logout(context: click.Context, *, forgetting: bool | None) -> None:
    """Removes the saved credentials, and asks whether to erase what rcfs keeps on this disk.

    That is what `rcfs forget` erases: the index, the archive of purged messages, the cache and the logs.
    Where rcfs keeps several accounts, only the one that you log out of is erased.
    """
    identity = _end_session()
    removed = [str(credentials_path())] if remove_credentials_file() else []
    if clear_keyring():
        removed.append("the keyring")
    announce(f"Removed from {' and '.join(removed)}." if removed else "No credentials of rcfs are saved.")
    if forgetting:
        _forget(context, identity, yes=True)
    elif forgetting is None and is_interactive():
        try:
            _forget(context, identity, yes=False)
        except MountError as exc:
            tell(f"what rcfs keeps on this disk stays: {exc}")
    elif forgetting is None:
        tell("what rcfs keeps on this disk stays; `rcfs forget` erases it")


def _forget(context: click.Context, identity: str | None, *, yes: bool) -> None:
    """Erases the account of the login `identity`, or everything if no other account is kept.

    Raises:
        MountError: It is mounted.
    """
    accounts = kept_accounts(read_settings({}, login=False))
    if len(set(accounts.values())) < 2:
        context.invoke(forget, yes=yes)
    elif identity in accounts:
        context.invoke(forget, account=accounts[identity], yes=yes)
    else:
        tell(
            "several accounts are kept on this disk, and which one this login was for is not known, so they"
            " stay; `rcfs forget --account ACCOUNT` erases one, `rcfs forget` all"
        )


def _end_session() -> str | None:
    """Ends the session that a mount which was killed has left, while there are credentials to do it with.

    What the login is known by; None when there are no credentials, or nothing is kept that belongs to any.
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
