import json
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring.errors
import pytest
from click.testing import Result

from rcfs.cli import _credential_places, _credentials
from rcfs.config import _keyring, credentials_path, load_settings, try_credentials_file
from rcfs.errors import ConfigError, StoreError

SECRET = "s3cr3t-of-the-app"
JWT = "eyJ-jwt-of-the-user"
TYPED = f"\nthe-app\n{SECRET}\n{JWT}\n"
SAVED = {
    "server_url": "https://platform.ringcentral.com",
    "client_id": "the-app",
    "client_secret": SECRET,
    "jwt": JWT,
}

NOT_TEXT = json.dumps({**SAVED, "jwt": "a\udce4"})
"""Saved from a terminal or a file that was not UTF-8."""

Run = Callable[..., Result]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody types."""
    for module in (_credentials, _credential_places):
        monkeypatch.setattr(module, "is_interactive", lambda: True)


@pytest.mark.usefixtures("terminal")
def test_login_saves_what_is_typed_and_shows_no_secret(run: Run, vault: Any) -> None:
    result = run("login", "--jwt", typed=f"\nthe-app\n {SECRET} \n{JWT}\n")
    assert result.exit_code == 0
    assert {name: json.loads(text) for (_, name), text in vault.saved.items()} == {"credentials": SAVED}
    assert (
        result.stdout
        == "Saved the credentials in the keyring. `rcfs doctor` checks that the server accepts them.\n"
    )
    assert SECRET not in result.output
    assert JWT not in result.output
    assert not credentials_path().exists()


@pytest.mark.usefixtures("terminal")
def test_login_asks_again_for_what_is_wrong(run: Run, vault: Any) -> None:
    typed = f"http://example.com\nhttp://127.0.0.1:8080/\n \nthe-app\n{SECRET}\n{JWT}\n"
    result = run("login", "--jwt", typed=typed)
    assert result.exit_code == 0
    assert "http is accepted for loopback only" in result.stderr
    assert "this must not be empty" in result.stderr
    assert json.loads(vault.saved["rcfs", "credentials"])["server_url"] == "http://127.0.0.1:8080"


@pytest.mark.usefixtures("terminal")
def test_login_that_is_given_up_saves_nothing(run: Run, vault: Any) -> None:
    result = run("login", "--jwt", typed="\nthe-app\n")
    assert result.exit_code == 130
    assert vault.saved == {}


def test_login_without_a_terminal(run: Run, vault: Any) -> None:
    result = run("login", "--jwt", typed=TYPED)
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(vault.saved["rcfs", "credentials"]) == SAVED
    assert SECRET not in result.output


def test_login_lets_mounts_that_were_refused_try_again(run: Run, state_dir: Path) -> None:
    sessions = state_dir / "sessions"
    sessions.mkdir(parents=True)
    (sessions / "refused.json").write_text('{"refused": "no", "refused_s": 7}')
    (sessions / "good.json").write_text('{"access": "token"}')
    assert run("login", "--jwt", typed=TYPED).exit_code == 0
    assert [path.name for path in sessions.iterdir()] == ["good.json"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "stdin ended too early"),
        ("\nthe-app\n", "stdin ended too early"),
        ("http://example.com\n", "Server: "),
        ("\n \n", "Client id: this must not be empty"),
        ("\nthe\x1b[m\n", "Client id: this has control characters"),
        (
            "\nthe-app\nthe-secret\na\x00b\n",
            "JWT: this has control characters, or bytes that are not UTF-8",
        ),
    ],
)
def test_login_without_a_terminal_says_what_is_wrong(run: Run, vault: Any, typed: str, said: str) -> None:
    result = run("login", "--jwt", typed=typed)
    assert result.exit_code == 2
    assert said in result.stderr
    assert vault.saved == {}


@pytest.mark.parametrize("error", [keyring.errors.NoKeyringError, keyring.errors.PasswordSetError])
@pytest.mark.parametrize("answer", ["y", "n"])
@pytest.mark.usefixtures("terminal")
def test_login_without_a_keyring_offers_a_file_before_it_asks(
    run: Run, vault: Any, error: Any, answer: str
) -> None:
    vault.broken = error
    result = run("login", "--jwt", typed=f"{answer}\n{TYPED}")
    told, asked, _rest = result.stderr.partition("Save the credentials in ")
    assert f"no keyring that can be written ({error.__name__})" in told
    assert asked
    assert "Client id" not in told
    assert ("Client id" in result.stderr, result.exit_code) == ((True, 0) if answer == "y" else (False, 130))
    assert SECRET not in result.output
    assert credentials_path().exists() == (answer == "y")
    if answer == "y":
        assert json.loads(credentials_path().read_text()) == SAVED


def test_login_without_a_keyring_or_a_terminal(run: Run, vault: Any) -> None:
    vault.broken = keyring.errors.NoKeyringError
    result = run("login", "--jwt", typed=TYPED)
    assert result.exit_code == 2
    assert "--file" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not credentials_path().exists()
    assert run("login", "--file", typed=TYPED).exit_code == 0
    assert json.loads(credentials_path().read_text()) == SAVED


def test_the_file_is_yours_alone_and_nothing_is_left_beside_it(run: Run, home: Path) -> None:
    assert run("login", "--file", typed=TYPED).exit_code == 0
    path = credentials_path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    settings = load_settings({}, {}, home / "none", warn=pytest.fail)
    assert settings.require_credentials().jwt == JWT
    path.chmod(0o644)
    warnings: list[str] = []
    load_settings({}, {}, home / "none", warn=warnings.append)
    assert warnings == [f"{path} holds secrets and others may read it; run: chmod 600 {path}"]


def test_a_variable_that_is_no_text(home: Path) -> None:
    with pytest.raises(ConfigError, match="RC_USER_JWT: this has control characters, or bytes"):
        load_settings({}, {"RC_USER_JWT": "a\udce4"}, home / "none", warn=pytest.fail)


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000, '{"jwt": 1}', NOT_TEXT])
def test_a_file_of_another_program(home: Path, content: str) -> None:
    credentials_path().parent.mkdir()
    credentials_path().write_text(content)
    credentials_path().chmod(0o600)
    warnings: list[str] = []
    assert load_settings({}, {}, home / "none", warn=warnings.append).credentials is None
    assert warnings == [f"{credentials_path()} does not hold credentials of rcfs; run `rcfs login` again"]


def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(run: Run) -> None:
    credentials_path().parent.write_text("in the way")
    result = run("login", "--file", typed="")
    assert result.exit_code == 2
    assert str(credentials_path().parent) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_full_disk_is_told_before_anything_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path, text: str) -> None:
        if text:  # An empty file needs no room.
            raise StoreError(f"{path} cannot be written: No space left on device")

    monkeypatch.setattr("rcfs.config._credentials_file.write_private", write)
    result = run("login", "--file", typed="")
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr


def test_trying_a_file_touches_no_other(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    names = {"mine.trial", "mine.json"}
    for name in names:
        (place / name).write_text("kept")
    for name in names:
        try_credentials_file(place / name)
    assert {path.name for path in place.iterdir()} == names
    assert {path.read_text() for path in place.iterdir()} == {"kept"}
    with pytest.raises(ConfigError, match="is a directory; name a file"):
        try_credentials_file(place)


def test_the_keyring_takes_the_place_of_the_file(run: Run) -> None:
    assert run("login", "--file", typed=TYPED).exit_code == 0
    assert run("login", "--jwt", typed=TYPED.replace(JWT, "another")).exit_code == 0
    assert not credentials_path().exists()


def test_a_keyring_that_never_answers_does_not_block(
    run: Run, vault: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its calls come back when the test ends, so that no thread is left."""
    ended = threading.Event()
    monkeypatch.setattr(_keyring, "ANSWERS_WITHIN_S", 0.01)
    monkeypatch.setattr(_keyring, "TRIED_WITHIN_S", 0.01)
    monkeypatch.setattr(vault, "_check", ended.wait)
    try:
        result = run("login", "--jwt", typed=TYPED)
        assert (result.exit_code, "has not answered" in result.stderr) == (2, True)
        assert run("login", "--file", typed=TYPED).exit_code == 0
        # rcfs does not ask the keyring for credentials that the file has.
        load_settings({}, {}, home / "none", warn=pytest.fail)
        result = run("logout")
        assert (result.exit_code, "has not answered" in result.stderr) == (2, True)
        assert not credentials_path().exists()
        (home / "rc").mkdir()
        result = run("mount", "-f", str(home / "rc"))
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert "missing credentials" in line
        assert "has not answered within" in line
    finally:
        ended.set()
        for thread in threading.enumerate():
            if thread.name == "keyring":
                thread.join(60)


