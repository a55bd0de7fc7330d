import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import keyring.errors
import pytest

from rcfs.config import Settings, find_config, load_settings
from rcfs.errors import ConfigError
from rcfs.model import PRIOR_PLANS, LedgerAddress, Plan

SECRET = "s3cr3t-of-the-app"
JWT = "eyJ-jwt-of-the-user"
LOGIN = {"RC_APP_CLIENT_ID": "the-app", "RC_APP_CLIENT_SECRET": SECRET, "RC_USER_JWT": JWT}


def load(
    options: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    config: str = "",
    tmp_path: Path | None = None,
) -> Settings:
    path = Path("/nonexistent/config.toml")
    if tmp_path is not None:
        path = tmp_path / "config.toml"
        path.write_text(config)
        path.chmod(0o600)
    return load_settings(options or {}, environ or {}, path, warn=pytest.fail)


def save(vault: Any, **fields: str) -> None:
    entry = {
        "server_url": "https://platform.ringcentral.com",
        "client_id": "saved-app",
        "client_secret": "saved-secret",
        "jwt": "saved-jwt",
    }
    vault.saved["rcfs", "credentials"] = json.dumps({**entry, **fields})


def test_defaults(home: Path) -> None:
    settings = load()
    assert settings == Settings(
        credentials=None,
        cache_dir=home / ".cache" / "rcfs",
        state_dir=home / ".local" / "state" / "rcfs",
        cache_size_bytes=10 << 30,
        max_wait_s=300.0,
        allow_other=False,
        fs_subtype="rcfs",
        log_level="info",
        plans=PRIOR_PLANS,
        missing_credentials=("client_id", "client_secret", "jwt"),
        config_path=Path("/nonexistent/config.toml"),
    )


def test_command_line_over_environment_over_file_over_default(tmp_path: Path, home: Path) -> None:
    config = '[cache]\nsize = "3GiB"\ndirectory = "~/from-file"\n'
    environ = {"RCFS_CACHE_SIZE": "2GiB", "RCFS_CACHE_DIR": "/from/environment"}
    options = {"cache_size": "1GiB", "cache_dir": Path("/from/options")}
    every = load(options, environ, config, tmp_path)
    assert (every.cache_size_bytes, every.cache_dir) == (1 << 30, Path("/from/options"))
    no_options = load({"cache_size": None}, environ, config, tmp_path)
    assert (no_options.cache_size_bytes, no_options.cache_dir) == (2 << 30, Path("/from/environment"))
    blank = load({}, {"RCFS_CACHE_SIZE": " "}, config, tmp_path)
    assert (blank.cache_size_bytes, blank.cache_dir) == (3 << 30, home / "from-file")


def test_keep_purged_has_three_states(tmp_path: Path) -> None:
    assert load({}, {}, "", tmp_path).keep_purged is None
    assert load({}, {}, "[mount]\nkeep_purged = false\n", tmp_path).keep_purged is False
    assert load({"keep_purged": True}, {}, "[mount]\nkeep_purged = false\n", tmp_path).keep_purged is True


def test_an_option_can_switch_off_what_the_file_switches_on(tmp_path: Path) -> None:
    config = "[mount]\nallow_other = true\noffline = true\nmax_wait = 60\nfs_subtype = 'smb'\n"
    settings = load({}, {}, config, tmp_path)
    assert (settings.allow_other, settings.offline) == (True, True)
    options = {"allow_other": False, "offline": False, "max_wait": 7.5, "fs_subtype": "davfs"}
    settings = load(options, {}, config, tmp_path)
    assert (settings.allow_other, settings.offline) == (False, False)
    assert (settings.max_wait_s, settings.fs_subtype) == (7.5, "davfs")


def test_loads_in_the_background_can_be_switched_off(tmp_path: Path) -> None:
    assert load({}, {}, "", tmp_path).preload
    assert not load({}, {}, "[mount]\npreload = false\n", tmp_path).preload
    assert load({"preload": True}, {}, "[mount]\npreload = false\n", tmp_path).preload


def test_the_authority_of_the_ledger_server_is_part_of_its_address(tmp_path: Path) -> None:
    quota = "[quota]\nca_file = '/etc/ca.pem'\n"
    assert load({}, {}, quota, tmp_path).ledger is None
    ledger = load({}, {"RCFS_LEDGER": "rediss://host"}, quota, tmp_path).ledger
    assert ledger == LedgerAddress("host", tls=True, ca_file="/etc/ca.pem")


