"""`rcfs login --pool` and `rcfs logout --pool`, and the pool in the settings."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from rcfs.assembly.pool import _credentials_now
from rcfs.config import POOL, PoolEntry, Settings, load_settings
from rcfs.errors import ConfigError

Run = Callable[..., Result]

SERVER = "https://platform.ringcentral.com"
OWN = {"RC_APP_CLIENT_ID": "app", "RC_APP_CLIENT_SECRET": "s3cr3t", "RC_USER_JWT": "own-jwt"}


def typed(client_id: str = "app", jwt: str = "their-jwt", server: str = "") -> str:
    return f"{server}\n{client_id}\ns3cr3t\n{jwt}\n"


def settings(path: Path | None = None, **environ: str) -> Settings:
    return load_settings({}, OWN | environ, path or Path("/nonexistent"), warn=pytest.fail)


def problems(pool: tuple[PoolEntry, ...]) -> dict[str, str]:
    return {entry.name: entry.problem for entry in pool}


def config(home: Path, *tables: str) -> Path:
    path = home / "config.toml"
    path.write_text("\n".join(f"[[pool]]\n{table}" for table in tables), encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_login_is_saved_in_the_keyring_and_listed(run: Run, vault: Any, home: Path) -> None:
    result = run("login", "--pool", "second", typed=typed())
    assert result.exit_code == 0, result.output
    assert "Saved the credentials in the keyring" in result.output
    assert "s3cr3t" not in result.output
    assert json.loads(POOL.path.read_text()) == {"second": None}
    saved = json.loads(vault.saved["rcfs", "pool"])
    assert saved["second"] == {
        "server_url": SERVER,
        "client_id": "app",
        "client_secret": "s3cr3t",
        "jwt": "their-jwt",
    }
    assert ("rcfs", "credentials") not in vault.saved
    (entry,) = settings().pool
    assert entry.credentials is not None
    assert (entry.name, entry.credentials.jwt) == ("second", "their-jwt")
    assert run("login", "--pool").stdout == "second  app app\n"
    assert run("login", "--pool", "third", typed=typed("app3")).exit_code == 0
    assert [entry.name for entry in settings().pool] == ["second", "third"]


def test_a_login_is_saved_in_a_file_that_only_you_can_read(run: Run, vault: Any, home: Path) -> None:
    assert run("login", "--file", "--pool", "second", typed=typed()).exit_code == 0
    assert stat.S_IMODE(POOL.path.stat().st_mode) == 0o600
    assert vault.saved == {}
    assert problems(settings().pool) == {"second": ""}


def test_without_a_pool_nothing_asks_the_keyring(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rcfs.config._named.read_entry", lambda *_arguments: pytest.fail("it was asked"))
    assert settings().pool == ()
    assert load_settings({}, OWN, Path("/nonexistent"), keyring=None, warn=pytest.fail).pool == ()


def test_logout_removes_one_login(run: Run, vault: Any, home: Path) -> None:
    for name in ("second", "third"):
        assert run("login", "--pool", name, typed=typed(name)).exit_code == 0
    assert run("logout", "--pool", "second").stdout == "Removed the login 'second'.\n"
    assert list(json.loads(vault.saved["rcfs", "pool"])) == ["third"]
    assert list(json.loads(POOL.path.read_text())) == ["third"]
    result = run("logout", "--pool", "second")
    assert result.exit_code == 2
    assert "there is no login 'second'" in result.stderr
    assert "further logins stay: third" in run("logout", "--keep").stderr


def test_nothing_is_listed_without_a_pool(run: Run, home: Path) -> None:
    assert "`rcfs login --pool NAME` saves one" in run("login", "--pool").stdout


@pytest.mark.parametrize("name", ["a/b", ".x", "é", "x" * 33, "a b"])
def test_a_name_that_no_login_has(run: Run, home: Path, name: str) -> None:
    result = run("login", f"--pool={name}", typed=typed())
    assert result.exit_code == 2
    assert "no name of a login" in result.stderr
    assert not POOL.path.exists()


def test_a_table_takes_what_it_lacks_from_what_was_saved(run: Run, vault: Any, home: Path) -> None:
    path = config(home, 'name = "second"\njwt = "from the file"')
    assert problems(settings(path).pool) == {
        "second": "there is no client id, no client secret; run `rcfs login --pool second`"
    }
    assert run("login", "--pool", "second", typed=typed()).exit_code == 0
    (entry,) = settings(path).pool
    assert entry.credentials is not None
    assert (entry.credentials.client_id, entry.credentials.jwt) == ("app", "from the file")


def test_logins_that_cannot_be_used_say_why(run: Run, vault: Any, home: Path) -> None:
    whole = 'client_id = "{}"\nclient_secret = "x"\njwt = "{}"'
    path = config(
        home,
        'name = "own"\n' + whole.format("app", "own-jwt"),
        'name = "once"\n' + whole.format("app", "b"),
        'name = "twice"\n' + whole.format("app", "b"),
    )
    elsewhere = typed(server="http://127.0.0.1:80")
    assert run("login", "--file", "--pool", "elsewhere", typed=elsewhere).exit_code == 0
    assert run("login", "--pool", "locked", typed=typed()).exit_code == 0
    vault.saved.clear()
    assert problems(settings(path).pool) == {
        "own": "it is the same user and app as your own login, and counts once",
        "once": "",
        "twice": "it is the same user and app as the login 'once', and counts once",
        "elsewhere": f"it was saved for http://127.0.0.1:80, and this is {SERVER}",
        "locked": (
            "the keyring cannot be read, so there is no client id, no client secret, no JWT;"
            " run `rcfs login --pool locked`"
        ),
    }


def test_mistakes_in_the_file_name_their_line(home: Path) -> None:
    for table, words in (
        ('client_id = "x"', "line 1: a [[pool]] needs a name"),
        ('name = "a"\nsecret = "x"', "line 3: unknown key 'pool.secret'"),
        ('name = "a"\njwt = 7', "line 3: 'pool.jwt' must be text"),
        ('name = "a"\n[[pool]]\nname = "a"', "a second [[pool]] has the same name"),
        ('name = "a b"', "line 2: 'pool.name': 'a b' is no name of a login"),
    ):
        with pytest.raises(ConfigError) as caught:
            settings(config(home, table))
        assert words in str(caught.value)
    path = home / "config.toml"
    path.write_text('[pool]\nname = "a"', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"write \[\[pool\]\] on a line of its own"):
        settings(path)


def test_a_damaged_pool_is_no_reason_to_write_over_it(run: Run, vault: Any, home: Path) -> None:
    POOL.path.parent.mkdir(parents=True, exist_ok=True)
    POOL.path.write_bytes(b"\xff")
    result = run("login", "--file", "--pool", "second", typed=typed())
    assert result.exit_code == 2
    assert "does not hold the pool of rcfs" in result.stderr
    assert POOL.path.read_bytes() == b"\xff"


def test_new_credentials_of_the_same_user_heal_a_login(
    run: Run, vault: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OWN.items():
        monkeypatch.setenv(name, value)
    assert run("login", "--pool", "second", typed=typed()).exit_code == 0
    (entry,) = settings().pool
    assert entry.credentials is not None
    found = _credentials_now(settings(), "second", entry.credentials.identity)
    assert found is not None
    assert found.jwt == "their-jwt"
    assert _credentials_now(settings(), "second", "another identity") is None
    assert _credentials_now(settings(), "third", entry.credentials.identity) is None
