"""The connection to the Redis or Valkey server that keeps shared ledgers: two scripts, and clear errors.

The only module that knows redis-py, which it imports when a connection is made. Each command has a deadline.
A script runs on one key slot (the braces in the names of the keys), so a cluster is fine, if the address
names the node that has the slot.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs

from rcfs.errors import ConfigError, LedgerRefusedError, SharedLedgerError
from rcfs.model import LedgerAddress

if TYPE_CHECKING:
    import redis

COMMAND_WITHIN_S: Final = 1.0
"""Longest wait for an answer, in seconds: a server on another continent answers in a third of that."""
_REFUSES: Final = "refuses the login; check the user in [quota] ledger, and its password"
_FORBIDS: Final = (
    "does not permit what rcfs needs; give the user the rights ~{rcfs:* &{rcfs:* +@all -@dangerous +info"
)

_READ = """
local function read(known_generation, known_version)
    local time = redis.call('TIME')
    local held = redis.call('HMGET', KEYS[1], 'generation', 'version', 'shift')
    local book = false
    if held[1] and (held[1] ~= known_generation or held[2] ~= known_version) then
        book = redis.call('HGET', KEYS[1], 'book')
    end
    local leases = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
    return {time[1], time[2], held[1], held[2], held[3], book, leases}
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '0' then
    redis.call('ZREM', KEYS[2], ARGV[1])
else
    redis.call('ZADD', KEYS[2], string.format('%.0f', now_ms + ARGV[2]), ARGV[1])
end
"""
"""Renews or ends a client's lease (arguments 1 and 2: its name, and milliseconds), and reads the book."""

_LOAD = _READ + "return read(ARGV[3], ARGV[4])"
"""Arguments 3 and 4: generation and version that the client knows."""

_STORE = (
    _READ
    + """
local held = redis.call('HMGET', KEYS[1], 'generation', 'version')
if (held[1] or '') ~= ARGV[3] or (held[2] or '0') ~= ARGV[4] then
    return read('', '')
end
redis.call('HSET', KEYS[1], 'generation', ARGV[5], 'version', ARGV[6], 'shift', ARGV[7], 'book', ARGV[8])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now_ms - 3600000))
redis.call('PUBLISH', KEYS[1], ARGV[1])
return {time[1], time[2]}
"""
)
"""Arguments 3 and 4 as in `_LOAD`, 5 to 8 the new values; a shorter answer means that they are stored."""


@attrs.frozen
class Held:
    """The answer of the server to a script."""

    server_s: float
    """The server's clock, in seconds."""
    is_stored: bool
    """Whether the values were stored; then it tells nothing else."""
    generation: str = ""
    """Generation of the book; empty without a book."""
    version: int = 0
    """Version of the book."""
    shift_s: float = 0.0
    """To be added to the server's clock."""
    book: bytes | None = None
    """The book; None without one, or if the client knows it."""
    leases_s: dict[str, float] = attrs.field(factory=dict)
    """When the lease of each client ends, on the server's clock."""