def test_how_long_a_first_mount_waits_for_the_network(tmp_path: Path) -> None:
    assert load({}, {}, "", tmp_path).wait_online_s is None
    assert load({}, {}, "[mount]\nwait_online = 300\n", tmp_path).wait_online_s == 300.0
    assert load({"wait_online": 0.0}, {}, "[mount]\nwait_online = 300\n", tmp_path).wait_online_s == 0.0
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=r"--wait-online: the wait for the network must be 0 to 86400"):
            load({"wait_online": wrong}, {}, "", tmp_path)


def test_the_faster_wait_is_used_unless_told_otherwise(tmp_path: Path) -> None:
    assert load({}, {}, "", tmp_path).fast_wait
    assert not load({}, {}, "[mount]\nfast_wait = false\n", tmp_path).fast_wait
    assert not load({"fast_wait": False}, {}, "", tmp_path).fast_wait


@pytest.mark.parametrize(
    ("newer", "older", "field"),
    [
        ("RC_APP_CLIENT_ID", "RC_CLIENT_ID", "client_id"),
        ("RC_APP_CLIENT_SECRET", "RC_CLIENT_SECRET", "client_secret"),
        ("RC_USER_JWT", "RC_JWT", "jwt"),
    ],
)
def test_both_names_of_a_variable(newer: str, older: str, field: str) -> None:
    both = load({}, {**LOGIN, older: "from-older"}).require_credentials()
    assert getattr(both, field) == LOGIN[newer]
    only_older = {name: value for name, value in LOGIN.items() if name != newer}
    assert getattr(load({}, {**only_older, older: "from-older"}).require_credentials(), field) == "from-older"


def test_credentials_come_from_several_sources(tmp_path: Path) -> None:
    config = f"[credentials]\nserver_url = 'https://file.example'\nclient_id = 'file-app'\njwt = '{JWT}'\n"
    settings = load({}, {"RC_CLIENT_SECRET": f" {SECRET}\n"}, config, tmp_path)
    credentials = settings.require_credentials()
    assert attrs.asdict(credentials) == {
        "server_url": "https://file.example",
        "client_id": "file-app",
        "client_secret": SECRET,
        "jwt": JWT,
        "user": "",
    }
    over = load({"server_url": "https://option.example/"}, {"RC_CLIENT_SECRET": SECRET}, config, tmp_path)
    assert over.require_credentials().server_url == "https://option.example"


def test_the_keyring_comes_last(vault: Any) -> None:
    save(vault, server_url="https://saved.example")
    saved = load().require_credentials()
    assert (saved.server_url, saved.client_id, saved.jwt) == (
        "https://saved.example",
        "saved-app",
        "saved-jwt",
    )
    mixed = load({}, {"RC_USER_JWT": JWT}).require_credentials()
    assert (mixed.client_secret, mixed.jwt) == ("saved-secret", JWT)


def test_what_was_saved_for_one_server_is_not_sent_to_another(vault: Any) -> None:
    save(vault)
    other = load({}, {"RC_SERVER_URL": "http://127.0.0.1:1"})
    assert other.credentials is None
    assert other.missing_credentials == ("client_id", "client_secret", "jwt")
    assert load({}, {"RC_SERVER_URL": "https://platform.ringcentral.com"}).credentials is not None


def test_what_was_saved_for_one_app_is_not_used_with_another(vault: Any) -> None:
    save(vault)
    assert load({}, {"RC_CLIENT_ID": "another"}).missing_credentials == ("client_secret", "jwt")


def test_a_keyring_is_not_asked_when_nothing_is_missing(vault: Any) -> None:
    vault.broken = keyring.errors.KeyringLocked
    environ = {**LOGIN, "RC_SERVER_URL": "https://platform.ringcentral.com"}
    assert load({}, environ).credentials is not None
    assert load_settings({}, {}, Path("/x"), keyring=None, warn=pytest.fail).credentials is None


def test_a_locked_keyring_is_reported_and_a_missing_one_is_not(vault: Any) -> None:
    vault.broken = keyring.errors.NoKeyringError
    assert load().credentials is None
    vault.broken = keyring.errors.KeyringLocked
    settings = load()
    assert settings.credentials is None
    with pytest.raises(ConfigError, match=r"JWT \(the keyring cannot be read \(KeyringLocked\)\); run"):
        settings.require_credentials()


