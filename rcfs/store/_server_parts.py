"""The list of the parts that pulls on several machines share, on the server that keeps their ledger.

One hash on the server has for each part ``done``, or the end of a lease and who has it. Leases end by the
server's clock, so the parts of a machine that died go to another one; of a process that died on this machine
at once. The server drops a hash that nobody has
used for a month.
"""

import secrets
import threading
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import attrs

from rcfs.errors import ConfigError
from rcfs.model import LedgerAddress
from rcfs.store._server_client import ServerClient
from rcfs.store._server_errors import translated
from rcfs.store._server_opening import SharingMachine

PART_LEASE_S: Final = 60.0
"""How long a machine has a part after it last asked, in seconds: pulls ask every ten seconds."""
_KEPT_S: Final = 30 * 86_400
"""How long the server keeps a list that nobody uses, in seconds."""

_EXCHANGE = """
local key, owner, lease_ms, scope = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local wanted, next = tonumber(ARGV[5]), 11
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = string.format('%.0f', now_ms + lease_ms) .. ' ' .. owner
if redis.call('HSETNX', key, '#scope', scope) == 1 then
    redis.call('HSET', key, '#born', ARGV[4], '#done', 0)
end
if redis.call('HGET', key, '#scope') ~= scope then
    return false
end
redis.call('EXPIRE', key, ARGV[6])
local ended = {}
local function free(state)
    local end_ms, who = string.match(state or '0 ', '^(%d+) (.*)$')
    return end_ms and (tonumber(end_ms) < now_ms or who == owner or ended[who])
end
local function each(count, act)
    for i = next, next + count - 1 do
        local state = redis.call('HGET', key, ARGV[i])
        act(ARGV[i], state)
    end
    next = next + count
end
local lost, taken, done, holders, seen = {}, {}, {}, {}, {}
each(tonumber(ARGV[7]), function(part, state)
    if state ~= 'done' then
        redis.call('HSET', key, part, 'done')
        redis.call('HINCRBY', key, '#done', 1)
    end
end)
each(tonumber(ARGV[8]), function(part, state)
    if state and free(state) then redis.call('HDEL', key, part) end
end)
each(tonumber(ARGV[9]), function(part, state)
    if free(state) then redis.call('HSET', key, part, lease) else lost[#lost + 1] = part end
end)
each(tonumber(ARGV[10]), function(name) ended[name] = true end)
each(#ARGV - next + 1, function(part, state)
    if state == 'done' then
        done[#done + 1] = part
    elseif #taken < wanted and free(state) then
        redis.call('HSET', key, part, lease)
        taken[#taken + 1] = part
    elseif not free(state) then
        local who = string.match(state, ' (.*)$')
        if not seen[who] then holders[#holders + 1] = who end
        seen[who] = true
    end
end)
return {redis.call('HGET', key, '#born'), redis.call('HGET', key, '#done'), lost, taken, done, holders}
"""
"""Arguments: the client, milliseconds of a lease, the scope, a token for a new list, number of parts to take,
seconds to keep the list, then the numbers of parts that are done, given back and held and of clients that
have ended, then these, and the parts to choose from."""


@attrs.frozen
class Standing:
    """The answer to one exchange."""

    born: str
    """A token of the list; it changes when the server has forgotten the list."""
    total_done: int
    """Number of parts that are done, by all machines."""
    lost: tuple[str, ...]
    """Held parts that another machine has now, or has done."""
    taken: tuple[str, ...]
    """Parts that this client holds from now on."""
    done: tuple[str, ...]
    """Of the parts to choose from, those that some machine has done."""


class SharedParts:
    """The list with one name, for one client; any thread may use it.

    Args:
        address: The server.
        password: Its password; None for none.
        account: What names the account; the server sees a digest of it.
        name: The name that people gave to the list.
        scope: What the pull is for; all clients of a list must have the same.

    Raises:
        ConfigError: See `ServerClient`.
    """

    def __init__(
        self, address: LedgerAddress, password: str | None, account: str, name: str, scope: str
    ) -> None:
        self._address = address
        self._name = name
        self._scope = blake2b(scope.encode(), digest_size=16).hexdigest()
        self._machine = SharingMachine.here()
        self._owner = f"{self._machine.owner} {secrets.token_hex(4)}"
        self._ended: list[str] = []
        """Clients of this machine that have died with parts."""
        digest = blake2b(account.encode(), digest_size=16).hexdigest()
        self._key = f"{{rcfs:{digest}}}:pull:{name}"
        self._client = ServerClient(address, password)
        self._script = self._client.redis.register_script(_EXCHANGE)
        self._lock = threading.Lock()

    def exchange(
        self,
        *,
        done: Sequence[str] = (),
        freed: Sequence[str] = (),
        held: Sequence[str] = (),
        choice: Sequence[str] = (),
        most: int = 0,
    ) -> Standing:
        """Tells what this client has done, gives back and holds, and takes up to `most` parts of `choice`.

        It may be repeated when its answer got lost.

        Raises:
            SharedLedgerError: The server cannot be used now.
            ConfigError: The list is for a pull of something else.
        """
        counts = (len(done), len(freed), len(held), len(self._ended))
        fields: list[str | int] = [self._owner, round(PART_LEASE_S * 1000), self._scope, secrets.token_hex(8)]
        fields += [most, _KEPT_S, *counts, *done, *freed, *held, *self._ended, *choice]
        with self._lock:
            answer = self._client.run(self._script, (self._key,), fields)
        try:
            if answer is not None:
                born, total, *lists = answer
                *texts, holders = (tuple(map(bytes.decode, each)) for each in lists)
                alive = self._machine.is_alive
                self._ended = [name for name in holders if not alive(name.rpartition(" ")[0])]
                return Standing(born.decode(), int(total), *texts)
        except (ValueError, TypeError) as exc:
            raise translated(self._address, exc) from exc
        raise ConfigError(
            f"the pulls that joined as {self._name} have other paths or conditions; give the same ones, with"
            " dates and not ages, or another name"
        )

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()
