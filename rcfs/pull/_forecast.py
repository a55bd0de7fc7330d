"""How long the remaining requests of a bulk job will take, as the quota goes. Pure.

Theory. A job may begin with a burst: all free slots but the reserve. From then on, whatever is held up is
sent evenly, one request every `window / limit` seconds (`rcfs.quota._pace`), and as burst and reserve are
repaid within the first window, the k-th request is answered `k - 1` such intervals after the first: the
burst only comes earlier. So the end lies on a straight line from the first answer, and is known before the
second.

A slot is held for the round trip, too, which the first answer tells; and others may take of the budget, or
the line be slow. So the interval is measured once a window's worth of answers is there. The burst would
distort a measure that begins within it: it is taken from the first answer until two windows' worth are there,
and over the last window's worth from then on.

A penalty shifts the line, and a changed limit bends it: both begin a new one.
"""

from collections import deque

from rcfs.quota import RESERVE_DIVISOR, GroupState


class Forecast:
    """The forecast of one job; `now` is in seconds from any origin."""

    def __init__(self) -> None:
        self._answers_s: deque[float] = deque()
        """When requests of this line were answered, as far back as they are measured."""
        self._count = 0
        """Answers of this line."""
        self._plan: tuple[int, float] | None = None
        self._begun_s: float | None = None
        """When the job asked first, if it could send at once: what tells the round trip."""
        self._round_trip_s = 0.0
        self._frozen_until_s: float | None = None
        """The end of the penalty that this line begins after; None for the first line, which may burst."""

    def answered(self, now: float) -> None:
        """A request of the job was answered with content."""
        if self._begun_s is not None:
            self._round_trip_s, self._begun_s = now - self._begun_s, None
        if self._frozen_until_s is not None and now < self._frozen_until_s:
            return  # It was sent before the penalty, and says nothing of the pace that comes after.
        self._answers_s.append(now)
        self._count += 1
        if self._plan is not None and self._count > 2 * self._plan[0]:
            while len(self._answers_s) > self._plan[0] + 1:
                self._answers_s.popleft()

    def left_s(self, requests: int, state: GroupState, now: float) -> float:
        """Seconds until `requests` more have been answered; `state` is that of their group now."""
        self._look(state, now)
        spare = state.limit - max(1, state.limit // RESERVE_DIVISOR) - state.used
        if not requests or (requests <= spare and self._may_burst):
            return 0.0
        even_s = (state.window_s + self._round_trip_s) / state.limit
        if not self._count:
            return max(state.next_free_s, state.frozen_for_s) + (requests - 1) * even_s
        first_s, last_s = self._answers_s[0], self._answers_s[-1]
        if self._count <= state.limit:
            end_s = first_s + (self._count - 1 + requests) * even_s
        else:
            end_s = last_s + requests * max(even_s, (last_s - first_s) / (len(self._answers_s) - 1))
        return max(0.0, end_s - now)

    @property
    def _may_burst(self) -> bool:
        """Whether nothing has been held up yet, as far as this line can tell."""
        return self._frozen_until_s is None and self._plan is not None and self._count < self._plan[0]

    def _look(self, state: GroupState, now: float) -> None:
        """Begins a new line where the budget has changed."""
        plan = (state.limit, state.window_s)
        frozen = state.frozen_for_s > 0 and (self._frozen_until_s is None or now >= self._frozen_until_s)
        if frozen or (self._plan is not None and plan != self._plan):
            self._answers_s.clear()
            self._count = 0
        if self._plan is None and not state.next_free_s:
            self._begun_s = now
        if state.frozen_for_s > 0:
            self._frozen_until_s = now + state.frozen_for_s
        self._plan = plan
