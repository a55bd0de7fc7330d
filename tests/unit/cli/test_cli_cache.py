import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from rcfs.model import AttachmentKey
from rcfs.store import ContentCache, ContentInfo

KEY = AttachmentKey("1", 2, 3, 4)


@pytest.fixture
def mounted(home: Path) -> ContentCache:
    """The cache as a mount that is up has it open, with one content of 1,000 bytes."""
    directory = home / ".cache" / "rcfs"
    cache = ContentCache.open(directory, size_limit_bytes=1 << 30, warn=pytest.fail)
    assert cache.put_info(KEY, ContentInfo(1000, "audio/x-wav"))
    chunk = cache.put_chunk(KEY, 0, b"x" * 1000)
    assert chunk is not None
    chunk.close()
    return cache


def test_info(run: Callable[..., Result], mounted: ContentCache, home: Path) -> None:
    result = run("cache", "info")
    assert result.exit_code == 0
    assert f"Directory:  {home}/.cache/rcfs\n" in result.stdout
    assert "Contents:   1\n" in result.stdout
    assert " of 10.0 GiB\n" in result.stdout
    fields = json.loads(run("cache", "info", "--json").stdout)
    assert fields["directory"] == f"{home}/.cache/rcfs"
    assert (fields["contents"], fields["limit_bytes"]) == (1, 10 << 30)
    assert fields["size_bytes"] >= 1000
    mounted.close()


def test_the_directory_and_size_of_the_settings_count(
    run: Callable[..., Result], tmp_path: Path, mounted: ContentCache
) -> None:
    env = {"RCFS_CACHE_SIZE": "2GiB"}
    fields = json.loads(
        run("cache", "info", "--json", "--cache-dir", str(tmp_path / "other"), env=env).stdout
    )
    assert (fields["directory"], fields["contents"]) == (str(tmp_path / "other"), 0)
    assert fields["limit_bytes"] == 2 << 30
    mounted.close()


def test_clear_while_mounted(run: Callable[..., Result], mounted: ContentCache) -> None:
    result = run("cache", "clear", "--yes", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["freed_bytes"] >= 1000
    assert mounted.contains(KEY) == "no"
    assert mounted.put_info(KEY, ContentInfo(0, "text/plain")), "the mount goes on"
    mounted.close()


def test_clear_needs_a_terminal_or_yes(run: Callable[..., Result], mounted: ContentCache) -> None:
    result = run("cache", "clear", typed="y\n")
    assert result.exit_code == 2
    assert "stdin is not a terminal, so rcfs cannot ask; give --yes to clear the cache" in result.stderr
    assert mounted.contains(KEY) == "yes"
    mounted.close()


@pytest.mark.parametrize(("typed", "kept"), [("y\n", "no"), ("n\n", "yes"), ("\n", "yes")])
def test_clear_asks(
    run: Callable[..., Result],
    mounted: ContentCache,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    kept: str,
) -> None:
    monkeypatch.setattr("rcfs.cli._output.is_interactive", lambda: True)
    result = run("cache", "clear", typed=typed)
    assert result.exit_code == 0
    assert "Delete 1 contents (" in result.stderr
    assert mounted.contains(KEY) == kept
    mounted.close()


def test_a_cache_directory_that_is_a_file(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("cache", "info", "--cache-dir", str(tmp_path / "file"))
    assert result.exit_code == 6
    assert str(tmp_path / "file") in result.stderr
