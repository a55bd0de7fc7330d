"""contrib/config.toml names every setting that a file may hold, with its default."""

import re
import tomllib
from pathlib import Path

import attrs
import pytest

from rcfs.config import Settings, load_settings
from rcfs.config._config_file import _ACCOUNT_KEYS, _POOL_KEYS, _TABLES
from rcfs.model import PRIOR_PLANS

EXAMPLE = Path(__file__).parents[3] / "contrib" / "config.toml"
WITHOUT_DEFAULT = (
    "media_url",
    "file",
    "uid",
    "gid",
    "keep_purged",
    "names",
    "also",
    "shared",
    "shared_options",
    "ledger",
    "password_file",
    "ca_file",
    "metrics",
    "metrics_textfile",
)


def load(path: Path, text: str) -> Settings:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return attrs.evolve(load_settings({}, {}, path, warn=pytest.fail), config_path=None)


def test_the_example_names_every_setting(home: Path) -> None:
    sections = tomllib.loads(
        re.sub(r"^#(?=[\w\[])", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    limits = sections.pop("limits")
    assert [set(table) for table in sections.pop("pool")] == [set(_POOL_KEYS)]
    assert {name: set(table) for name, table in sections.pop("account").items()} == {
        "work": set(_ACCOUNT_KEYS)
    }
    assert {name: set(keys) for name, keys in sections.items()} == {
        name: set(keys) for name, keys in _TABLES.items()
    }
    assert limits == {str(group): plan.limit for group, plan in PRIOR_PLANS.items()}


def test_the_example_changes_nothing(home: Path, tmp_path: Path) -> None:
    # There is no pool and no second account by default.
    text = re.sub(
        r"^#\[(?:\[pool\]|account\.work)\].*\n(?:#.*\n)+",
        "",
        EXAMPLE.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    nothing = load(tmp_path / "empty.toml", "")
    assert load(tmp_path / "as-it-is.toml", text) == nothing
    defaults = re.sub(rf"^#(?!(?:{'|'.join(WITHOUT_DEFAULT)}) )(?=\w)", "", text, flags=re.MULTILINE)
    assert load(tmp_path / "defaults.toml", defaults) in (nothing, attrs.evolve(nothing, wait_online_s=60.0))
