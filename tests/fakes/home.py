"""A separate home for each test, and an in-memory keyring: rcfs sees nothing of the caller's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

SECRET = "s3cr3t-of-the-app"
JWT = "eyJ-jwt-of-the-user"


class MemoryKeyring(keyring.backend.KeyringBackend):
    """Keeps passwords in memory; `broken` makes every call fail."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.saved: dict[tuple[str, str], str] = {}
        self.broken: type[keyring.errors.KeyringError] | None = None

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken(f"the keyring says {SECRET}")

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.saved.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.saved[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.saved[service, username]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory; rcfs sees nothing of the caller's environment."""
    for name in list(os.environ):
        if name.startswith(("RC_", "RCFS_", "XDG_")):
            monkeypatch.delenv(name)
    path = tmp_path / "home"
    for variable, folder in (
        ("HOME", ""),
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_CACHE_HOME", ".cache"),
        ("XDG_STATE_HOME", ".local/state"),
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_RUNTIME_DIR", "run"),
    ):
        (path / folder).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(variable, str(path / folder))
    return path


@pytest.fixture(autouse=True)
def vault() -> Iterator[MemoryKeyring]:
    """The keyring that rcfs uses."""
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def state_dir(home: Path) -> Path:
    return home / ".local" / "state" / "rcfs"
