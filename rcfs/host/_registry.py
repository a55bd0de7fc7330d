"""The mounts of rcfs that are up: one small file for each process in the state directory.

A mount writes its file before it is ready, and removes it at its end. A killed process leaves its file
behind, so readers compare pid and start time. They remove the file of a dead process unless its mount is
still there.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import attrs

from rcfs.errors import StoreError
from rcfs.filenames import StateFiles
from rcfs.host._mountinfo import read_mounts
from rcfs.private import private_directory, write_private
from rcfs.procfs import start_time


@attrs.frozen
class MountRecord:
    """A mount, as its process has recorded it."""

    pid: int
    """The process that serves it."""
    pid_start_time: int
    """The start time of that process, in clock ticks since boot."""
    mountpoint: Path
    """Resolved path of the mount point."""
    server: str
    """Origin of its platform."""
    started: str
    """Time when it was ready, ISO 8601 in UTC."""
    cache_dir: Path | None = None
    """Its cache directory; None in a record of an older version."""
    state_dir: Path | None = None
    """Its state directory; None in a record of an older version."""
    login: str = ""
    """The identity of its login; empty in a record of an older version."""
    simulated: Mapping[str, str] | None = None
    """The credentials of a simulated platform, by field; None for a real platform."""
    read_write: bool = False
    """Whether people may change messages in it."""

    @property
    def is_alive(self) -> bool:
        """Whether its process still runs."""
        return start_time(self.pid) == self.pid_start_time


class Registry:
    """The records in a state directory; several processes may use them at the same time."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = StateFiles(state_dir).mounts

    def add(
        self,
        mountpoint: Path,
        server: str,
        *,
        cache_dir: Path | None = None,
        state_dir: Path | None = None,
        login: str = "",
        simulated: Mapping[str, str] | None = None,
        read_write: bool = False,
    ) -> MountRecord:
        """Records that this process serves `mountpoint`; for the arguments see `MountRecord`.

        Raises:
            StoreError: The state directory cannot be written.
        """
        pid = os.getpid()
        started = start_time(pid)
        if started is None:
            raise StoreError(f"/proc/{pid}/stat cannot be read; mount /proc")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        record = MountRecord(
            pid, started, mountpoint, server, now, cache_dir, state_dir, login, simulated, read_write
        )
        private_directory(self._directory)
        write_private(self._file(pid), json.dumps(attrs.asdict(record), default=str))
        return record

    def remove(self, record: MountRecord) -> None:
        """Removes `record`, if it is there."""
        self._file(record.pid).unlink(missing_ok=True)

    def records(self) -> tuple[MountRecord, ...]:
        """All records, also of dead processes, oldest first; skips files that are not records."""
        records = []
        for path in self._directory.glob("*.json"):
            try:
                fields = json.loads(path.read_text(encoding="utf-8"))
                record = MountRecord(
                    pid=int(fields["pid"]),
                    pid_start_time=int(fields["pid_start_time"]),
                    mountpoint=Path(fields["mountpoint"]),
                    server=str(fields["server"]),
                    started=str(fields["started"]),
                    cache_dir=_path(fields.get("cache_dir")),
                    state_dir=_path(fields.get("state_dir")),
                    login=str(fields.get("login", "")),
                    simulated=_texts(fields.get("simulated")),
                    read_write=bool(fields.get("read_write")),
                )
            except (OSError, ValueError, TypeError, KeyError):
                continue
            if path == self._file(record.pid):
                records.append(record)
        return tuple(sorted(records, key=lambda record: (record.started, record.pid)))

    def live(self) -> tuple[MountRecord, ...]:
        """The records of running processes, oldest first; removes those that are neither live nor stale."""
        return self._sorted_out()[0]

    def stale(self) -> tuple[MountRecord, ...]:
        """The records of dead processes whose mounts are still there, oldest first."""
        return self._sorted_out()[1]

    def _sorted_out(self) -> tuple[tuple[MountRecord, ...], tuple[MountRecord, ...]]:
        records = self.records()
        live = tuple(record for record in records if record.is_alive)
        dead = [record for record in records if record not in live]
        mounted = {mount.path for mount in read_mounts() if mount.is_fuse} if dead else set()
        mounted -= {record.mountpoint for record in live}
        for record in dead:
            if record.mountpoint not in mounted:
                self.remove(record)
        return live, tuple(record for record in dead if record.mountpoint in mounted)

    def _file(self, pid: int) -> Path:
        return self._directory / f"{pid}.json"


def _texts(value: object) -> Mapping[str, str] | None:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else None


def _path(value: object) -> Path | None:
    return Path(value) if isinstance(value, str) else None
