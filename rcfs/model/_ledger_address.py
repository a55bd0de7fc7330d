"""The address of the server that keeps the shared quota ledger."""

from urllib.parse import unquote, urlsplit

import attrs

DEFAULT_PORT = 6379
"""Port of Redis and Valkey; source: their default configuration."""
_FORMS = "redis://[USER@]HOST[:PORT][/DB], rediss://… for TLS, or unix:///PATH"


@attrs.frozen
class LedgerAddress:
    """Where the server is, and as which user rcfs logs in; a password is never part of it."""

    host: str = ""
    """Name or address of the host; empty for a Unix socket."""
    port: int = DEFAULT_PORT
    """TCP port."""
    path: str = ""
    """Path of a Unix socket; empty for TCP."""
    tls: bool = False
    """Whether the connection is encrypted, and the server's certificate checked."""
    user: str = ""
    """User of the server's access list; empty to log in as nobody."""
    database: int = 0
    """Number of the database."""
    ca_file: str = ""
    """File with the certificate of the authority to trust; empty to trust the system's authorities."""

    def __str__(self) -> str:
        """The address as a URL, without the user."""
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.database}"


def parse_ledger_address(url: str) -> LedgerAddress:
    """The address that `url` names.

    Raises:
        ValueError: `url` has another form, or holds a password; the text never repeats it.
    """
    try:
        parts = urlsplit(url.strip())
        port, password = parts.port, parts.password
    except ValueError:
        raise ValueError(f"this is no address of a ledger server; write {_FORMS}") from None
    if password is not None:
        raise ValueError(
            "a password has no place in a URL; put it into a file, and name that as password_file"
        )
    if parts.query or parts.fragment:
        raise ValueError(f"the address has no options after a ? or #; write {_FORMS}")
    user = unquote(parts.username or "")
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.hostname:
        return LedgerAddress(path=unquote(parts.path), user=user)
    database = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not database.isdecimal():
        raise ValueError(f"this is no address of a ledger server; write {_FORMS}")
    return LedgerAddress(
        host=parts.hostname,
        port=port or DEFAULT_PORT,
        tls=parts.scheme == "rediss",
        user=user,
        database=int(database),
    )