@pytest.mark.parametrize("text", ["no json", "[]", "null", '{"jwt": "x"}'])
def test_a_keyring_entry_of_another_program_is_not_used(vault: Any, text: str) -> None:
    vault.saved["rcfs", "credentials"] = text
    assert load().credentials is None
    assert load().keyring_problem == ("the keyring does not hold credentials of rcfs; run `rcfs login` again")


@pytest.mark.parametrize(
    ("options", "environ", "config", "error"),
    [
        ({"cache_size": "lots"}, {}, "", "--cache-size: 'lots' is not a size"),
        ({}, {"RCFS_CACHE_SIZE": "10XB"}, "", "RCFS_CACHE_SIZE: '10XB' is not a size"),
        ({}, {}, "[cache]\nsize = 10", "config.toml line 2: 'cache.size': the cache needs at least 1 MiB"),
        ({}, {}, "[cache]\nsize = -1", "config.toml line 2: 'cache.size': the cache needs at least 1 MiB"),
        ({"max_wait": 0.0}, {}, "", "--max-wait: the longest wait must be a positive number"),
        ({"max_wait": float("nan")}, {}, "", "--max-wait: the longest wait must be a positive number"),
        ({}, {}, "[mount]\nmax_wait = inf", "config.toml line 2: 'mount.max_wait': the longest wait"),
        ({"fs_subtype": "rcfs,suid"}, {}, "", "--fs-subtype: a file system type is a letter"),
        ({"limit": ["medium"]}, {}, "", "--limit: 'medium' is not a limit"),
        ({}, {}, "[limits]\nmedium = 0", "config.toml line 2: 'limits.medium': 'limit' must be >= 1"),
        ({}, {}, "[limits]\n'a b' = 1", "config.toml line 2: 'limits.a b': 'a b' is not the name"),
        ({"server_url": "http://example.com"}, {}, "", "--server-url: the URL must begin with https://"),
        (
            {},
            {"RC_SERVER_URL": "https://a:hunter2@b"},
            "",
            "RC_SERVER_URL: the URL must not hold",
        ),
        (
            {},
            {"RCFS_MEDIA_URL": "https://b/x"},
            "",
            "RCFS_MEDIA_URL: the URL must end after the host",
        ),
        (
            {},
            {},
            "[cache]\ndirectory = ''",
            "config.toml line 2: 'cache.directory': a path must not be empty",
        ),
        (
            {},
            {"RCFS_STATE_DIR": "~nobody-at-all/x"},
            "",
            "RCFS_STATE_DIR: ~nobody-at-all/x: there is no",
        ),
    ],
)
def test_a_wrong_value_names_its_source(
    tmp_path: Path, options: dict[str, Any], environ: dict[str, str], config: str, error: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(options, environ, config, tmp_path)
    assert error in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_limits_replace_the_prior(tmp_path: Path) -> None:
    options = {"limit": ("HEAVY=5/10", "new=4", "new=6")}
    plans = load(options, {}, "[limits]\nMedium = 20\nheavy = 9\nnew = 3\n", tmp_path).plans
    assert plans == {
        "light": Plan(50),
        "medium": Plan(20),
        "heavy": Plan(5, window_s=10),
        "auth": Plan(5),
        "new": Plan(6),
    }


def test_missing_credentials_are_listed_with_their_places() -> None:
    settings = load({}, {"RC_USER_JWT": JWT})
    with pytest.raises(ConfigError) as caught:
        settings.require_credentials()
    assert str(caught.value) == (
        "missing credentials: client id, client secret; run `rcfs login`, or set RC_APP_CLIENT_ID,"
        " RC_APP_CLIENT_SECRET, or write them under [credentials] in /nonexistent/config.toml (`rcfs demo`"
        " needs none)"
    )


def test_no_repr_shows_a_secret() -> None:
    text = repr(load({}, LOGIN))
    assert "the-app" in text
    assert SECRET not in text
    assert JWT not in text


def test_where_the_config_file_is(home: Path, tmp_path: Path) -> None:
    assert find_config({}) == home / ".config" / "rcfs" / "config.toml"
    named = tmp_path / "other.toml"
    with pytest.raises(ConfigError, match="RCFS_CONFIG: there is no file"):
        find_config({"RCFS_CONFIG": str(named)})
    named.touch()
    assert find_config({"RCFS_CONFIG": str(named)}) == named


def test_crawlers(tmp_path: Path) -> None:
    assert (load().crawlers, load().more_crawlers, load().crawler_policy) == (None, (), "refuse")
    config = "[crawlers]\nnames = ['a', 'b']\nalso = ['c']\npolicy = 'lowest'\n"
    settings = load({"crawler": ("d", "e")}, {}, config, tmp_path)
    assert settings.crawlers == ("a", "b")
    assert settings.more_crawlers == ("c", "d", "e"), "options add to the file"
    assert settings.crawler_policy == "lowest"
    assert load({"crawler_policy": "refuse"}, {}, config, tmp_path).crawler_policy == "refuse"
    assert load({}, {}, "[crawlers]\nnames = []\n", tmp_path).crawlers == ()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("names = 'tumblerd'", "'crawlers.names' must be a list of texts"),
        ("also = [1]", "'crawlers.also' must be a list of texts"),
        ("also = ['/usr/bin/x']", "'crawlers.also': write the name of a program without its directory"),
        ("policy = 'kill'", "'crawlers.policy': the policy for crawlers must be refuse or lowest"),
        ("polcy = 'lowest'", "did you mean 'policy'"),
    ],
)
def test_wrong_crawlers(tmp_path: Path, config: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load({}, {}, f"[crawlers]\n{config}\n", tmp_path)


def test_a_wrong_crawler_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--crawler: write the name of a program"):
        load({"crawler": ("",)})


def test_a_misspelt_variable_is_reported(home: Path) -> None:
    warnings: list[str] = []
    variables = {"RCFS_CACHESIZE": "1GiB", "RCFS_OFFLINE": "1", "RCFS_CONFIG": "", "RC_OTHER": "1"}
    load_settings({}, variables, home / "none", keyring=None, warn=warnings.append)
    assert warnings == [
        (
            "rcfs knows no environment variable RCFS_CACHESIZE, so it has no effect"
            " (did you mean 'RCFS_CACHE_SIZE'?)"
        ),
        "rcfs knows no environment variable RCFS_OFFLINE, so it has no effect",
    ]


def saved_text(**fields: str) -> str:
    return json.dumps(
        {"server_url": "https://s", "client_id": "a", "client_secret": "b", "jwt": "c"} | fields
    )


def test_credentials_of_systemd_come_before_the_keyring(vault: Any, tmp_path: Path) -> None:
    vault.saved["rcfs", "credentials"] = saved_text(client_id="of-the-keyring")
    for name, app in (("rcfs", "one"), ("rcfs.work", "two"), ("own.json", "three")):
        (tmp_path / name).write_text(saved_text(client_id=app))
        (tmp_path / name).chmod(0o440)
    systemd = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(environ=systemd).require_credentials().client_id == "one"
    assert load({"account": "work"}, systemd).require_credentials().client_id == "two"
    (tmp_path / "own.json").chmod(0o600)
    named = load({"credentials_file": str(tmp_path / "own.json")}, {**systemd, **LOGIN})
    assert (named.require_credentials().client_id, named.credentials_place) == (
        "three",
        str(tmp_path / "own.json"),
    )
    assert load(environ={"CREDENTIALS_DIRECTORY": "/nonexistent"}).credentials_place == "the keyring"


def test_an_account_takes_nothing_from_the_login_without_a_name(vault: Any, tmp_path: Path) -> None:
    vault.saved["rcfs", "credentials"] = saved_text()
    config = (
        "[credentials]\njwt = 'other'\n[account.work]\nclient_id = 'w'\nserver_url = 'https://w.example/'\n"
    )
    work = load({}, {**LOGIN, "RCFS_ACCOUNT": "work"}, config, tmp_path)
    assert work.credentials is None
    assert work.missing_credentials == ("client_secret", "jwt")
    config += f"client_secret = '{SECRET}'\njwt = '{JWT}'\n"
    own = load({"account": "work"}, LOGIN, config, tmp_path).require_credentials()
    assert (own.server_url, own.client_id, own.jwt) == ("https://w.example", "w", JWT)


def test_a_jwt_wins_over_a_saved_login_with_a_browser(vault: Any) -> None:
    vault.saved["rcfs", "credentials"] = saved_text(client_secret="", jwt="", user="77")
    browser = load().require_credentials()
    assert (browser.user, browser.jwt, browser.client_secret) == ("77", "", "")
    given = load(environ={"RC_CLIENT_SECRET": SECRET, "RC_USER_JWT": JWT}).require_credentials()
    assert (given.user, given.jwt) == ("", JWT)
