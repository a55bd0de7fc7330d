"""Runs `rcfs export request` and `rcfs export wait`: asks the platform, and follows until the end."""

from collections.abc import Awaitable, Callable, Sequence

import trio

from rcfs.cli._engine_run import run_engine
from rcfs.cli._output import tell
from rcfs.config import Settings
from rcfs.engine import Engine
from rcfs.errors import ConfigError, ForbiddenError, PartialError, PlatformError
from rcfs.exports import Exports, ExportsChanged, status_of
from rcfs.model import Export, ExportKind, ExportQuery, ExportState
from rcfs.status import export_line

_ANSWER_S = 90.0
"""Longest wait for the answer to the request, in seconds: a slot of the Heavy group may be a minute away."""


def ask(settings: Settings, query: ExportQuery, *, again: bool, wait: bool) -> Export:
    """Asks for the export `query`, and returns it as it is then; with `wait`, when it has ended.

    Raises:
        ForbiddenError: The login has no such exports.
        PlatformError: The platform refused it, or no answer came; or with `wait`, it ended without success.
        RcfsError: rcfs could not log in, or not keep the export.
    """

    async def work(exports: Exports) -> list[Export]:
        try:
            export = await exports.request(query, again=again)
        except ValueError as exc:
            raise ConfigError(str(exc)) from exc
        if wait:
            return await _follow(exports, [export])
        with trio.move_on_after(_ANSWER_S):
            await exports.wait(export.id, _is_answered)
        export = exports.find(export.query.kind, export.query.name) or export
        if export.state is ExportState.FAILED:
            raise _error_of(exports, export)
        if not _is_answered(export):
            name, line = _name_of(export), _line_of(exports, export)
            raise PlatformError(f"{name}: {line}; `rcfs export wait` or a mount follows it")
        return [export]

    return _run(settings, work)[0]


def wait_for(settings: Settings, places: Sequence[tuple[ExportKind, str]]) -> list[Export]:
    """The exports at `places` when all have ended; all unfinished ones if `places` is empty.

    Raises:
        ConfigError: There is no such export.
        PartialError: Some ended without success.
        PlatformError: All ended without success.
        RcfsError: rcfs could not log in.
    """

    async def work(exports: Exports) -> list[Export]:
        if not places:
            return await _follow(exports, [each for each in exports.all() if not each.state.is_final])
        found = []
        for kind, name in places:
            export = exports.find(kind, name)
            if export is None:
                raise ConfigError(f"no export {kind.value}/{name}; `rcfs export list` shows all")
            found.append(export)
        return await _follow(exports, found)

    return _run(settings, work)


def _is_answered(export: Export) -> bool:
    return (
        bool(export.task_id)
        or export.state.is_final
        or (export.state is ExportState.WAITING and bool(export.problem))
    )


async def _follow(exports: Exports, wanted: Sequence[Export]) -> list[Export]:
    """`wanted` when all have ended; tells every change of a state."""
    states: dict[str, tuple[ExportState, str]] = {}

    def show(event: ExportsChanged) -> None:
        for export in event.changed:
            told = export.state, export.problem
            if export.id in ids and states.get(export.id) != told:
                states[export.id] = told
                tell(f"{_name_of(export)}: {_line_of(exports, export)}")

    ids = {export.id for export in wanted}
    show(ExportsChanged(tuple(wanted)))
    stop = exports.changes.subscribe(show)
    ended: list[Export] = []
    try:
        for each in wanted:
            export = await exports.wait(each.id, lambda found: found.state.is_final)
            if export is not None:
                ended.append(export)
    finally:
        stop()
    bad = [export for export in ended if export.state is not ExportState.COMPLETED]
    if bad and len(bad) == len(wanted):
        raise _error_of(exports, bad[0])
    if len(ended) < len(wanted) or bad:
        failed = len(wanted) - len(ended) + len(bad)
        raise PartialError(f"{failed} of {len(wanted)} exports did not complete; `rcfs export list` says why")
    return ended


def _name_of(export: Export) -> str:
    return f"{export.query.kind.value}/{export.query.name}"


def _line_of(exports: Exports, export: Export) -> str:
    """The state of an export in one line."""
    return export_line(status_of(export, left_s=exports.left_s(export), reason=exports.reason(export)))


def _error_of(exports: Exports, export: Export) -> PlatformError:
    refusal = exports.refusal(export.query.kind)
    if refusal:
        return ForbiddenError(f"no exports of {export.query.kind.value}: {refusal}")
    line = _line_of(exports, export)
    return PlatformError(f"{_name_of(export)}: {line}; `rcfs export request --again` asks once more")


def _run(settings: Settings, work: Callable[[Exports], Awaitable[list[Export]]]) -> list[Export]:
    """The result of `work`, while an engine asks and polls.

    Raises:
        Interrupted: A signal ended it; what was asked for is kept.
    """

    async def ask_and_work(engine: Engine, nursery: trio.Nursery) -> list[Export]:
        nursery.start_soon(engine.exports.run)
        return await work(engine.exports)

    kept = "interrupted; what was asked for is kept, and `rcfs export wait` or a mount follows it"
    return run_engine(settings, settings.files.export_log, ask_and_work, on_interrupt=lambda: kept)
