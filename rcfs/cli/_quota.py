"""`rcfs quota`: shows and resets the recorded limits of a login."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from rcfs.cli._options import examples, json_option, limit_option, state_dir_option
from rcfs.cli._output import confirmed, say, warn
from rcfs.cli._settings import read_settings
from rcfs.config import Settings
from rcfs.errors import StoreError
from rcfs.host import Registry
from rcfs.model import format_duration

if TYPE_CHECKING:
    from rcfs.quota import GroupState

_RISK = (
    "If RingCentral is still refusing requests, the next request of rcfs restarts the penalty, for all"
    " programs of the login."
)


@click.command(
    "quota",
    epilog=examples(
        "rcfs quota",
        "rcfs quota --json | jq '.[].groups'",
        "rcfs quota --reset           ask, then reset",
        "rcfs quota --reset --yes     for a script",
    ),
)
@state_dir_option
@limit_option
@click.option("--reset", is_flag=True, help="Forget the limits that the server reported, and all penalties.")
@click.option("-y", "--yes", is_flag=True, help="Skip the question.")
@json_option
def quota(state_dir: Path | None, limit: tuple[str, ...], *, reset: bool, yes: bool, as_json: bool) -> None:
    """Show the limits of your logins, and how much is used.

    Without credentials it shows every login in the state directory and of the mounts that are up. It asks the
    server nothing. Mounts may stay up: they notice a reset within two seconds.
    """
    settings = read_settings({"state_dir": state_dir, "limit": limit})
    registry = Registry(settings.state_dir)
    logins = _logins(settings, registry)
    if yes and not reset:
        raise click.UsageError("--yes needs --reset")
    of = "your login" if len(logins) == 1 else f"{len(logins)} logins"
    names = {each.credentials.identity: each.name for each in settings.pool if each.credentials}
    question = f"{_RISK}\nForget the limits and penalties of {of}?"
    if reset and logins and not confirmed(question, f"reset the quota. {_RISK}", yes=yes):
        return
    documents = [
        _document(each, login, names.get(login, ""), registry, reset=reset) for each, login in logins
    ]
    if as_json:
        say(json.dumps(documents, indent=2))
    elif not documents:
        say("rcfs has sent no request yet, so it knows no limits.")
    else:
        for document in documents:
            say("\n".join(_lines(document, with_title=len(documents) > 1)))
        if reset:
            say("Forgot the limits that the server reported, and all penalties.")


def _logins(settings: Settings, registry: Registry) -> Sequence[tuple[Settings, str]]:
    """The logins of credentials and pool, else all on this disk; each with the settings of its ledger."""
    if settings.credentials is not None:
        used = [settings.credentials, *(entry.credentials for entry in settings.pool)]
        return [(settings, each.identity) for each in used if each is not None]
    from rcfs.store import credentials_in_ledger

    # A demo has its own state directory.
    elsewhere = {
        (mount.state_dir, mount.login)
        for mount in registry.live()
        if mount.login and mount.state_dir not in (None, settings.state_dir)
    }
    return [
        *((settings, login) for login in credentials_in_ledger(settings.files.ledger)),
        *((attrs.evolve(settings, state_dir=folder), login) for folder, login in sorted(elsewhere, key=str)),
    ]


def _document(
    settings: Settings, login: str, name: str, registry: Registry, *, reset: bool
) -> dict[str, Any]:
    """The limits of `login`, `name` in the pool, as a JSON object; `reset` forgets them first."""
    from rcfs.assembly.ledger import open_existing_ledger
    from rcfs.store import peer_names

    with open_existing_ledger(settings, login, warn) as (ledger, clock, server):
        if reset:
            try:
                ledger.reset()
            except TimeoutError as exc:
                raise StoreError("another process has locked the quota ledger; run this again") from exc
        states = ledger.states(clock())
        others = [owner for owner in ledger.book.owners if owner != ledger.owner]
    now = datetime.now(UTC).timestamp()
    return {
        "login": login,
        "pool": name or None,
        "mountpoints": [str(mount.mountpoint) for mount in registry.live() if mount.login == login],
        "groups": [_group(state, now) for state in states],
        "ledger": None if server is None else {"server": str(server), "peers": peer_names(others)},
    }


def _group(state: "GroupState", now_s: float) -> dict[str, Any]:
    until = None
    if state.frozen_for_s > 0:
        until = datetime.fromtimestamp(now_s + state.frozen_for_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "group": state.group,
        "used": state.used,
        "limit": state.limit,
        "window_s": state.window_s,
        "told_by_server": state.is_learned,
        "free_in_s": state.next_free_s,
        "frozen_for_s": state.frozen_for_s,
        "frozen_until": until,
        "in_flight": state.in_flight,
    }


def _lines(document: dict[str, Any], *, with_title: bool) -> list[str]:
    """The lines for the limits of one login."""
    lines = []
    if document["ledger"] is not None:
        server, peers = document["ledger"]["server"], document["ledger"]["peers"]
        lines.append(f"shared through {server} by {', '.join(peers) or 'no process now'}")
    if with_title:
        name = document["pool"] or document["login"][:8]
        lines.append(f"{', '.join(document['mountpoints']) or f'login {name}'}:")
    groups = document["groups"]
    width = max((len(group["group"]) for group in groups), default=0)
    for group in groups:
        window = format_duration(group["window_s"])
        source = "from the server" if group["told_by_server"] else "assumed"
        line = f"{group['group']:<{width}}  {group['used']} of {group['limit']} used in {window} ({source})"
        if group["frozen_until"]:
            line += f", penalty until {group['frozen_until']} ({format_duration(group['frozen_for_s'])})"
        lines.append(line)
    return lines
