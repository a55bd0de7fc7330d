"""The course of an export: its next value after each event, and whose turn it is. Pure.

Times are in seconds since 1970-01-01 UTC. All functions that take an export and return one leave its id and
query as they are.
"""

from collections.abc import Collection, Sequence

import attrs

from rcfs.errors import RcfsError
from rcfs.model import Export, ExportArchive, ExportKind, ExportState, iso_time
from rcfs.platform import ExportAnswer, is_for

MOST_AT_ONCE = 2
"""Unfinished tasks of a kind that an account may have. Source: the descriptions of both creating
operations."""
_LOST_S = 600.0
"""Time after which rcfs asks again if the answer to a request for a report was lost, in seconds: a small
report is complete by then, and a large one is too dear to be made twice for a short wait."""
MOST_LOST = 3
"""Requests for one export whose answers are lost before rcfs gives up: each may have made a report."""
_SEARCH_EVERY_S = 60.0
"""Time between two looks into the platform's list of exports for one whose answer was lost, in seconds."""
_FIRST_POLLS_S = (15.0, 20.0)
_LATER_POLLS_S = (24.0, 30.0)
"""Shortest and longest pause between two polls, in seconds. The documentation allows 15 to 30 s; a poll of a
report is a Heavy request, so a report that takes longer than a minute is polled less often."""
_FIRST_S = 60.0
"""Time after the request in which the first pauses apply, in seconds."""
_RETRY_S = (60.0, 600.0)
"""Shortest and longest pause after a refusal because other exports run, in seconds."""
_TROUBLE_S = 30.0
"""Pause after a poll that failed, and after a request that was certainly not carried out, in seconds."""
_SKEW_S = 3600.0
"""Difference between the platform's clock and this machine's that rcfs expects at most, in seconds."""
_YOUNG_S = 120.0
"""Age up to which a task that the platform does not know may still appear, in seconds."""

_OTHERS_RUN = "two other exports are unfinished; rcfs asks when one of them ends"


def until_s(export: Export) -> float:
    """End of the period to ask for, included: that of the query, or the moment of the request."""
    return min(export.query.to_s - 0.001, export.asked_s)


def next_due(
    exports: Sequence[Export], kinds: Collection[ExportKind], now_s: float, done: Collection[str]
) -> Export | None:
    """The export to ask about, else the one to ask for, now; only of `kinds`, and none of the ids `done`."""
    due = [each for each in exports if each.query.kind in kinds and each.id not in done]
    due = [each for each in due if _is_due(each, now_s) and not is_blocked(each, exports)]
    return min(due, key=lambda each: each.state is ExportState.WAITING, default=None)


def is_blocked(export: Export, exports: Sequence[Export]) -> bool:
    """Whether an export waits because two others of its kind are unfinished."""
    kind = export.query.kind
    running = sum(each.state.is_running for each in exports if each.query.kind is kind)
    return export.state is ExportState.WAITING and running >= MOST_AT_ONCE


def _is_due(export: Export, now_s: float) -> bool:
    if export.state is ExportState.WAITING:
        return export.next_look_s <= now_s
    return 0 < export.next_look_s <= now_s


def poll_pause_s(export: Export, now_s: float, jitter: float) -> float:
    """Time until the next poll; `jitter` is from 0 to 1."""
    shortest, longest = _FIRST_POLLS_S if now_s - export.asked_s < _FIRST_S else _LATER_POLLS_S
    return shortest + jitter * (longest - shortest)


def blocked(export: Export) -> Export:
    """`export`, which waits for two others; the time of the next look depends on those."""
    return attrs.evolve(export, next_look_s=0.0, problem=_OTHERS_RUN)


def asking(export: Export, now_s: float) -> Export:
    """`export` immediately before the request; this is also what a killed process leaves."""
    if export.query.kind is ExportKind.MESSAGES:
        again_s = now_s + _LOST_S
        plan = "asks again, since no request lists reports"
    else:
        again_s = now_s + _SEARCH_EVERY_S
        plan = "looks into the platform's list"
    return attrs.evolve(
        export,
        state=ExportState.ASKED,
        asked_s=now_s,
        since_s=now_s,
        next_look_s=again_s,
        problem=f"if no answer comes by {iso_time(again_s)}, rcfs {plan}",
    )


def not_asked(export: Export, error: RcfsError | None, now_s: float) -> Export:
    """`export` after a request that was certainly not carried out, or whose answer is given up."""
    return attrs.evolve(
        export,
        state=ExportState.WAITING,
        since_s=now_s,
        next_look_s=now_s if error is None else now_s + _TROUBLE_S,
        problem="" if error is None else str(error),
    )


