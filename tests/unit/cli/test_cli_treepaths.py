"""Whose cache and record of fetches a path means."""

from pathlib import Path

import attrs
import pytest

from rcfs.cli._registry import MountRecord
from rcfs.cli._settings import Settings
from rcfs.cli._treepaths import TreePath, settings_of
from rcfs.errors import ConfigError

SETTINGS = Settings(credentials=None, cache_dir=Path("/own/cache"), state_dir=Path("/own/state"))
RECORD = MountRecord(1, 2, Path("/mnt/rc"), "https://x", "2026-11-01T00:00:00Z")


def inside(cache: str, state: str) -> TreePath:
    record = attrs.evolve(RECORD, cache_dir=Path(cache), state_dir=Path(state))
    return TreePath("x", ("x",), record)


def test_a_path_in_a_mount_means_what_that_mount_keeps() -> None:
    demo = inside("/demo/cache", "/demo/state")
    chosen = settings_of(SETTINGS, [demo, demo])
    assert (chosen.cache_dir, chosen.state_dir) == (Path("/demo/cache"), Path("/demo/state"))


@pytest.mark.parametrize("places", [[], [TreePath("x", ("x",))], [TreePath("x", ("x",), RECORD)]])
def test_any_other_path_means_what_was_set(places: list[TreePath]) -> None:
    assert settings_of(SETTINGS, places) == SETTINGS


def test_paths_of_several_caches_are_refused() -> None:
    with pytest.raises(ConfigError, match="one mount at a time"):
        settings_of(SETTINGS, [TreePath("x", ("x",)), inside("/demo/cache", "/demo/state")])
