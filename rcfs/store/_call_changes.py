"""Values that a change to the calls of the index keeps in memory until they are written, or tells."""

import attrs

from rcfs.store._index_changes import Path, ShownEntry


@attrs.frozen
class ChangedCalls:
    """The result of a change to the calls of the index; false if it changed nothing."""

    logs: frozenset[tuple[int, str]] = frozenset()
    """(owner, month) of the call logs with other lines than before."""
    recordings: frozenset[tuple[int, str, str]] = frozenset()
    """(owner, month, file name) of recordings that appeared, vanished or changed."""
    folders: frozenset[tuple[int, Path]] = frozenset()
    """(extension id, path relative to the extension's directory) of folders that hold links to recordings,
    as `rcfs.store.ChangedPaths` has them."""

    def __bool__(self) -> bool:
        return bool(self.logs or self.recordings or self.folders)

    def __or__(self, other: "ChangedCalls") -> "ChangedCalls":
        return ChangedCalls(
            self.logs | other.logs, self.recordings | other.recordings, self.folders | other.folders
        )


@attrs.define
class ChangedLog:
    """A log with its changes; the fields are those of `rcfs.store._call_schema.CALL_MONTHS`."""

    number: int
    account_id: str
    owner: int
    month: str
    loaded: int = 0
    listing: int = 0
    synced_s: float = 0.0
    revision: int = 0
    calls: int = 0
    recordings: int = 0
    csv_bytes: int = 0
    json_bytes: int = 0
    modified_s: float | None = None

    def add(self, csv_bytes: int, json_bytes: int, sign: int = 1) -> None:
        """Count a call with lines of these sizes; with a `sign` of -1, one that leaves."""
        self.calls += sign
        self.csv_bytes += sign * csv_bytes
        self.json_bytes += sign * json_bytes


@attrs.frozen
class KnownCall:
    """A call as the index has it."""

    number: int
    started_s: float | None
    modified_s: float | None
    csv_bytes: int
    json_bytes: int
    texts: bytes
    worded: bool

    @property
    def at_s(self) -> float:
        """Its start in `call_places`."""
        return self.started_s or 0.0


@attrs.frozen
class KnownRecording:
    """A recording as the index has it."""

    number: int
    log: int
    place: int
    id: str
    name: str
    started_s: float | None
    duration_s: int | None
    uri: str
    gone: int = 0

    @property
    def entry(self) -> ShownEntry:
        """Its entry in a folder."""
        return ShownEntry(self.number, self.name, self.started_s, self.started_s)

    def is_shown_as(self, other: "KnownRecording") -> bool:
        """Whether all but the number and `gone` are equal."""
        return attrs.evolve(self, number=other.number, gone=other.gone) == other
