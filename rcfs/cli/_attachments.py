"""The attachments at and below some paths: from the mount that shows them, else from an engine of our own.

A mount has its tree already, so walking it costs no request, while a login is one of five a minute.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import attrs

from rcfs.cli._treepaths import TreePath, not_in_tree
from rcfs.config import Settings
from rcfs.errors import ConfigError, MountError, RcfsError
from rcfs.host import run_limited, script_command
from rcfs.model import ContentKey

_WALK_WITHIN_S = 300.0
"""Longest time for a walk, in seconds: 50,000 messages take seconds, but mailboxes may have to load first."""


@attrs.frozen
class Found:
    """An attachment in the tree."""

    path: str
    """Its path in the tree."""
    key: ContentKey
    """The key of its content."""


def attachments_of(settings: Settings, places: Sequence[TreePath]) -> tuple[Found, ...]:
    """The attachments at and below `places`, each once.

    Raises:
        ConfigError: A place does not exist, or rcfs must log in and has no credentials.
        MountError: The mount does not answer.
        PlatformError: The server refused, failed or could not be reached.
    """
    found: dict[ContentKey, Found] = {}
    for place in places:
        if place.mount is not None:
            for each in _in_mount(place, place.mount.mountpoint):
                found.setdefault(each.key, each)
    others = [place for place in places if place.mount is None]
    if others:
        for each in _in_account(settings, others):
            found.setdefault(each.key, each)
    return tuple(found.values())


def known_paths(settings: Settings) -> dict[ContentKey, str]:
    """The paths of all attachments of the account of `settings` in the local index, without a request.

    Empty without credentials, which name the account, and for an account that is not in the index.
    """
    if settings.credentials is None:
        return {}
    try:
        found = _in_account(attrs.evolve(settings, offline=True), [TreePath("", ())])
    except RcfsError:
        return {}
    return {each.key: each.path for each in found}


def _in_mount(place: TreePath, mountpoint: Path) -> list[Found]:
    top = mountpoint.joinpath(*place.parts)
    done = run_limited(script_command("walk", str(top)), _WALK_WITHIN_S)
    if done is None:
        raise MountError(f"the mount at {mountpoint} does not answer; `rcfs status` shows its state")
    if done.returncode:
        raise ConfigError(f"{place.text} does not exist; check the path")
    found = []
    for line in done.stdout.splitlines():
        path, key = json.loads(line)
        found.append(Found(str(Path(path).relative_to(mountpoint)), ContentKey.parse(key)))
    return found


def _in_account(settings: Settings, places: Sequence[TreePath]) -> list[Found]:
    import trio

    from rcfs.assembly.engine import engine_of, open_stores
    from rcfs.host.logs import EventLog
    from rcfs.model import Filter
    from rcfs.pull import Pull, Walk
    from rcfs.transport import Recorder
    from rcfs.tree import ContentFile

    paths = [place.parts for place in places]
    recorder = Recorder(EventLog())
    found: list[Found] = []

    async def look() -> None:
        async with engine_of(settings, recorder, stores) as engine:
            root, failures = await Pull(engine).tree(paths)
            walk = Walk(root, paths, Filter())
            found.extend(
                Found(item.path, item.node.key) for item in walk if isinstance(item.node, ContentFile)
            )
            if walk.unknown:
                raise not_in_tree(walk.unknown[0])
            if failures and not found:
                raise failures[0].error

    with open_stores(settings, recorder) as stores:
        trio.run(look)
    return found
