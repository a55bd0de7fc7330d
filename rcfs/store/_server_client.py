"""A client of a Redis or Valkey server, or of the node of a cluster that has the keys it works with.

With `_server_errors` the only module that knows redis-py, which it imports when a client is made.
"""

import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs

from rcfs.errors import ConfigError, install_command
from rcfs.model import LedgerAddress
from rcfs.private import reason_of
from rcfs.store._server_errors import COMMAND_WITHIN_S, translated

if TYPE_CHECKING:
    import redis

_TRIES: Final = 3
"""Most tries of a command: an ended connection, the name of another node, and that node take one each."""


class ServerClient:
    """Runs scripts on the server; for one thread at a time.

    All keys of a script are in one slot. If the server is a node of a cluster that does not have them, it
    names the node that does, and the client asks that one from then on, until it fails.

    Args:
        address: The server; of a cluster, any node.
        password: The password; None for none.

    Raises:
        ConfigError: redis-py is not installed, or the file of the CA certificate cannot be read.
    """

    def __init__(self, address: LedgerAddress, password: str | None) -> None:
        self._home = address
        self._password = password
        self._at = address
        self.redis = client_of(address, password)
        """The connection to the server; of a cluster, to the node that had the keys last."""

    def run(self, script: Any, keys: Sequence[str], arguments: Sequence[str | float | bytes]) -> Any:
        """The answer to `script`, a script of redis-py, which may run twice.

        Raises:
            SharedLedgerError: The server cannot be used now.
        """
        import redis.exceptions as errors

        failure: Exception | None = None
        for _try in range(_TRIES):
            at = self._at
            try:
                return script(keys=keys, args=arguments, client=self.redis)
            except errors.MovedError as exc:
                self._go_to(attrs.evolve(at, host=exc.host or at.host, port=exc.port))
                failure = failure or translated(at, exc)
            except Exception as exc:
                # Perhaps only an idle connection has ended, or another node has taken over.
                is_final = not isinstance(exc, errors.ConnectionError) or isinstance(
                    exc, (errors.AuthenticationError, errors.BusyLoadingError)
                )
                self._go_to(self._home)
                failure = translated(at, exc)
                if is_final:
                    raise failure from exc
        assert failure is not None  # noqa: S101 - each try has set it
        raise failure

    def close(self) -> None:
        """End the connection."""
        with suppress(Exception):
            self.redis.connection_pool.disconnect()

    def _go_to(self, address: LedgerAddress) -> None:
        if address != self._at:
            self.close()
            self._at, self.redis = address, client_of(address, self._password)


def client_of(address: LedgerAddress, password: str | None) -> "redis.Redis":
    """A connection to the server, made at its first command.

    Raises:
        ConfigError: redis-py is not installed, or the file of the CA certificate cannot be read.
    """
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ConfigError(
            f"[quota] ledger needs the package redis; run: {install_command('redis')}"
        ) from None
    place: dict[str, Any] = (
        {"unix_socket_path": address.path}
        if address.path
        else {"host": address.host, "port": address.port, "ssl": address.tls}
    )
    if address.ca_file:
        try:
            ssl.create_default_context(cafile=address.ca_file)
        except OSError as exc:  # ssl.SSLError is one: the file holds no certificate
            reason = "it holds no certificate" if isinstance(exc, ssl.SSLError) else reason_of(exc)
            raise ConfigError(f"quota.ca_file {address.ca_file} cannot be read: {reason}") from None
        place["ssl_ca_certs"] = address.ca_file
    return redis.Redis(
        **place,
        db=address.database,
        username=address.user or None,
        password=password,
        socket_timeout=COMMAND_WITHIN_S,
        socket_connect_timeout=COMMAND_WITHIN_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
