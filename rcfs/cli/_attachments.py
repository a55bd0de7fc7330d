"""The attachments at and below some paths: asked of the mount that they are in, else of the server.

A mount knows its tree already, so asking it costs nothing, and a login is one of five a minute.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import attrs

from rcfs.cli._treepaths import TreePath
from rcfs.config import Settings
from rcfs.errors import ConfigError, MountError, RcfsError
from rcfs.host import run_limited, script_command
from rcfs.model import ContentKey

_WALK_WITHIN_S = 300.0
"""A walk of 50,000 messages takes seconds, and may wait for mailboxes that were never looked into."""


@attrs.frozen
class Found:
    """An attachment."""

    path: str
    """Its path in the tree."""
    key: ContentKey
    """The identity of its bytes."""


def attachments_of(settings: Settings, places: Sequence[TreePath]) -> tuple[Found, ...]:
    """The attachments at and below `places`, each once.

    Raises:
        ConfigError: There is no such place, or the credentials are missing that it takes to look.
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
    """The paths of all attachments that the index knows of the account of `settings`, without a request.

    Empty when there are no credentials to tell the account, or nothing is known of it.
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
        raise MountError(f"the mount at {mountpoint} does not answer")
    if done.returncode:
        raise ConfigError(f"there is no {place.text}")
    found = []
    for line in done.stdout.splitlines():
        path, key = json.loads(line)
        found.append(Found(str(Path(path).relative_to(mountpoint)), ContentKey.parse(key)))
    return found


def _in_account(settings: Settings, places: Sequence[TreePath]) -> list[Found]:
    import structlog
    import trio

    from rcfs.cli._serve import engine_of, open_stores
    from rcfs.pull import Filter, Pull, Walk
    from rcfs.transport import Recorder
    from rcfs.tree import AttachmentFile

    paths = [place.parts for place in places]
    recorder = Recorder(structlog.get_logger("rcfs"))
    found: list[Found] = []

    async def look() -> None:
        async with engine_of(settings, recorder, stores) as engine:
            root, failures = await Pull(engine).tree(paths)
            walk = Walk(root, paths, Filter())
            found.extend(
                Found(item.path, item.node.key) for item in walk if isinstance(item.node, AttachmentFile)
            )
            if walk.unknown:
                raise ConfigError(f"there is no {'/'.join(walk.unknown[0])} in the tree")
            if failures and not found:
                raise failures[0].error

    with open_stores(settings, recorder) as stores:
        trio.run(look)
    return found
