"""The paths of a command line that name a part of the tree: paths in the tree itself, or in a mount of it.

This module follows symbolic links itself and stops at mount points. It touches nothing inside a mount, since
a mount that hangs would never answer.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from rcfs.cli._settings import read_settings
from rcfs.config import Credentials, Settings
from rcfs.errors import ConfigError
from rcfs.host import FSTYPE, MountRecord, Registry, read_mounts

_MOST_LINKS = 40
"""Symbolic links followed in one path. Source: path_resolution(7), since Linux 4.2."""


@attrs.frozen
class TreePath:
    """A place in the tree."""

    text: str
    """The path as it was typed."""
    parts: tuple[str, ...]
    """Its path below the root, name by name; empty for the root."""
    mount: MountRecord | None = None
    """The mount that the path is in; None for a path in the tree itself."""


def not_in_tree(parts: Sequence[str]) -> ConfigError:
    """An error that reports a path which is not in the tree."""
    return ConfigError(f"'{'/'.join(parts)}' is not in the tree; `rcfs search` or a mount shows the paths")


def read_places(
    texts: Sequence[str], options: Mapping[str, Any]
) -> tuple[Settings, list[TreePath], Sequence[MountRecord]]:
    """The settings of a command with `options`, the places that its arguments `texts` name, and all mounts.

    The settings have the directories of the mount that the places are in, as in `settings_of`.

    Raises:
        ConfigError: A setting is wrong, or as in `places_of` and `settings_of`.
    """
    settings = read_settings(options)
    records = Registry(settings.state_dir).live()
    places = places_of(texts, records, settings, cache_dir=options["cache_dir"])
    return settings_of(settings, places), places, records


def read_mounted(options: Mapping[str, Any]) -> Settings:
    """The settings of a command with `options` and without paths; like those of the mount if just one is up.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings, _places, _records = read_places((), {"cache_dir": None, **options})
    return settings


def locate(text: str, records: Iterable[MountRecord]) -> TreePath:
    """The place that `text` names: in one of the mounts of `records`, else in the tree itself.

    Raises:
        ConfigError: `text` is an absolute path outside these mounts.
    """
    from rcfs.tree import tree_parts

    mounts = {record.mountpoint: record for record in records}
    real, rest = resolve(Path(text), mounts)
    if real in mounts:
        return TreePath(text, tree_parts("/".join(rest)), mounts[real])
    if text.startswith("/"):
        raise ConfigError(
            f"{text} is not in a mount of rcfs that is up; write a path of the tree, such as"
            " '101 Jane Smith/Voicemail'"
        )
    return TreePath(text, tree_parts(text))


def places_of(
    texts: Sequence[str], records: Sequence[MountRecord], settings: Settings, *, cache_dir: Path | None
) -> list[TreePath]:
    """The places that `texts` name. If exactly one mount is up, a path of the tree is a place in that mount.

    Without texts, the root of that mount. A mount does not count if it has another login than `settings`, or
    another cache than `cache_dir`, the option of the command line.

    Raises:
        ConfigError: As in `locate`.
    """
    places = [locate(text, records) for text in texts]
    (mount,) = records if len(records) == 1 else (None,)
    if mount is None or (settings.credentials and settings.credentials.identity != mount.login):
        return places
    if cache_dir is not None and settings.cache_dir != mount.cache_dir:
        return places
    if not texts:
        return [TreePath("", (), mount)]
    return [place if place.mount else attrs.evolve(place, mount=mount) for place in places]


def settings_of(settings: Settings, places: Iterable[TreePath]) -> Settings:
    """`settings` with the cache and state directory of the mount that `places` are in, if they are in one.

    For the mount of a simulated account, also with its credentials.

    Raises:
        ConfigError: The places are in mounts with different directories.
    """
    places = list(places)
    found = {
        (place.mount.cache_dir or settings.cache_dir, place.mount.state_dir or settings.state_dir)
        if place.mount is not None
        else (settings.cache_dir, settings.state_dir)
        for place in places
    }
    if len(found) > 1:
        raise ConfigError(
            "the paths are in mounts with different caches; name the paths of one mount at a time"
        )
    for place in places:
        if place.mount is not None and place.mount.simulated is not None:
            settings = attrs.evolve(settings, credentials=Credentials(**place.mount.simulated))
    for cache_dir, state_dir in found:
        return attrs.evolve(settings, cache_dir=cache_dir, state_dir=state_dir)
    return settings


def resolve(path: Path, mountpoints: Iterable[Path]) -> tuple[Path, tuple[str, ...]]:
    """`path` up to the first of `mountpoints`, symbolic links followed, and the names after that mount point.

    Raises:
        ConfigError: The links form a circle.
    """
    stops = frozenset(mountpoints)
    pending = list(reversed(path.absolute().parts[1:]))
    real, links = Path("/"), 0
    inside: list[str] = []
    while pending:
        name = pending.pop()
        if real in stops and (inside or name != ".."):
            if name == "..":
                inside.pop()
            else:
                inside.append(name)
            continue
        if name == "..":
            real = real.parent
            continue
        try:
            target = Path(os.readlink(real / name))  # noqa: PTH115 - without following what it leads to
        except OSError:
            real /= name  # not a link, or missing
            continue
        links += 1
        if links > _MOST_LINKS:
            raise ConfigError(f"the symbolic links of {path} form a circle; correct one of them")
        if target.is_absolute():
            real = Path("/")
        pending.extend(reversed(target.parts[target.is_absolute() :]))
    return real, tuple(inside)


def check_outside(path: Path, records: Iterable[MountRecord]) -> None:
    """Checks that `path` is not in a mount of rcfs.

    Raises:
        ConfigError: `path` is in a mount.
    """
    mountpoints = {record.mountpoint for record in records}
    mountpoints |= {mount.path for mount in read_mounts() if mount.fstype == FSTYPE}
    real, _rest = resolve(path, mountpoints)
    if real in mountpoints:
        raise ConfigError(f"{path} is in the mount at {real}, which is read-only; choose another directory")
