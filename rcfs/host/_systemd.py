"""The systemd of a user: writes units, starts and stops them, and asks how they are."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import platformdirs

from rcfs.errors import RcfsError, StoreError
from rcfs.host._unit_files import MARK

BOOTED = Path("/run/systemd/system")
"""It exists on a machine that was started by systemd. Source: sd_booted(3)."""

_ANSWER_WITHIN_S = 30.0
"""Longest wait for systemctl, in seconds, except where it waits for a service."""
_STARTED_WITHIN_S = 180.0
"""Longest wait for a service to be up, in seconds: longer than TimeoutStartSec of our units."""
_PROPERTIES = (
    *("Description", "ActiveState", "SubState", "Result", "StatusText", "NRestarts"),
    *("ExecMainExitTimestamp", "NextElapseUSecRealtime"),
)
"""Those that a unit of another type does not have are left out of the answer."""
_Done = subprocess.CompletedProcess[str]


@attrs.frozen
class UserUnits:
    """The units of this user."""

    directory: Path = attrs.field(factory=lambda: platformdirs.user_config_path() / "systemd" / "user")
    """The directory of the units that the user has made."""
    booted: Path = BOOTED
    """The mark of a machine that was started by systemd."""

    def check(self) -> None:
        """Checks that this user has a systemd.

        Raises:
            RcfsError: It has none.
        """
        if not self.booted.is_dir():
            raise RcfsError(
                "`rcfs service` needs systemd, and this machine was not started by it; let the program that"
                " starts your services or your session run `rcfs mount -f MOUNTPOINT`"
            )
        done = self._systemctl("show-environment")
        if done.returncode:
            raise RcfsError(
                f"systemd does not answer for this user ({_first_line(done.stderr)}); log in as this user at"
                " the desktop, on the console or with ssh, not with su or sudo, and run this again"
            )

    def install(self, texts: Mapping[str, str], enabled: str) -> None:
        """Writes the units `texts`, by name, replacing those that rcfs wrote; enables and restarts `enabled`.

        Returns when `enabled` is up.

        Raises:
            StoreError: A file cannot be written, or is not by rcfs.
            RcfsError: systemd refused, or the unit failed.
        """
        for name in texts:
            if self._path(name).exists() and not self.is_ours(name):
                raise StoreError(f"{self._path(name)} is not by rcfs; rename it, and run this again")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                self._path(name).write_text(text, encoding="utf-8", errors="surrogateescape")
        except OSError as exc:
            raise StoreError(f"{self.directory} cannot be written: {exc.strerror}") from exc
        self._must("daemon-reload")
        self._must("enable", enabled)
        self._must("restart", enabled, within_s=_STARTED_WITHIN_S)

    def uninstall(self, names: tuple[str, ...]) -> bool:
        """Stops, disables and removes those of `names` that rcfs wrote; returns whether there were any.

        Raises:
            StoreError: A file cannot be removed.
            RcfsError: systemd refused.
        """
        ours = [name for name in names if self.is_ours(name)]
        if not ours:
            return False
        self._must("disable", "--now", *ours, within_s=_STARTED_WITHIN_S)
        try:
            for name in ours:
                self._path(name).unlink()
        except OSError as exc:
            raise StoreError(f"{exc.filename} cannot be removed: {exc.strerror}") from exc
        for directory in (self.directory, self.directory.parent):
            try:
                directory.rmdir()
            except OSError:  # it has other units
                break
        self._must("daemon-reload")
        self._systemctl("reset-failed", *ours)  # fails if none has failed
        return True

    def ours(self) -> tuple[str, ...]:
        """The names of all units that rcfs wrote, sorted."""
        return tuple(path.name for path in sorted(self.directory.glob("rcfs-*.*")) if self.is_ours(path.name))

    def is_ours(self, name: str) -> bool:
        """Whether rcfs wrote the unit `name`."""
        try:
            with self._path(name).open(encoding="utf-8", errors="replace") as file:
                return file.readline().rstrip("\n") == MARK
        except OSError:
            return False

    def properties(self, name: str) -> dict[str, str]:
        """The state of the unit `name`, by the names of org.freedesktop.systemd1(5).

        Raises:
            RcfsError: systemd does not answer.
        """
        done = self._must("show", f"--property={','.join(_PROPERTIES)}", name)
        return dict(_pairs(done.stdout))

    def _path(self, name: str) -> Path:
        return self.directory / name

    def _must(self, verb: str, *words: str, within_s: float = _ANSWER_WITHIN_S) -> _Done:
        done = self._systemctl(verb, *words, within_s=within_s)
        if done.returncode:
            raise RcfsError(f"systemctl --user {verb} failed: {_first_line(done.stderr)}")
        return done

    def _systemctl(self, *words: str, within_s: float = _ANSWER_WITHIN_S) -> _Done:
        command = ["systemctl", "--user", "--no-pager", *words]
        environ = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=within_s,
                env=environ,
            )
        except FileNotFoundError:
            raise RcfsError("systemctl is missing; `rcfs service` needs systemd") from None
        except subprocess.TimeoutExpired:
            raise RcfsError(f"systemctl --user {words[0]} has not ended within {within_s:.0f} s") from None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.partition("=")
        yield name, value


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0] or "no reason given"
