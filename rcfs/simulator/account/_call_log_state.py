"""State of call logs beyond the calls themselves: deletions, and invalidated sync tokens."""

import attrs

from rcfs.simulator.account._call_values import SimCall

TOKEN_ERRORS = ("CLG-101", "CLG-102", "CLG-103", "CLG-104", "CLG-105")
"""Error codes for sync tokens. The documentation gives all of them the same text and does not say how they
differ. Here, 101 is for a foreign token, 102 for another log's, 104 for too many changes, the rest on
demand."""


@attrs.frozen
class _Deletion:
    """A deletion of old calls."""

    before_s: float
    """It deleted the calls that began at this time or earlier, seconds since 1970 UTC."""
    at_s: float
    """Time of the deletion."""


@attrs.define(eq=False)
class CallLogState:
    """Deletions and resets of all call logs of an account; times are the account's."""

    reset_s: float = attrs.field(default=0.0, init=False)
    """Sync tokens issued before this time are invalid."""
    reset_error: str = attrs.field(default=TOKEN_ERRORS[-1], init=False)
    """``errorCode`` for these tokens."""
    _deletions: dict[int, list[_Deletion]] = attrs.field(factory=dict, init=False)

    @property
    def has_deletions(self) -> bool:
        """Whether anything was ever deleted."""
        return bool(self._deletions)

    def delete(self, extension_id: int, before_s: float, now_s: float) -> None:
        """Delete the calls of one extension that began at `before_s` or earlier."""
        self._deletions.setdefault(extension_id, []).append(_Deletion(before_s, now_s))

    def deleted_s(self, call: SimCall) -> float | None:
        """Time at which `call` was deleted; None if it was not."""
        found = (
            deletion.at_s
            for deletion in self._deletions.get(call.extension_id, ())
            if call.start_s <= deletion.before_s and call.appears_s <= deletion.at_s
        )
        return next(found, None)

    def modified_s(self, call: SimCall, now_s: float) -> float:
        """Time of the last change to the record of `call`, as seen at `now_s`."""
        return max(call.modified_s(now_s), self.deleted_s(call) or 0.0)

    def reset(self, now_s: float, error: str) -> None:
        """Invalidate all sync tokens issued before `now_s`; `error` is the code that answers them.

        Raises:
            ValueError: `error` is not among `TOKEN_ERRORS`.
        """
        if error not in TOKEN_ERRORS:
            raise ValueError(f"code must be one of {', '.join(TOKEN_ERRORS)}")
        self.reset_s, self.reset_error = now_s, error
