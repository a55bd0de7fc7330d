"""Which credentials count: those given by variables and config.toml, else the saved ones.

Saved credentials are in one of these places, the first that has them:

    --credentials-file FILE                     a file that the user names
    $CREDENTIALS_DIRECTORY/rcfs, rcfs.NAME      systemd's LoadCredential= and LoadCredentialEncrypted=
    credentials.json, accounts.json             beside config.toml, 0600; accounts.json lists the keyring's
    the keyring                                 asked last, because it may be locked
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from rcfs.config._credentials_file import credentials_path, read_credentials_file
from rcfs.config._named import ACCOUNTS
from rcfs.config._settings import DEFAULT_SERVER_URL, LOGIN_VARIABLES, Credentials

_SYSTEMD_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Variable in which systemd names the directory of a unit's credentials (systemd.exec(5))."""
_SYSTEMD_NAME = "rcfs"
"""Name of rcfs's credential there; that of an account has a dot and the account's name after it."""
KEYRING = "the keyring"


@attrs.frozen
class ChosenLogin:
    """The login of a command."""

    credentials: Credentials | None
    """None when parts are `missing`."""
    server_url: str
    """Its server."""
    missing: tuple[str, ...]
    """The parts that no source has."""
    place: str
    """Where it comes from."""
    problems: tuple[str, ...]
    """Why a place could not be read."""


@attrs.frozen
class SavedLogin:
    """The places of saved credentials."""

    account: str | None
    """Name of the account; None for the login without a name."""
    file: Path | None
    """The file that the user names; None without one."""
    environ: Mapping[str, str]
    """The environment."""
    keyring: Callable[[Callable[[str], None]], Credentials | None]
    """Reads the credentials without a name from the keyring."""
    warn: Callable[[str], None]
    """Gets a line for each file that is unwise or cannot be read."""

    def read(self, problem: Callable[[str], None]) -> tuple[Credentials | None, str]:
        """The saved credentials, None without any, and their place; `problem` gets why it cannot be read."""
        if self.file is not None:
            found = read_credentials_file(self.warn, self.file)
            if found is None:
                problem(f"{self.file} has no credentials")
            return found, str(self.file)
        directory = self.environ.get(_SYSTEMD_VARIABLE)
        if directory:
            path = Path(directory) / ".".join(filter(None, (_SYSTEMD_NAME, self.account)))
            found = read_credentials_file(self.warn, path, is_guarded=True)
            if found is not None:
                return found, str(path)
        if self.account is not None:
            place = ACCOUNTS.places(lambda _line: None).get(self.account, "")
            return ACCOUNTS.read(problem, self.account).get(self.account), place
        found = read_credentials_file(self.warn)
        if found is not None:
            return found, str(credentials_path())
        return self.keyring(problem), KEYRING


def choose_login(
    given: Mapping[str, str | None], server_url: str | None, source: str, saved: SavedLogin | None
) -> ChosenLogin:
    """The login from what is `given`, completed by what is saved.

    Args:
        given: Parts of the login from variables and config.toml, by name of the field.
        server_url: The server, None where nothing names it.
        source: Where the JWT of `given` is from.
        saved: The saved credentials, read only if parts are missing; None for a command that does not log in.
    """
    login = {name: given.get(name) for name in LOGIN_VARIABLES}
    user, place, problems = "", source, list[str]()
    # At boot a mount has no keyring, or one that never answers, so rcfs reads it only if it must.
    if saved is not None and not all(login.values()):
        found, where = saved.read(problems.append)
        # Credentials that were saved for one server or app are never sent to another.
        if found and server_url in (None, found.server_url) and login["client_id"] in (None, found.client_id):
            server_url, place = found.server_url, where
            user = "" if login["jwt"] else found.user
            login = {name: value or getattr(found, name) for name, value in login.items()}
    # A login with a browser has no JWT, and a public app no secret.
    missing = () if user else tuple(name for name, value in login.items() if not value)
    server_url = server_url or DEFAULT_SERVER_URL
    parts = {name: value or "" for name, value in login.items()}
    own = None if missing else Credentials(server_url=server_url, **parts, user=user)
    return ChosenLogin(own, server_url, missing, "" if missing else place, tuple(problems))
