"""Whether a server can be reached: pure, one object per server, all times in seconds from any origin.

Two connections in a row that could not be made are an outage; so is one that was refused for a reason that
stays until somebody changes something, such as a certificate or a proxy's login; so is a server that takes
connections and answers neither a request nor a probe. While it lasts nothing is sent but a probe every five
seconds, or every 30 s where the reason stays; so nobody waits for what cannot come, and no request is spent
on it. The first answer to anything ends it.
"""

import attrs

from rcfs.errors import UnreachableError

_FAILURES = 2
"""Connections in a row that make an outage: one may fail because a server is being restarted."""
PROBE_S = 5.0
"""Time between two probes: a person who waits for the network to return looks about that often."""
LASTING_PROBE_S = 30.0
"""The same where somebody must change something first, which takes minutes."""
BLIP_S = 60.0
"""So long an outage may last before it ends bulk requests as well: a router that restarts must not break a
copy that runs all night, and a `grep -r` on a train must not wait for every file."""


@attrs.define
class Reachability:
    """What is known of the way to one server."""

    _failures: int = 0
    _down_since_s: float | None = None
    _probe_s: float = 0.0
    reason: UnreachableError | None = None
    """Why the newest connection could not be made, in an outage; None without one."""

    @property
    def is_down(self) -> bool:
        """Whether there is an outage."""
        return self._down_since_s is not None

    @property
    def blip_ends_s(self) -> float:
        """Until when an outage is taken for a short one; only to be asked while there is one."""
        assert self._down_since_s is not None  # noqa: S101 - as documented
        return self._down_since_s + BLIP_S

    @property
    def probe_s(self) -> float:
        """When the next probe is due, while there is an outage."""
        return self._probe_s

    def failed(self, now: float, error: UnreachableError) -> bool:
        """No connection could be made; whether an outage begins with that."""
        self._failures += 1
        if not error.lasting and not self.is_down and self._failures < _FAILURES:
            return False
        begins, self.reason = not self.is_down, error
        if begins:
            self._down_since_s = now
            self.probing(now)
        return begins

    def silent(self, now: float, error: UnreachableError) -> bool:
        """The server has answered neither requests nor a probe; whether an outage begins with that."""
        self._failures = _FAILURES - 1
        return self.failed(now, error)

    def probing(self, now: float) -> None:
        """A probe is sent, or the first one is due after a pause."""
        lasting = self.reason is not None and self.reason.lasting
        self._probe_s = now + (LASTING_PROBE_S if lasting else PROBE_S)

    def answered(self) -> bool:
        """The server has answered; whether an outage ends with that."""
        was_down = self.is_down
        self._failures, self._down_since_s, self.reason = 0, None, None
        return was_down