def is_answer(export: Export, answer: ExportAnswer) -> bool:
    """Whether a task in the platform's list is the one that `export`, whose answer was lost, asked for."""
    return (
        is_for(answer, export.query, until_s(export))
        and (answer.state is ExportState.COMPLETED or answer.state is None or not answer.state.is_final)
        and (answer.begun_s is None or answer.begun_s >= export.asked_s - _SKEW_S)
    )


def unanswered(export: Export, lost: int, now_s: float) -> Export:
    """`export` when rcfs no longer waits for the answer, after `lost` requests without one in a row."""
    if lost < MOST_LOST:
        return not_asked(export, None, now_s)
    return failed(
        export, f"no answer to {lost} requests could be read, so rcfs does not ask again by itself", now_s
    )


def not_found(export: Export, lost: int, now_s: float) -> Export:
    """`export`, whose answer was lost, after a look into the platform's list, which does not have it.

    `lost` is as in `unanswered`.
    """
    if now_s - export.asked_s >= _LOST_S:
        return unanswered(export, lost, now_s)
    return attrs.evolve(export, next_look_s=now_s + _SEARCH_EVERY_S)


def refused(export: Export, before: Export, error: RcfsError, now_s: float) -> Export:
    """`export` after a refusal that may end with other exports of the account; `before` had not asked."""
    shortest, longest = _RETRY_S
    return attrs.evolve(
        export,
        state=ExportState.WAITING,
        since_s=before.since_s,
        next_look_s=now_s + min(max(shortest, (now_s - before.since_s) / 2), longest),
        problem=(
            "the platform refuses it for now, perhaps because other exports of the account are unfinished;"
            f" rcfs asks again ({error})"
        ),
    )


def failed(export: Export, because: str, now_s: float) -> Export:
    """`export` after a refusal that no repetition changes."""
    return attrs.evolve(
        export, state=ExportState.FAILED, since_s=now_s, next_look_s=0.0, archives=(), problem=because
    )


def accepted(export: Export, answer: ExportAnswer, now_s: float, jitter: float) -> Export:
    """`export` after the answer to the request, or after it was found in the platform's list."""
    state = answer.state
    if state is None or state.is_final:
        state = ExportState.ACCEPTED  # The next poll brings the archives, or the reason.
    return attrs.evolve(
        export,
        task_id=answer.task_id,
        state=state,
        since_s=now_s,
        next_look_s=now_s + poll_pause_s(export, now_s, jitter),
        problem="",
    )


def told(
    export: Export, answer: ExportAnswer, archives: tuple[ExportArchive, ...], now_s: float, jitter: float
) -> Export:
    """`export` after a poll; `archives` are those of a completed one."""
    state, problem = answer.state or export.state, ""
    if answer.state is None:
        problem = f"the platform reports a state that rcfs does not know: {answer.word or 'none'}"
    elif state is ExportState.FAILED:
        problem = "the platform could not make it"
    elif state is ExportState.CANCELLED:
        problem = "somebody or the platform has cancelled it"
    elif state is ExportState.EXPIRED:
        problem = "the platform no longer keeps it"
    elif state is ExportState.ATTEMPT_FAILED:
        problem = "an attempt of the platform failed, and it tries again"
    since_s = export.since_s
    if state is not export.state:
        changed_s = answer.changed_s if answer.changed_s is not None else now_s
        since_s = changed_s if export.asked_s <= changed_s <= now_s else now_s
    return attrs.evolve(
        export,
        state=state,
        since_s=since_s,
        next_look_s=0.0 if state.is_final else now_s + poll_pause_s(export, now_s, jitter),
        archives=archives if state is ExportState.COMPLETED else (),
        problem=problem,
    )


def unknown(export: Export, error: RcfsError, now_s: float) -> Export:
    """`export` after the platform denied to know its task: expired, unless it is new."""
    if now_s - export.asked_s < _YOUNG_S and not export.state.is_final:
        return troubled(export, error, now_s)
    return attrs.evolve(
        export,
        state=ExportState.EXPIRED,
        since_s=now_s,
        next_look_s=0.0,
        archives=(),
        problem=f"the platform no longer knows it ({error})",
    )


def troubled(export: Export, error: RcfsError, now_s: float, pause_s: float = _TROUBLE_S) -> Export:
    """`export` after a poll that brought no answer."""
    return attrs.evolve(export, next_look_s=now_s + pause_s, problem=str(error))
