"""`rcfs login` and `rcfs logout`: credentials go into the keyring, typed in and never on a command line."""

import click

from rcfs.cli._keyring import KeyringEntry, clear_keyring, write_keyring
from rcfs.cli._options import examples
from rcfs.cli._output import announce
from rcfs.cli._settings import DEFAULT_SERVER_URL
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


@click.command("login", epilog=examples("rcfs login", "rcfs doctor     whether the server accepts them"))
def login() -> None:
    """Asks for the credentials of an app and a user, and saves them in the keyring.

    App and JWT are made at https://developers.ringcentral.com. What was saved before is replaced.
    """
    entry = KeyringEntry(
        server_url=click.prompt("Server", default=DEFAULT_SERVER_URL, value_proc=_server_url, err=True),
        client_id=click.prompt("Client id", value_proc=_given, err=True),
        client_secret=click.prompt("Client secret (hidden)", hide_input=True, value_proc=_given, err=True),
        jwt=click.prompt("JWT (hidden)", hide_input=True, value_proc=_given, err=True),
    )
    write_keyring(entry)
    announce("Saved in the keyring. `rcfs doctor` tells whether the server accepts them.")


@click.command("logout", epilog=examples("rcfs logout"))
def logout() -> None:
    """Removes the saved credentials from the keyring."""
    removed = clear_keyring()
    announce("Removed from the keyring." if removed else "The keyring holds no credentials of rcfs.")
