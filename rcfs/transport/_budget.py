"""The budget for contents: what all logins together may send, and when."""

from collections.abc import Callable, Sequence

from rcfs.model import PRIOR_PLANS, Plan, Priority, UsageGroup
from rcfs.quota import DailyShare, GroupState, daily_share, joint_wait_s
from rcfs.transport._gate import Gate


class Budget:
    """The budgets of the logins that fetch contents; with one login, that login's."""

    def __init__(self, gates: Callable[[], Sequence[Gate]]) -> None:
        """`gates` gives the budgets of these logins now, at least one."""
        self._gates = gates

    @property
    def logins(self) -> int:
        """Number of the logins."""
        return len(self._gates())

    def states(self, group: UsageGroup) -> Sequence[GroupState]:
        """The state of `group` in each login that has used it or has a plan for it."""
        return [state for gate in self._gates() for state in gate.states() if state.group == group]

    def interval_s(self, group: UsageGroup) -> float:
        """Seconds between two requests of `group` when the whole budget is used; 0.0 if it is unknown."""
        rate = sum(state.limit / state.window_s for state in self.states(group))
        return 1 / rate if rate else 0.0

    def is_frozen(self, group: UsageGroup) -> bool:
        """Whether a login has a penalty in `group`."""
        return any(state.frozen_for_s for state in self.states(group))

    def answered_s(self, group: UsageGroup, priority: Priority, count: int) -> float:
        """Seconds until the last of `count` further requests would be answered.

        They stand behind the requests of their class that wait already, and each is sent by the login that is
        free first; no further ones are assumed.
        """
        return joint_wait_s([gate.outlook(group, priority, count) for gate in self._gates()])

    def daily_share(self, group: UsageGroup) -> DailyShare:
        """The requests of `group` that background work can send in a day."""
        states = self.states(group)
        plans = [Plan(each.limit, each.window_s) for each in states]
        plans += [PRIOR_PLANS[group]] * (self.logins - len(states))
        shares = [daily_share(plan) for plan in plans]
        return DailyShare(sum(each.most for each in shares), sum(each.beside_persons for each in shares))