def test_a_locked_keyring_opens_its_window_only_for_a_person(
    run: Run, vault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("login", "--jwt", typed=TYPED)
    unlocked = threading.Event()
    monkeypatch.setattr(_keyring, "ANSWERS_WITHIN_S", 0.01)
    monkeypatch.setattr(_keyring, "is_locked", lambda: not unlocked.is_set())
    monkeypatch.setattr(vault, "_check", lambda: pytest.fail("it opens its window"))
    problems: list[str] = []
    assert _keyring.read_keyring(problems.append) is None
    assert problems == ["the keyring is locked, and must be unlocked first"]
    assert "the keyring is locked" in run("login", "--jwt", typed=TYPED).stderr

    monkeypatch.setattr(_keyring, "is_terminal", lambda: True)
    monkeypatch.setattr(vault, "_check", lambda: unlocked.wait(60))

    def tell(line: str, **_file: object) -> None:
        problems.append(line)
        unlocked.set()

    monkeypatch.setattr("builtins.print", tell)
    found = _keyring.read_keyring(pytest.fail)
    assert (found is not None, len(problems)) == (True, 2)
    assert "type its password into its window, within 30 s" in problems[1]


def test_a_keyring_that_is_not_there_yet_is_not_made(
    run: Run, vault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would open a window that asks for a new password, at each start of a service."""
    monkeypatch.setattr(_keyring, "is_locked", lambda: None)
    monkeypatch.setattr(vault, "_check", lambda: pytest.fail("it opens its window"))
    for has_person in (False, True):
        monkeypatch.setattr(_keyring, "is_terminal", lambda has_person=has_person: has_person)
        assert _keyring.read_keyring(pytest.fail) is None
        assert _keyring.clear_keyring() is False
        assert "there is no keyring that can be written" in run("login", "--jwt", typed=TYPED).stderr


def test_secrets_are_taken_from_no_command_line(run: Run) -> None:
    for name in ("--client-secret", "--jwt"):
        assert run("login", name, "x").exit_code == 2
        assert run("mount", name, "x", "/mnt/rc").exit_code == 2


def test_logout(run: Run, vault: Any) -> None:
    run("login", "--jwt", typed=TYPED)
    result = run("logout")
    assert result.stdout == "Removed the credentials from the keyring.\n"
    assert (
        result.stderr
        == "rcfs: the index, the cache and the logs stay on this disk; `rcfs forget` erases them\n"
    )
    assert vault.saved == {}
    assert run("logout").stdout == "No credentials were saved, so there is nothing to remove.\n"
    run("login", "--file", typed=TYPED)
    assert run("logout").stdout == f"Removed the credentials from {credentials_path()}.\n"


@pytest.mark.parametrize(
    ("options", "answer", "erased"),
    [((), "y", True), ((), "n", False), (("--keep",), "y", False), (("--forget",), "", True)],
)
def test_logout_asks_whether_to_erase(
    run: Run,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    answer: str,
    erased: bool,
) -> None:
    for module in (_credentials, _credential_places):
        monkeypatch.setattr(module, "is_interactive", lambda: True)
    monkeypatch.setattr("rcfs.cli._output.is_interactive", lambda: True)
    (state_dir / "log").mkdir(parents=True)
    log = state_dir / "log" / "pull.log"
    log.write_text("what was done")
    result = run("logout", *options, typed=f"{answer}\n")
    assert result.exit_code == 0, result.output
    assert ("Erase all of it?" in result.stderr) == (not options)
    assert log.exists() != erased


def test_logout_without_a_keyring(run: Run, vault: Any) -> None:
    vault.broken = keyring.errors.NoKeyringError
    assert run("logout").exit_code == 0
    vault.broken = keyring.errors.KeyringLocked
    result = run("logout")
    assert result.exit_code == 2
    assert "the keyring cannot be changed (KeyringLocked)" in result.stderr
