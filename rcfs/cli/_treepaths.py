"""What people name when they name a part of the tree: a path of the tree itself, or of a mount that shows it.

A path is followed here name by name, and no further than to the mount point: what lies in a mount is not
touched, because a mount that hangs would never answer.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from rcfs.config import Credentials, Settings
from rcfs.errors import ConfigError
from rcfs.host import FSTYPE, MountRecord, read_mounts

_MOST_LINKS = 40
"""Symbolic links followed in one path. Source: path_resolution(7), since Linux 4.2."""


@attrs.frozen
class TreePath:
    """A place in the tree."""

    text: str
    """As it was named."""
    parts: tuple[str, ...]
    """Its path below the root, name by name; empty for the root."""
    mount: MountRecord | None = None
    """The mount in which it was named; None when it was named as a path of the tree."""


def locate(text: str, records: Iterable[MountRecord]) -> TreePath:
    """The place that `text` names: in one of the mounts of `records`, else in the tree itself.

    Raises:
        ConfigError: `text` is an absolute path outside of them.
    """
    from rcfs.tree import tree_parts

    mounts = {record.mountpoint: record for record in records}
    real, rest = resolve(Path(text), mounts)
    if real in mounts:
        return TreePath(text, tree_parts("/".join(rest)), mounts[real])
    if text.startswith("/"):
        raise ConfigError(
            f"{text} is not in a mount of rcfs that is up; name it as a mount shows it, such as"
            " '101 Jane Smith/Voicemail'"
        )
    return TreePath(text, tree_parts(text))


def places_of(
    texts: Sequence[str], records: Sequence[MountRecord], settings: Settings, *, cache_dir: Path | None
) -> list[TreePath]:
    """The places that `texts` name; a path of the tree is in the mount that is up, if it is the only one.

    Without a text it is the root of that mount. Another account, which the credentials of `settings` are for,
    or another cache, which `cache_dir` was given for, is not in it.

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

    For a simulated account they have its credentials, too.

    Raises:
        ConfigError: They are in several, with different directories.
    """
    places = list(places)
    found = {
        (place.mount.cache_dir or settings.cache_dir, place.mount.state_dir or settings.state_dir)
        if place.mount is not None
        else (settings.cache_dir, settings.state_dir)
        for place in places
    }
    if len(found) > 1:
        raise ConfigError("the paths are in places with different caches; name those of one mount at a time")
    for place in places:
        if place.mount is not None and place.mount.simulated is not None:
            settings = attrs.evolve(settings, credentials=Credentials(**place.mount.simulated))
    for cache_dir, state_dir in found:
        return attrs.evolve(settings, cache_dir=cache_dir, state_dir=state_dir)
    return settings


def resolve(path: Path, mountpoints: Iterable[Path]) -> tuple[Path, tuple[str, ...]]:
    """`path` with all symbolic links followed as far as one of `mountpoints`, and the names after that.

    Raises:
        ConfigError: It leads in circles.
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
            real /= name  # no link, or nothing there
            continue
        links += 1
        if links > _MOST_LINKS:
            raise ConfigError(f"{path} leads through symbolic links in circles")
        if target.is_absolute():
            real = Path("/")
        pending.extend(reversed(target.parts[target.is_absolute() :]))
    return real, tuple(inside)


def check_outside(path: Path, records: Iterable[MountRecord]) -> None:
    """Returns if `path` is not in a mount of rcfs.

    Raises:
        ConfigError: It is.
    """
    mountpoints = {record.mountpoint for record in records}
    mountpoints |= {mount.path for mount in read_mounts() if mount.fstype == FSTYPE}
    real, _rest = resolve(path, mountpoints)
    if real in mountpoints:
        raise ConfigError(f"{path} is in the mount at {real}, which is read-only; choose another directory")
