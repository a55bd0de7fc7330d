import json
from collections.abc import Callable
from typing import Any

import keyring.errors
import pytest
from click.testing import Result

SECRET = "s3cr3t-of-the-app"
JWT = "eyJ-jwt-of-the-user"


def test_login_saves_what_is_typed_and_shows_no_secret(run: Callable[..., Result], vault: Any) -> None:
    result = run("login", typed=f"\nthe-app\n {SECRET} \n{JWT}\n")
    assert result.exit_code == 0
    assert json.loads(vault.saved["rcfs", "credentials"]) == {
        "server_url": "https://platform.ringcentral.com",
        "client_id": "the-app",
        "client_secret": SECRET,
        "jwt": JWT,
    }
    assert result.stdout == "Saved in the keyring. `rcfs doctor` tells whether the server accepts them.\n"
    assert SECRET not in result.output
    assert JWT not in result.output


def test_login_asks_again_for_what_is_wrong(run: Callable[..., Result], vault: Any) -> None:
    typed = f"http://example.com\nhttp://127.0.0.1:8080/\n \nthe-app\n{SECRET}\n{JWT}\n"
    result = run("login", typed=typed)
    assert result.exit_code == 0
    assert "http is accepted for loopback only" in result.stderr
    assert "this cannot be empty" in result.stderr
    assert json.loads(vault.saved["rcfs", "credentials"])["server_url"] == "http://127.0.0.1:8080"


def test_login_that_is_given_up_saves_nothing(run: Callable[..., Result], vault: Any) -> None:
    result = run("login", typed="\nthe-app\n")
    assert result.exit_code == 130
    assert vault.saved == {}


@pytest.mark.parametrize("error", [keyring.errors.NoKeyringError, keyring.errors.PasswordSetError])
def test_login_without_a_keyring(run: Callable[..., Result], vault: Any, error: Any) -> None:
    vault.broken = error
    result = run("login", typed=f"\nthe-app\n{SECRET}\n{JWT}\n")
    assert result.exit_code == 2
    assert f"no keyring that can be written ({error.__name__})" in result.stderr
    assert SECRET not in result.output


def test_secrets_are_taken_from_no_command_line(run: Callable[..., Result]) -> None:
    for name in ("--client-secret", "--jwt"):
        assert run("login", name, "x").exit_code == 2
        assert run("mount", name, "x", "/mnt/rc").exit_code == 2


def test_logout(run: Callable[..., Result], vault: Any) -> None:
    run("login", typed=f"\nthe-app\n{SECRET}\n{JWT}\n")
    assert run("logout").stdout == "Removed from the keyring.\n"
    assert vault.saved == {}
    assert run("logout").stdout == "The keyring holds no credentials of rcfs.\n"


def test_logout_without_a_keyring(run: Callable[..., Result], vault: Any) -> None:
    vault.broken = keyring.errors.NoKeyringError
    assert run("logout").exit_code == 0
    vault.broken = keyring.errors.KeyringLocked
    result = run("logout")
    assert result.exit_code == 2
    assert "the keyring cannot be changed (KeyringLocked)" in result.stderr
