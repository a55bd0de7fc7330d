"""Exports for tests of the tree and of the file system."""

from collections.abc import Sequence

import attrs

from rcfs.model import (
    ContentKey,
    DatasetKey,
    Export,
    ExportArchive,
    ExportKind,
    ExportQuery,
    ExportState,
    ReportKey,
)

PERIOD = "2026-01-01 to 2026-03-31"
WANTED_S = 1775000000.0


def an_export(
    *sizes: int | None,
    name: str = PERIOD,
    kind: ExportKind = ExportKind.MESSAGES,
    state: ExportState = ExportState.COMPLETED,
    task_id: str = "230-5-ab",
) -> Export:
    """An export whose archives have these sizes."""
    keys: list[ReportKey | DatasetKey] = [
        ReportKey("230", task_id, at)
        if kind is ExportKind.MESSAGES
        else DatasetKey("230", task_id, f"set-{at}")
        for at in range(len(sizes))
    ]
    archives = (
        ExportArchive(at, key, size, "") for at, (key, size) in enumerate(zip(keys, sizes, strict=True))
    )
    return Export(
        f"{kind.name} {name}",
        ExportQuery.parse(kind, name),
        task_id,
        state,
        WANTED_S,
        WANTED_S + 10,
        0.0 if state.is_final else WANTED_S + 30,
        tuple(archives),
    )


@attrs.define
class PlainExports:
    """A catalogue of exports in a list."""

    exports: list[Export] = attrs.field(factory=list)
    kinds: Sequence[ExportKind] = tuple(ExportKind)
    problem: str = ""
    fallback_s: float = 1700000000.0
    learned: dict[ContentKey, int] = attrs.field(factory=dict)

    def all(self) -> Sequence[Export]:
        return tuple(self.exports)

    def find(self, kind: ExportKind, name: str) -> Export | None:
        return next(
            (each for each in self.exports if (each.query.kind, each.query.name) == (kind, name)), None
        )

    def reason(self, export: Export) -> str:
        return self.problem or export.problem

    def learned_bytes(self, key: ContentKey) -> int | None:
        return self.learned.get(key)
