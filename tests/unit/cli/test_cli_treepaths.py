"""The cache and state directory that belong to a path."""

from pathlib import Path

import attrs
import pytest

from rcfs.cli._treepaths import TreePath, places_of, settings_of
from rcfs.config import Credentials, Settings
from rcfs.errors import ConfigError
from rcfs.host import MountRecord

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


OWN = Credentials("https://own", "id", "secret", "jwt")
SIMULATED = {"server_url": "http://127.0.0.1:1", "client_id": "i", "client_secret": "s", "jwt": "j"}
DEMO = attrs.evolve(RECORD, cache_dir=Path("/demo/cache"), state_dir=Path("/demo/state"), simulated=SIMULATED)


@pytest.mark.parametrize("texts", [[], ["101 Jane Smith/Fax"], ["/mnt/rc/101 Jane Smith"]])
def test_the_only_mount_is_meant(texts: list[str]) -> None:
    places = places_of(texts, [DEMO], SETTINGS, cache_dir=None)
    assert [place.mount for place in places] == [DEMO]
    chosen = settings_of(SETTINGS, places)
    assert chosen.cache_dir == Path("/demo/cache")
    assert chosen.require_credentials() == Credentials(**SIMULATED)


def test_what_may_be_another_account_or_cache_is_not_taken_for_the_only_mount() -> None:
    other = attrs.evolve(DEMO, mountpoint=Path("/mnt/other"))
    own = attrs.evolve(SETTINGS, credentials=OWN)
    assert places_of([], [], SETTINGS, cache_dir=None) == []
    assert places_of([], [DEMO, other], SETTINGS, cache_dir=None) == []
    assert places_of([], [DEMO], own, cache_dir=None) == []
    assert places_of([], [DEMO], SETTINGS, cache_dir=SETTINGS.cache_dir) == []
    mine = attrs.evolve(RECORD, login=OWN.identity)
    assert [place.mount for place in places_of([], [mine], own, cache_dir=None)] == [mine]
    # A path in a mount is in it, whatever else is configured.
    (place,) = places_of(["/mnt/rc/x"], [DEMO, other], own, cache_dir=None)
    assert settings_of(own, [place]).require_credentials() == Credentials(**SIMULATED)
