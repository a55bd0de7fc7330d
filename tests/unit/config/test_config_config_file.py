from pathlib import Path

import pytest

from rcfs.config import ConfigFile, read_config
from rcfs.errors import ConfigError

SECRET = "s3cr3t-of-the-app"

WHOLE = f"""\
# All that there is.
[credentials]
server_url = "https://platform.ringcentral.com"
media_url = "https://media.ringcentral.com"
client_id = "the-app"
client_secret = "{SECRET}"
jwt = "eyJ"

[mount]
max_wait = 60
allow_other = true
fs_subtype = "rcfs"

[cache]
directory = "~/cache"
size = "10GiB"

[limits]
medium = 40
anything-new = 5
"""


def read(tmp_path: Path, text: str, mode: int = 0o600) -> tuple[ConfigFile, list[str]]:
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(mode)
    warnings: list[str] = []
    return read_config(path, warnings.append), warnings


def test_a_whole_file(tmp_path: Path) -> None:
    config, warnings = read(tmp_path, WHOLE)
    found = config.get("mount.max_wait")
    assert found is not None
    assert (found.value, found.where) == (60, f"{tmp_path}/config.toml line 10: 'mount.max_wait'")
    assert {name: found.value for name, found in config.limits().items()} == {"medium": 40, "anything-new": 5}
    assert warnings == []
    assert SECRET not in repr(config)


def test_no_file(tmp_path: Path) -> None:
    assert read_config(tmp_path / "absent" / "config.toml", pytest.fail).values == {}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[cache]\nsise = 1", "line 2: unknown key 'cache.sise' (did you mean 'size'?)"),
        ("\n\n[mount]\n\nzzz = 1\n", "line 5: unknown key 'mount.zzz'"),
        ("[cashe]\nsize = 1", "line 1: unknown table 'cashe' (did you mean 'cache'?)"),
        ("max_wait = 60", "line 1: 'max_wait' is in no table; write [mount] above it"),
        ("[cache]\nmax_wait = 60", "line 2: unknown key 'cache.max_wait'; it belongs into [mount]"),
        ("max_weight = 60", "line 1: unknown table 'max_weight'"),
        ("cache = 5", "line 1: 'cache' must be a table: write [cache] on a line of its own"),
        ("cache.sise = 1", "line 1: unknown key 'cache.sise' (did you mean 'size'?)"),
        ('# x\ncache = { "sise" = 1 }', "line 2: unknown key 'cache.sise' (did you mean 'size'?)"),
        ('[mount]\nmax_wait = "60"', "line 2: 'mount.max_wait' must be a number"),
        ("[mount]\nmax_wait = true", "line 2: 'mount.max_wait' must be a number"),
        ("[mount]\nallow_other = 1", "line 2: 'mount.allow_other' must be true or false"),
        ("[mount]\nfs_subtype = 1", "line 2: 'mount.fs_subtype' must be text"),
        ("[cache]\nsize = 1.5", "line 2: 'cache.size' must be a size"),
        ("[cache]\nsize = [\n1,\n]\n", "line 4: 'cache.size' must be a size"),
        ("[cache]\ndirectory = 1", "line 2: 'cache.directory' must be text"),
        ('[limits]\nlight = 1\nmedium = "40"', "line 3: 'limits.medium' must be a whole number"),
        ("[limits]\nmedium = 4.0", "line 2: 'limits.medium' must be a whole number"),
        ("[limits.medium]\nlimit = 4", "line 1: 'limits.medium' must be a whole number"),
        ("[credentials]\njwt = 12", "line 2: 'credentials.jwt' must be text"),
        ("[cache]\nsize = 1\nsize = 2", "line 3: Cannot overwrite a value"),
        ("[cache]\n\nsize 10", "line 3: Expected '=' after a key in a key/value pair"),
    ],
)
def test_a_mistake_is_told_with_line_and_key(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}/config.toml {error}"


def test_a_syntax_error_at_the_end_has_the_last_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml line 2: "):
        read(tmp_path, '[credentials]\njwt = """eyJ')


def test_no_error_repeats_a_secret(tmp_path: Path) -> None:
    for line in (f"jwtt = '{SECRET}'", f"jwt = ['{SECRET}']", f"jwt = '{SECRET}", f"jwt = {SECRET}"):
        with pytest.raises(ConfigError) as caught:
            read(tmp_path, f"[credentials]\n{line}\n")
        assert SECRET not in str(caught.value)
        assert "line 2" in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_config(path, pytest.fail)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_config(tmp_path, pytest.fail)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_secrets_that_others_may_read(tmp_path: Path, mode: int) -> None:
    _, warnings = read(tmp_path, WHOLE, mode)
    assert warnings == [
        f"{tmp_path}/config.toml holds secrets and others may read it; run: chmod 600 {tmp_path}/config.toml"
    ]


def test_no_secrets_may_be_read_by_all(tmp_path: Path) -> None:
    assert read(tmp_path, "[cache]\nsize = 1", 0o644)[1] == []
