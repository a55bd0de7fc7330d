"""What has become of call logs: which calls were deleted, and since when sync tokens are good."""

import attrs

from rcfs.simulator.account._calls import SimCall

TOKEN_ERRORS = ("CLG-101", "CLG-102", "CLG-103", "CLG-104", "CLG-105")
"""Refusals of a sync token. They all have the same words, and what tells them apart is not documented; here
101 is for a token of another maker, 102 of another log, 104 for too many changes, the rest on demand."""


@attrs.frozen
class _Deletion:
    """Somebody has deleted what was old."""

    before_s: float
    """Calls that began earlier, or then, seconds since 1970 UTC."""
    at_s: float
    """When it was done."""


@attrs.define(eq=False)
class CallLogState:
    """Deletions and resets of all call logs of an account; times are the account's."""

    reset_s: float = attrs.field(default=0.0, init=False)
    """Sync tokens that are older are not good any more."""
    reset_error: str = attrs.field(default=TOKEN_ERRORS[-1], init=False)
    """``errorCode`` for these."""
    _deletions: dict[int, list[_Deletion]] = attrs.field(factory=dict, init=False)

    def delete(self, extension_id: int, before_s: float, now_s: float) -> None:
        """Delete the calls of an extension that began at `before_s` or earlier; others' are not touched."""
        self._deletions.setdefault(extension_id, []).append(_Deletion(before_s, now_s))

    def deleted_s(self, call: SimCall) -> float | None:
        """When `call` was deleted; None when it was not."""
        found = (
            deletion.at_s
            for deletion in self._deletions.get(call.extension_id, ())
            if call.start_s <= deletion.before_s and call.appears_s <= deletion.at_s
        )
        return next(found, None)

    def modified_s(self, call: SimCall, now_s: float) -> float:
        """When the record of `call` was last written, seen at `now_s`."""
        return max(call.modified_s(now_s), self.deleted_s(call) or 0.0)

    def reset(self, now_s: float, error: str) -> None:
        """Let no sync token of before `now_s` be good any more, and `error` be said of them.

        Raises:
            ValueError: That is none of `TOKEN_ERRORS`.
        """
        if error not in TOKEN_ERRORS:
            raise ValueError(f"code must be one of {', '.join(TOKEN_ERRORS)}")
        self.reset_s, self.reset_error = now_s, error
