"""Whether a server can be reached: pure, one object per server, all times in seconds from any origin.

An outage begins with two failed connections in a row; with a single one if the reason lasts until a person
changes something, such as a certificate or a proxy's login; or with a server that takes connections but
answers neither a request nor a probe. During an outage rcfs sends only a probe, every five seconds, or every
30 s for a lasting reason. So no caller waits in vain, and no request is wasted. The first answer to anything
ends it.
"""

import attrs

from rcfs.errors import UnreachableError

_FAILURES = 2
"""Failed connections in a row that make an outage: a single one may be a server that restarts."""
PROBE_S = 5.0
"""Seconds between two probes: a person who waits for the network looks about that often."""
LASTING_PROBE_S = 30.0
"""Seconds between two probes while the reason is a lasting one, which takes a person minutes to change."""
BLIP_S = 60.0
"""Seconds of an outage in which bulk requests wait before they fail as well: a router that restarts must not
break a copy that runs all night, and a `grep -r` on a train must not wait for every file."""


@attrs.define
class Reachability:
    """The state of the connection to one server."""

    _failures: int = 0
    _down_since_s: float | None = None
    probe_s: float = 0.0
    """When the next probe is due, during an outage."""
    reason: UnreachableError | None = None
    """The error of the latest connection in an outage; None without an outage."""

    @property
    def is_down(self) -> bool:
        """Whether there is an outage."""
        return self._down_since_s is not None

    @property
    def blip_ends_s(self) -> float:
        """When bulk requests stop waiting for the end of the outage; only during an outage."""
        assert self._down_since_s is not None  # noqa: S101 - as documented
        return self._down_since_s + BLIP_S

    def failed(self, now: float, error: UnreachableError) -> bool:
        """Notes a failed connection; whether an outage begins with it."""
        self._failures += 1
        if not error.lasting and not self.is_down and self._failures < _FAILURES:
            return False
        begins, self.reason = not self.is_down, error
        if begins:
            self._down_since_s = now
            self.probing(now)
        return begins

    def silent(self, now: float, error: UnreachableError) -> bool:
        """Notes that the server answers neither requests nor a probe; whether an outage begins with it."""
        self._failures = _FAILURES - 1
        return self.failed(now, error)

    def probing(self, now: float) -> None:
        """Notes that a probe is sent or an outage begins; the next probe is due after a pause."""
        lasting = self.reason is not None and self.reason.lasting
        self.probe_s = now + (LASTING_PROBE_S if lasting else PROBE_S)

    def answered(self) -> bool:
        """Notes an answer of the server; whether an outage ends with it."""
        was_down = self.is_down
        self._failures, self._down_since_s, self.reason = 0, None, None
        return was_down