class ServerConnection:
    """Two connections to the server, one for scripts and one for messages, each for one thread at a time.

    Args:
        address: Where it is.
        password: The password; None for none.
        name: The name of the ledger: a digest that reveals nothing.

    Raises:
        ConfigError: redis-py is not installed.
    """

    def __init__(self, address: LedgerAddress, password: str | None, name: str) -> None:
        self.address = address
        self._keys = (f"{{rcfs:{name}}}:book", f"{{rcfs:{name}}}:leases")
        self._redis = client_of(address, password)
        self._messages = client_of(address, password)
        self._subscription: Any = None
        self._load = self._redis.register_script(_LOAD)
        self._store = self._redis.register_script(_STORE)

    def load(self, owner: str, lease_s: float, generation: str, version: int) -> Held:
        """The book, unless the client knows it; this renews the client's lease.

        Raises:
            SharedLedgerError: The server cannot be used now.
        """
        return self._run(self._load, owner, lease_s, generation, version)

    def store(
        self,
        owner: str,
        lease_s: float,
        known: tuple[str, int],
        new: tuple[str, int],
        shift_s: float,
        book: bytes,
    ) -> Held:
        """Replace the book of generation and version `known`, and tell everyone; else answer as `load`.

        Raises:
            SharedLedgerError: The server cannot be used now. If the answer got lost, the book may be stored.
        """
        return self._run(self._store, owner, lease_s, *known, *new, repr(shift_s), book)

    def wait_for_change(self, owner: str, within_s: float) -> bool:
        """Whether another client than `owner` stored the book within `within_s`; for a thread of its own.

        Raises:
            SharedLedgerError: The server cannot be used now.
        """
        try:
            if self._subscription is None:
                self._subscription = self._messages.pubsub(  # type: ignore[no-untyped-call]
                    ignore_subscribe_messages=True
                )
                self._subscription.subscribe(self._keys[0])
            message = self._subscription.get_message(timeout=within_s)
        except Exception as exc:
            self._subscription = None
            raise translated(self.address, exc) from exc
        return message is not None and message["data"] != owner.encode()

    def info(self) -> dict[str, Any]:
        """The state of the server, as its command INFO reports it.

        Raises:
            SharedLedgerError: The server cannot be used now.
        """
        try:
            answer: dict[str, Any] = self._redis.info("all")
        except Exception as exc:
            raise translated(self.address, exc) from exc
        return answer

    def close(self) -> None:
        """Close the connection for scripts."""
        with suppress(Exception):
            self._redis.connection_pool.disconnect()

    def end_waiting(self) -> None:
        """Close the connection for messages, in the thread that waits for them."""
        with suppress(Exception):
            self._messages.connection_pool.disconnect()

    def _run(self, script: Any, owner: str, lease_s: float, *values: str | float | bytes) -> Held:
        import redis.exceptions as errors

        arguments = (owner, round(lease_s * 1000), *values)
        try:
            try:
                return _held(script(keys=self._keys, args=arguments))
            except errors.ConnectionError as exc:
                if isinstance(exc, (errors.AuthenticationError, errors.BusyLoadingError)):
                    raise
                # Perhaps only an idle connection has ended; and a script may be repeated.
                return _held(script(keys=self._keys, args=arguments))
        except Exception as exc:
            raise translated(self.address, exc) from exc


def translated(address: LedgerAddress, error: Exception) -> Exception:
    """The error of rcfs that tells of `error` of redis-py; `error` itself if it is another one."""
    import redis.exceptions as errors

    node = f"{getattr(error, 'host', '')}:{getattr(error, 'port', '')}"
    kinds: Sequence[tuple[type[Exception], type[SharedLedgerError], str]] = (
        (errors.AuthenticationError, LedgerRefusedError, _REFUSES),
        (errors.AuthenticationWrongNumberOfArgsError, LedgerRefusedError, _REFUSES),
        (errors.NoPermissionError, LedgerRefusedError, _FORBIDS),
        (
            errors.ReadOnlyError,
            SharedLedgerError,
            "is a read-only replica; name its primary in [quota] ledger",
        ),
        (
            errors.AskError,
            SharedLedgerError,
            f"has no such keys; name the cluster's node {node} in [quota] ledger",
        ),
        (errors.OutOfMemoryError, SharedLedgerError, "has no memory left; raise its maxmemory"),
        (errors.BusyLoadingError, SharedLedgerError, "is still loading its data"),
        (errors.TimeoutError, SharedLedgerError, f"does not answer within {COMMAND_WITHIN_S:.0f} s"),
        (errors.ConnectionError, SharedLedgerError, "cannot be reached"),
        (errors.RedisError, SharedLedgerError, f"fails ({str(error)[:80]})"),
        (OSError, SharedLedgerError, "cannot be reached"),
        (ValueError, SharedLedgerError, "answers something else than rcfs asked for"),
        (TypeError, SharedLedgerError, "answers something else than rcfs asked for"),
    )
    for kind, made, words in kinds:
        if isinstance(error, kind):
            return made(f"the ledger server {address} {words}")
    return error


def client_of(address: LedgerAddress, password: str | None) -> "redis.Redis":
    """A connection to the server, made at its first command.

    Raises:
        ConfigError: redis-py is not installed.
    """
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ConfigError("[quota] ledger needs the package redis; run: pip install 'rcfs[redis]'") from None
    place: dict[str, Any] = (
        {"unix_socket_path": address.path}
        if address.path
        else {"host": address.host, "port": address.port, "ssl": address.tls}
    )
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


def _held(answer: Any) -> Held:
    """`answer` of a script.

    Raises:
        ValueError, TypeError, IndexError: It is not an answer of these scripts.
    """
    server_s = int(answer[0]) + int(answer[1]) / 1e6
    if len(answer) == 2:
        return Held(server_s, is_stored=True)
    _seconds, _micros, generation, version, shift_s, book, leases = answer
    names, ends_ms = leases[::2], leases[1::2]
    return Held(
        server_s,
        is_stored=False,
        generation=(generation or b"").decode(),
        version=int(version or 0),
        shift_s=float(shift_s or 0.0),
        book=book,
        leases_s={name.decode(): float(end) / 1000 for name, end in zip(names, ends_ms, strict=True)},
    )
