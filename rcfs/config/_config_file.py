"""Reads config.toml: which keys there are, of which type, and on which line each stands.

A mistake is an error that names line and key; rcfs ignores no setting silently. Errors never repeat a
value, because some values are secrets.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from rcfs.errors import ConfigError

_TEXT, _NUMBER, _FLAG, _SIZE, _INTEGER = "text", "a number", "true or false", "a size", "a whole number"
_TEXTS = "a list of texts"
_NAME = "a name or a number"

_TABLES: Mapping[str, Mapping[str, str]] = {
    "credentials": {
        "server_url": _TEXT,
        "media_url": _TEXT,
        "client_id": _TEXT,
        "client_secret": _TEXT,
        "jwt": _TEXT,
        "file": _TEXT,
    },
    "mount": {
        "max_wait": _NUMBER,
        "allow_other": _FLAG,
        "uid": _NAME,
        "gid": _NAME,
        "umask": _TEXT,
        "read_only": _FLAG,
        "read_write": _FLAG,
        "allow_purge": _FLAG,
        "delete_limit": _INTEGER,
        "send": _FLAG,
        "list_control": _FLAG,
        "fs_subtype": _TEXT,
        "offline": _FLAG,
        "keep_purged": _FLAG,
        "fast_wait": _FLAG,
        "keep_listings": _FLAG,
        "preload": _FLAG,
        "wait_online": _NUMBER,
        "metrics": _TEXT,
        "metrics_textfile": _TEXT,
        "notify": _FLAG,
        "bookmark": _FLAG,
    },
    "cache": {
        "directory": _TEXT,
        "size": _SIZE,
        "max_content": _SIZE,
        "shared": _TEXT,
        "shared_options": _TEXT,
        "shared_wait": _NUMBER,
    },
    "quota": {"ledger": _TEXT, "password_file": _TEXT, "ca_file": _TEXT},
    "crawlers": {"names": _TEXTS, "also": _TEXTS, "policy": _TEXT},
}
"""The keys of each table, with the kind of their values."""
_POOL = "pool"
_POOL_KEYS: Mapping[str, str] = {"name": _TEXT, "client_id": _TEXT, "client_secret": _TEXT, "jwt": _TEXT}
"""The one array of tables, and the keys of each."""
_ACCOUNT = "account"
_ACCOUNT_KEYS: Mapping[str, str] = {
    "server_url": _TEXT,
    "client_id": _TEXT,
    "client_secret": _TEXT,
    "jwt": _TEXT,
}
"""The one table of tables, ``[account.NAME]``, and the keys of each."""
_LIMITS = "limits"
"""The one table whose keys are not fixed: the API says that the names of usage plan groups will change."""
_SECRETS = ("client_secret", "jwt")
"""The last part of the keys of secrets."""

_SYNTAX_AT = re.compile(r"(?P<what>.*) \(at line (?P<line>\d+), column \d+\)")
"""The text of a syntax error of tomllib, which has the line as an attribute only from Python 3.14 on."""


@attrs.frozen
class Found:
    """A value and its source."""

    value: Any = attrs.field(repr=False)
    """The value as its source has it."""
    where: str
    """The name of its source for an error: an option, a variable, or file, line and key."""


@attrs.frozen
class ConfigFile:
    """The values of a config file, of the right types."""

    values: Mapping[str, Found] = attrs.field(factory=dict)
    """By dotted key, such as ``cache.size``."""

    def get(self, key: str) -> Found | None:
        """The value of `key`, None when the file does not set it."""
        return self.values.get(key)

    def pool(self) -> Sequence[Mapping[str, Found]]:
        """The ``[[pool]]`` tables; each has a name."""
        tables: dict[str, dict[str, Found]] = {}
        for key, found in self.values.items():
            if key.startswith(_POOL + "."):
                _pool, number, field = key.split(".")
                tables.setdefault(number, {})[field] = found
        return tuple(tables.values())

    def account(self, name: str) -> Mapping[str, Found]:
        """The table ``[account.NAME]``; empty without one."""
        prefix = f"{_ACCOUNT}.{name}."
        return {
            key.removeprefix(prefix): found
            for key, found in self.values.items()
            if key.startswith(prefix) and key.removeprefix(prefix) in _ACCOUNT_KEYS
        }

    def accounts(self) -> Sequence[str]:
        """The names of the tables ``[account.NAME]`` that have a key."""
        keys = (key for key in self.values if key.startswith(_ACCOUNT + "."))
        return tuple(dict.fromkeys(key.removeprefix(_ACCOUNT + ".").rpartition(".")[0] for key in keys))

    def limits(self) -> Mapping[str, Found]:
        """The table of limits, by name of usage plan group."""
        prefix = _LIMITS + "."
        return {
            key.removeprefix(prefix): found for key, found in self.values.items() if key.startswith(prefix)
        }


def read_config(path: Path, warn: Callable[[str], None]) -> ConfigFile:
    """The values in the file at `path`; an empty file if it does not exist.

    `warn` gets a line when the file holds secrets and others may read it.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or has an unknown key or a wrong type.
    """
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            text = file.read().decode()
    except FileNotFoundError:
        return ConfigFile()
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 text; save it as UTF-8") from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(_syntax_error(path, text, exc)) from exc
    config = ConfigFile(_checked(document, path, text))
    if mode & 0o077 and any(key.rpartition(".")[2] in _SECRETS for key in config.values):
        warn(f"{path} holds secrets and others may read it; run: chmod 600 {path}")
    return config


def _syntax_error(path: Path, text: str, error: tomllib.TOMLDecodeError) -> str:
    match = _SYNTAX_AT.fullmatch(str(error))
    if match is not None:
        return f"{path} line {match['line']}: {match['what']}"
    # tomllib found the mistake only at the end of the file: a string or an array is not closed. It begins
    # after the longest beginning of the file that is TOML.
    lines = text.split("\n")
    good = next((count for count in range(len(lines) - 1, 0, -1) if _document(lines[:count]) is not None), 0)
    return f"{path} line {good + 1}: {str(error).removesuffix(' (at end of document)')}"


def _document(lines: Sequence[str]) -> Any:
    """The TOML document in `lines`; None when they are not TOML."""
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return None


def _checked(document: Mapping[str, Any], path: Path, text: str) -> Mapping[str, Found]:
    values: dict[str, Found] = {}
    for table, content in document.items():
        at = f"{path} line {_line_of((table,), text)}"
        if table == _POOL:
            values |= _checked_pool(content, path, text)
            continue
        if table == _ACCOUNT:
            values |= _checked_accounts(content, path, text)
            continue
        if table not in _TABLES and table != _LIMITS:
            if _home_of(table) and not isinstance(content, dict):
                raise ConfigError(f"{at}: '{table}' is in no table; write {_home_of(table)} above it")
            known = [*_TABLES, _LIMITS, _POOL, _ACCOUNT]
            raise ConfigError(f"{at}: unknown table '{table}'{did_you_mean(table, known)}")
        if not isinstance(content, dict):
            raise ConfigError(f"{at}: '{table}' must be a table: write [{table}] on a line of its own")
        for key, value in content.items():
            at = f"{path} line {_line_of((table, key), text)}"
            _check(key, value, {key: _INTEGER} if table == _LIMITS else _TABLES[table], f"{table}.{key}", at)
            values[f"{table}.{key}"] = Found(value, f"{at}: '{table}.{key}'")
    return values


def _check(key: str, value: object, kinds: Mapping[str, str], name: str, at: str) -> None:
    """Checks that a table, whose keys have these kinds of values, may have `value` as `key`.

    Errors call it `name`, and say where it is: `at`.

    Raises:
        ConfigError: The key is unknown, or its value is of another kind.
    """
    if key not in kinds:
        home = f"; it belongs into {_home_of(key)}" if _home_of(key) else did_you_mean(key, kinds)
        raise ConfigError(f"{at}: unknown key '{name}'{home}")
    if not _is_kind(value, kinds[key]):
        raise ConfigError(f"{at}: '{name}' must be {kinds[key]}")


def _home_of(key: str) -> str:
    """The tables that have `key`, for an error; empty if none has."""
    return " or ".join(f"[{table}]" for table, keys in _TABLES.items() if key in keys)


def _checked_accounts(content: object, path: Path, text: str) -> Mapping[str, Found]:
    """The values of the tables ``[account.NAME]``, by keys such as ``account.work.jwt``."""
    values: dict[str, Found] = {}
    at = f"{path} line {_line_of((_ACCOUNT,), text)}"
    if not isinstance(content, dict) or not all(isinstance(table, dict) for table in content.values()):
        raise ConfigError(f"{at}: 'account' must have a table for each name: write [account.work] on a line")
    for name, table in content.items():
        for key, value in table.items():
            at = f"{path} line {_line_of((_ACCOUNT, name, key), text)}"
            _check(key, value, _ACCOUNT_KEYS, f"{_ACCOUNT}.{key}", at)
            values[f"{_ACCOUNT}.{name}.{key}"] = Found(value, f"{at}: 'account.{name}.{key}'")
    return values


def _checked_pool(content: object, path: Path, text: str) -> Mapping[str, Found]:
    """The values of the ``[[pool]]`` tables, by keys such as ``pool.0.name``."""
    values: dict[str, Found] = {}
    at = f"{path} line {_line_of((_POOL,), text)}"
    if not isinstance(content, list) or not all(isinstance(table, dict) for table in content):
        raise ConfigError(f"{at}: 'pool' must be a list of tables: write [[pool]] on a line of its own")
    for number, table in enumerate(content):
        for key, value in table.items():
            at = f"{path} line {_line_of((_POOL, number, key), text)}"
            _check(key, value, _POOL_KEYS, f"{_POOL}.{key}", at)
            values[f"{_POOL}.{number}.{key}"] = Found(value, f"{at}: 'pool.{key}'")
        at = f"{path} line {_line_of((_POOL, number), text)}"
        names = [each.get("name") for each in content[: number + 1]]
        if names[-1] is None:
            raise ConfigError(f'{at}: a [[pool]] needs a name, such as name = "second"')
        if names.count(names[-1]) > 1:
            raise ConfigError(f"{at}: a second [[pool]] has the same name; give it another one")
    return values


def did_you_mean(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """A question such as ``" (did you mean 'mount'?)"``; empty when no word of `known` is similar to `word`.

    `likeness` is the least ratio of `difflib.get_close_matches`, 0 to 1; names that begin alike need more.
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=likeness)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _is_kind(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == _FLAG
    if isinstance(value, str):
        return kind in (_TEXT, _SIZE, _NAME)
    if isinstance(value, float):
        return kind == _NUMBER
    if isinstance(value, list):
        return kind == _TEXTS and all(isinstance(item, str) for item in value)
    return isinstance(value, int) and kind in (_NUMBER, _SIZE, _INTEGER, _NAME)


def _line_of(keys: tuple[str | int, ...], text: str) -> int:
    """The line, counted from 1, on which the value under `keys` ends.

    tomllib does not tell the line of a key. The shortest beginning of the file that is TOML and has the key
    ends on that line, in whatever form the key is written (dotted, quoted, inline). This takes quadratic
    time, and a config file has tens of lines.
    """
    lines = text.split("\n")
    for count in range(1, len(lines)):
        node = _document(lines[:count])
        for key in keys:
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):
                break
        else:
            return count
    return len(lines)
