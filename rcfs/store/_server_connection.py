"""The connection to the Redis or Valkey server that keeps shared ledgers: two scripts, and messages.

Each command has a deadline. A script runs on one key slot (the braces in the names of the keys), so the
server may be a cluster; see `ServerClient`.
"""

from contextlib import suppress
from typing import Any

import attrs

from rcfs.model import LedgerAddress
from rcfs.store._server_client import ServerClient, client_of
from rcfs.store._server_errors import translated

_READ = """
local time = redis.call('TIME')
local function read(known_generation, known_version)
    local held = redis.call('HMGET', KEYS[1], 'generation', 'version', 'shift')
    local book = false
    if held[1] and (held[1] ~= known_generation or held[2] ~= known_version) then
        book = redis.call('HGET', KEYS[1], 'book')
    end
    local leases = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
    local ok, info = pcall(redis.call, 'INFO', 'server')
    local run = ok and string.match(info, 'run_id:(%w+)') or ''
    return {time[1], time[2], held[1], held[2], held[3], book, leases, run}
end
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '0' then
    redis.call('ZREM', KEYS[2], ARGV[1])
else
    redis.call('ZADD', KEYS[2], string.format('%.0f', math.min(ARGV[2], now_ms + ARGV[3])), ARGV[1])
end
"""
"""Renews or ends a client's lease (arguments 1 to 3: its name, the end on the server's clock in milliseconds,
and the most from now), and reads the book. The end is absolute: the server may execute a command later than
the client gave up waiting for it, and that must not renew the lease."""

_LOAD = _READ + "return read(ARGV[4], ARGV[5])"
"""Arguments 4 and 5: generation and version that the client knows."""

_STORE = (
    _READ
    + """
local held = redis.call('HMGET', KEYS[1], 'generation', 'version')
if (held[1] or '') ~= ARGV[4] or (held[2] or '0') ~= ARGV[5] then
    return read('', '')
end
redis.call('HSET', KEYS[1], 'generation', ARGV[6], 'version', ARGV[7], 'shift', ARGV[8], 'book', ARGV[9])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now_ms - 3600000))
redis.call('PUBLISH', KEYS[1], ARGV[1])
return {time[1], time[2]}
"""
)
"""Arguments 4 and 5 as in `_LOAD`, 6 to 9 the new values; a shorter answer means that they are stored."""


@attrs.frozen
class Lease:
    """How long a client promises to be heard."""

    until_s: float
    """On the server's clock, which the client knows within bounds."""
    most_s: float
    """Longest time from the server's own time, in seconds."""


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
    run: str = ""
    """Names the process of the server; empty if the user may not know it."""


@attrs.frozen
class BookUpdate:
    """A new book, and the one that it replaces."""

    known: tuple[str, int]
    """Generation and version that the server must hold."""
    new: tuple[str, int]
    """Generation and version of the new book."""
    shift_s: float
    """To be added to the server's clock."""
    book: bytes
    """The new book."""


class ServerConnection:
    """Two connections to the server, one for scripts and one for messages, each for one thread at a time.

    Args:
        address: Where it is.
        password: The password; None for none.
        name: The name of the ledger: a digest that reveals nothing.

    Raises:
        ConfigError: See `ServerClient`.
    """

    def __init__(self, address: LedgerAddress, password: str | None, name: str) -> None:
        self.address = address
        self._keys = (f"{{rcfs:{name}}}:book", f"{{rcfs:{name}}}:leases")
        self._client = ServerClient(address, password)
        self._messages = client_of(address, password)
        self._subscription: Any = None
        self._load = self._client.redis.register_script(_LOAD)
        self._store = self._client.redis.register_script(_STORE)

    def load(self, owner: str, lease: Lease | None, generation: str, version: int) -> Held:
        """The book, unless the client knows it; this renews the client's lease, or ends it if that is None.

        Raises:
            SharedLedgerError: The server cannot be used now.
        """
        return self._run(self._load, owner, lease, generation, version)

    def store(self, owner: str, lease: Lease | None, update: BookUpdate) -> Held:
        """Replace the book that the server holds, and tell everyone; if it holds another, answer as `load`.

        Raises:
            SharedLedgerError: The server cannot be used now. If the answer got lost, the book may be stored.
        """
        return self._run(
            self._store, owner, lease, *update.known, *update.new, repr(update.shift_s), update.book
        )

    def wait_for_change(self, owner: str, within_s: float) -> bool:
        """Whether another client than `owner` stored the book within `within_s`; for a thread of its own.

        It is also True when the server has begun to send messages: those before that were missed.

        Raises:
            SharedLedgerError: The server cannot be used now.
        """
        try:
            if self._subscription is None:
                self._subscription = self._messages.pubsub()  # type: ignore[no-untyped-call]
                self._subscription.subscribe(self._keys[0])
            message = self._subscription.get_message(timeout=within_s)
        except Exception as exc:
            self._subscription = None
            raise translated(self.address, exc) from exc
        # The data of the message that confirms the subscription is a number.
        return message is not None and message["data"] != owner.encode()

    def info(self) -> dict[str, Any]:
        """The state of the server, as its command INFO reports it.

        Raises:
            SharedLedgerError: The server cannot be used now.
        """
        try:
            answer: dict[str, Any] = self._client.redis.info("all")
        except Exception as exc:
            raise translated(self.address, exc) from exc
        return answer

    def close(self) -> None:
        """Close the connection for scripts."""
        self._client.close()

    def end_waiting(self) -> None:
        """Close the connection for messages, in the thread that waits for them."""
        with suppress(Exception):
            self._messages.connection_pool.disconnect()

    def _run(self, script: Any, owner: str, lease: Lease | None, *values: str | float | bytes) -> Held:
        times_s = (lease.until_s, lease.most_s) if lease else (0.0, 0.0)
        arguments = (owner, *(round(each_s * 1000) for each_s in times_s), *values)
        answer = self._client.run(script, self._keys, arguments)
        try:
            return _held(answer)
        except (ValueError, TypeError) as exc:
            raise translated(self.address, exc) from exc


def _held(answer: Any) -> Held:
    """`answer` of a script.

    Raises:
        ValueError, TypeError, IndexError: It is not an answer of these scripts.
    """
    server_s = int(answer[0]) + int(answer[1]) / 1e6
    if len(answer) == 2:
        return Held(server_s, is_stored=True)
    _seconds, _micros, generation, version, shift_s, book, leases, run = answer
    names, ends_ms = leases[::2], leases[1::2]
    return Held(
        server_s,
        is_stored=False,
        generation=(generation or b"").decode(),
        version=int(version or 0),
        shift_s=float(shift_s or 0.0),
        book=book,
        leases_s={name.decode(): float(end) / 1000 for name, end in zip(names, ends_ms, strict=True)},
        run=run.decode(),
    )
