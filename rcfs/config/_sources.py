"""Where settings come from: the command line, the environment, config.toml and the keyring, in this order.

`load_settings` is the one place that decides which source wins. Every error names the option, variable or
line of the file that is wrong, and no error shows a secret.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
import platformdirs

from rcfs.config._access import OTHERS_UMASK, parse_umask, parse_user, parse_user_group
from rcfs.config._config_file import ConfigFile, Found, did_you_mean, read_config
from rcfs.config._keyring import read_keyring
from rcfs.config._login import ChosenLogin, SavedLogin, choose_login
from rcfs.config._named import POOL, parse_login_name
from rcfs.config._pool import pool_of
from rcfs.config._settings import LOGIN_VARIABLES, Credentials, PoolEntry, Settings
from rcfs.config._units import (
    parse_address,
    parse_cache_size,
    parse_crawler_policy,
    parse_delete_limit,
    parse_flag,
    parse_group,
    parse_limit,
    parse_login_part,
    parse_max_content,
    parse_max_wait,
    parse_path,
    parse_programs,
    parse_shared,
    parse_shared_wait,
    parse_subtype,
    parse_textfile,
    parse_wait_online,
)
from rcfs.errors import ConfigError
from rcfs.model import PRIOR_PLANS, Plan, UsageGroup, parse_ledger_address, server_origin

_T = TypeVar("_T")


@attrs.frozen
class _Setting:
    """A setting: its parser and its sources. Its option has the same name, with dashes for underscores."""

    parse: Callable[[Any], Any] = attrs.field(default=lambda value: value)
    """Reads the value of any source; raises ValueError if the value is wrong."""
    key: str = ""
    """Dotted key in config.toml; empty when it has none."""
    variables: tuple[str, ...] = ()
    """Environment variables; the first one with a value counts."""
    field: str = ""
    """Field of `Settings`; empty when it has the name of the setting."""


_SETTINGS: Mapping[str, _Setting] = {
    "media_url": _Setting(server_origin, "credentials.media_url", ("RCFS_MEDIA_URL",)),
    "cache_dir": _Setting(parse_path, "cache.directory", ("RCFS_CACHE_DIR",)),
    "cache_size": _Setting(parse_cache_size, "cache.size", ("RCFS_CACHE_SIZE",), "cache_size_bytes"),
    "shared": _Setting(parse_shared, "cache.shared", ("RCFS_SHARED",)),
    "shared_options": _Setting(parse_path, "cache.shared_options", ("RCFS_SHARED_OPTIONS",)),
    "shared_wait": _Setting(parse_shared_wait, "cache.shared_wait", ("RCFS_SHARED_WAIT",), "shared_wait_s"),
    "state_dir": _Setting(parse_path, variables=("RCFS_STATE_DIR",)),
    "max_content": _Setting(parse_max_content, "cache.max_content", field="max_content_bytes"),
    "max_wait": _Setting(parse_max_wait, "mount.max_wait", field="max_wait_s"),
    "allow_other": _Setting(key="mount.allow_other"),
    "uid": _Setting(parse_user, "mount.uid"),
    "gid": _Setting(parse_user_group, "mount.gid"),
    "umask": _Setting(parse_umask, "mount.umask"),
    "read_only": _Setting(key="mount.read_only"),
    "read_write": _Setting(parse_flag, "mount.read_write", ("RCFS_READ_WRITE",)),
    "allow_purge": _Setting(parse_flag, "mount.allow_purge", ("RCFS_ALLOW_PURGE",)),
    "delete_limit": _Setting(parse_delete_limit, "mount.delete_limit", ("RCFS_DELETE_LIMIT",)),
    "send": _Setting(parse_flag, "mount.send", ("RCFS_SEND",)),
    "list_control": _Setting(key="mount.list_control"),
    "fs_subtype": _Setting(parse_subtype, "mount.fs_subtype"),
    "crawlers": _Setting(parse_programs, "crawlers.names"),
    "more_crawlers": _Setting(parse_programs, "crawlers.also"),
    "crawler_policy": _Setting(parse_crawler_policy, "crawlers.policy"),
    "offline": _Setting(key="mount.offline"),
    "keep_purged": _Setting(key="mount.keep_purged"),
    "fast_wait": _Setting(key="mount.fast_wait"),
    "keep_listings": _Setting(key="mount.keep_listings"),
    "preload": _Setting(key="mount.preload"),
    "wait_online": _Setting(parse_wait_online, "mount.wait_online", field="wait_online_s"),
    "ledger": _Setting(parse_ledger_address, "quota.ledger", ("RCFS_LEDGER",)),
    "ledger_password_file": _Setting(parse_path, "quota.password_file"),
    "ledger_ca_file": _Setting(parse_path, "quota.ca_file"),
    "metrics": _Setting(parse_address, "mount.metrics"),
    "metrics_textfile": _Setting(parse_textfile, "mount.metrics_textfile"),
    "notify": _Setting(key="mount.notify"),
    "bookmark": _Setting(key="mount.bookmark"),
    "log_level": _Setting(),
    "account": _Setting(parse_login_name, variables=("RCFS_ACCOUNT",)),
    "credentials_file": _Setting(parse_path, "credentials.file", ("RCFS_CREDENTIALS_FILE",)),
}
_SERVER_URL = _Setting(server_origin, "credentials.server_url", ("RC_SERVER_URL",))
_LOGIN: Mapping[str, _Setting] = {
    name: _Setting(parse_login_part, f"credentials.{name}", variables)
    for name, variables in LOGIN_VARIABLES.items()
}
_CONFIG_VARIABLE = "RCFS_CONFIG"


def find_config(environ: Mapping[str, str], option: Path | None = None) -> Path:
    """Path of the config file: `option`, RCFS_CONFIG, or ``rcfs/config.toml`` in the XDG config directory.

    Raises:
        ConfigError: `option` or RCFS_CONFIG names a file that does not exist.
    """
    where, named = ("--config", str(option)) if option else (_CONFIG_VARIABLE, environ.get(_CONFIG_VARIABLE))
    if not named:
        return platformdirs.user_config_path("rcfs") / "config.toml"
    path = _read(Found(named, where), parse_path)
    if not path.exists():
        remedy = "name another" if option else "unset the variable"
        raise ConfigError(f"{where}: there is no file {path}; create it, or {remedy}")
    return path


def load_settings(
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    config_path: Path,
    *,
    keyring: Callable[[Callable[[str], None]], Credentials | None] | None = read_keyring,
    warn: Callable[[str], None],
) -> Settings:
    """The settings, each from the first source that has it.

    Args:
        options: Options of the command line by name with underscores, None where not given; ``limit`` is
            a sequence of texts for `parse_limit`.
        environ: The environment.
        config_path: Path of config.toml, which need not exist.
        keyring: Reads the keyring if no other source has the credentials. None for a command that does not
            log in, so that no locked keyring asks for its password.
        warn: Gets one line for each thing that is allowed but unwise.

    Raises:
        ConfigError: A value is wrong; the text names its source.
    """
    _warn_of_unknown(environ, warn)
    sources = _Sources(options, environ, read_config(config_path, warn))
    values = {
        setting.field or name: value
        for name, setting in _SETTINGS.items()
        if (value := sources.value(name, setting)) is not None
    }
    values.setdefault("cache_dir", platformdirs.user_cache_path("rcfs"))
    values.setdefault("state_dir", platformdirs.user_state_path("rcfs"))
    ca_file = values.pop("ledger_ca_file", None)
    if ca_file is not None and "ledger" in values:
        values["ledger"] = attrs.evolve(values["ledger"], ca_file=str(ca_file))
    if values.get("allow_other"):
        values.setdefault("umask", OTHERS_UMASK)
    # Programs of the command line are added to those of the file.
    named = _read(Found(options.get("crawler") or (), "--crawler"), parse_programs)
    values["more_crawlers"] = (*values.get("more_crawlers", ()), *named)
    login = sources.login(values.get("account"), values.get("credentials_file"), keyring, warn)
    return Settings(
        credentials=login.credentials,
        pool=() if keyring is None else sources.pool(login.credentials, login.server_url, warn),
        missing_credentials=login.missing,
        credentials_place=login.place,
        keyring_problem="; ".join(login.problems),
        plans=sources.plans(),
        config_path=config_path,
        **values,
    )


@attrs.frozen
class _Sources:
    """Command line, environment and file, in the order in which they count."""

    options: Mapping[str, Any]
    environ: Mapping[str, str]
    config: ConfigFile

    def value(self, name: str, setting: _Setting) -> Any:
        """The parsed value of `setting`, which is called `name`; None when no source has one."""
        found = self._find(name, setting)
        return None if found is None else _read(found, setting.parse)

    def _find(self, name: str, setting: _Setting) -> Found | None:
        if self.options.get(name) is not None:
            return Found(self.options[name], "--" + name.replace("_", "-"))
        for variable in setting.variables:
            text = self.environ.get(variable, "").strip()
            if text:
                return Found(text, variable)
        return self.config.get(setting.key)

    def login(
        self,
        account: str | None,
        file: Path | None,
        keyring: Callable[[Callable[[str], None]], Credentials | None] | None,
        warn: Callable[[str], None],
    ) -> ChosenLogin:
        """The login of `account`, None without a name; see `rcfs.config._login`."""
        if account is None and self.options.get("credentials_file") is None:
            given = {name: self._find(name, setting) for name, setting in _LOGIN.items()}
            server_url = self.value("server_url", _SERVER_URL)
        else:
            # The login is named, and the variables and the table [credentials] are of another one.
            table = {} if account is None else self.config.account(account)
            given = {name: table.get(name) for name in _LOGIN}
            server_url = self.value("server_url", _Setting(server_origin))
            if server_url is None and "server_url" in table:
                server_url = _read(table["server_url"], server_origin)
        texts = {name: _read(found, parse_login_part) for name, found in given.items() if found is not None}
        source = given["jwt"].where if given["jwt"] is not None else ""
        reader = None if keyring is None else SavedLogin(account, file, self.environ, keyring, warn)
        return choose_login(texts, server_url or None, source, reader)

    def pool(
        self, own: Credentials | None, server_url: str, warn: Callable[[str], None]
    ) -> tuple[PoolEntry, ...]:
        """The further logins of the file and those that `rcfs login --pool` has saved."""
        tables = self.config.pool()
        for table in tables:
            _read(table["name"], parse_login_name)
        texts = [{key: str(found.value).strip() for key, found in table.items()} for table in tables]
        return pool_of(texts, POOL.read(warn), own, server_url)

    def plans(self) -> Mapping[UsageGroup, Plan]:
        """The prior plans, replaced by the limits of the file and then by those of the command line."""
        plans = dict(PRIOR_PLANS)
        for name, found in self.config.limits().items():
            plans[_read(Found(name, found.where), parse_group)] = _read(found, Plan)
        plans.update(read_limits(self.options.get("limit") or ()))
        return MappingProxyType(plans)


def read_limits(texts: Iterable[str]) -> Mapping[UsageGroup, Plan]:
    """The plans of the ``--limit`` options `texts`; of a group that is given twice, the last one.

    Raises:
        ConfigError: A text is not a limit.
    """
    return dict(_read(Found(text, "--limit"), parse_limit) for text in texts)


def _warn_of_unknown(environ: Mapping[str, str], warn: Callable[[str], None]) -> None:
    """Warns of each variable that begins with ``RCFS_`` and has no meaning to rcfs: it may be misspelt."""
    settings = (_SERVER_URL, *_LOGIN.values(), *_SETTINGS.values())
    known = {_CONFIG_VARIABLE, *(name for setting in settings for name in setting.variables)}
    for name in sorted(environ):
        if name.startswith("RCFS_") and name not in known:
            hint = did_you_mean(name, known, likeness=0.8)
            warn(f"rcfs knows no environment variable {name}, so it has no effect{hint}")


def _read(found: Found, parse: Callable[[Any], _T]) -> _T:
    try:
        return parse(found.value)
    except ValueError as exc:
        raise ConfigError(f"{found.where}: {exc}") from exc
