"""A home of its own for every test, an in-memory keyring, and a way to run commands."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from rcfs.cli._main import rcfs
from tests.fakes.home import JWT, SECRET, home, state_dir, vault

__all__ = ["home", "state_dir", "vault"]


@pytest.fixture
def run() -> Callable[..., Result]:
    """Runs `rcfs` with arguments in this process."""

    def invoke(*arguments: str, typed: str | None = None, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(rcfs, arguments, input=typed, env=env, prog_name="rcfs")

    return invoke


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete credentials in the environment."""
    monkeypatch.setenv("RC_APP_CLIENT_ID", "the-app")
    monkeypatch.setenv("RC_APP_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("RC_USER_JWT", JWT)
