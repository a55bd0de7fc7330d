"""`rcfs export`: asks for message store reports and exports of team messaging, and lists and forgets them."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import attrs
import click

from rcfs._interrupt import loading
from rcfs.cli._forget import kept_accounts
from rcfs.cli._options import (
    SummarisingGroup,
    engine_options,
    examples,
    json_option,
    server_url_option,
    state_dir_option,
)
from rcfs.cli._output import confirmed, say, say_json, warn
from rcfs.cli._treepaths import read_mounted
from rcfs.config import Settings
from rcfs.errors import ConfigError
from rcfs.model import EXPORT_TYPES, Export, ExportKind, ExportQuery, ExportState

if TYPE_CHECKING:
    from rcfs.store import ExportBook

Place = tuple[ExportKind, str]
"""The kind and name of an export."""

_TYPES = {name.lower(): name for name in EXPORT_TYPES}
_UNCANCELLABLE = (
    "RingCentral has no request that cancels an export, so it continues there, and counts as one of at most"
    " two unfinished ones until it ends; `rcfs export forget` makes rcfs forget it"
)
_UNFINDABLE = (
    "RingCentral is making {names}, and no request lists reports: once it is forgotten, rcfs cannot find the"
    " result, and until it ends it counts as one of at most two unfinished ones. Forget it?"
)


class ExportName(click.ParamType[Place]):
    """The name of an export, or its path: the last two names count."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """`value` as kind and name."""
        *above, name = PurePath(value).parts or ("",)
        if not name:
            self.fail("a name must not be empty", param, ctx)
        kind = ExportKind.TEAM if above[-1:] == [ExportKind.TEAM.value] else ExportKind.MESSAGES
        return kind, name


@click.group(
    "export",
    cls=SummarisingGroup,
    epilog=examples(
        "rcfs export request --from 2026-01-01 --to 2026-03-31",
        "rcfs export request --from 2026-01-01 --to 2026-03-31 --type fax --wait",
        "rcfs export request --team --from 2026-01-01 --to 2026-06-30 --chat 4711",
        "rcfs export list --json | jq -r '.[].name'",
        "rcfs export wait '2026-01-01 to 2026-03-31'",
        "rcfs export forget 'Team Messaging/2026-01-01 to 2026-06-30 chats 4711'",
    ),
)
def export() -> None:
    """Ask for exports of whole mailboxes, and follow them."""


@export.command("request")
@click.option(
    "--from", "first", required=True, metavar="DAY", help="Begin with DAY, such as 2026-01-01, in UTC."
)
@click.option(
    "--to",
    "last",
    metavar="DAY",
    help="End with DAY, which is included; of today it has what there is now. A later day of this month means"
    " today.  [default: today]",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    type=click.Choice(tuple(_TYPES), case_sensitive=False),
    help="Take only messages of this type. Repeatable.",
)
@click.option(
    "--team", is_flag=True, help="Ask for team messaging instead: chats with their posts and files."
)
@click.option(
    "--contact", "contacts", multiple=True, metavar="ID|ADDRESS", help="With --team: only this person."
)
@click.option("--chat", "chats", multiple=True, metavar="ID", help="With --team: only this chat.")
@click.option("--again", is_flag=True, help="Ask once more for one that failed, expired, or got no answer.")
@click.option("--wait", is_flag=True, help="Return when the export has ended.")
@json_option
@engine_options
def request(
    first: str,
    last: str | None,
    types: tuple[str, ...],
    contacts: tuple[str, ...],
    chats: tuple[str, ...],
    *,
    team: bool,
    again: bool,
    wait: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask for an export of a period, for administrators.

    It may take minutes or hours. RingCentral makes two at a time; rcfs asks for more when one of them ends,
    while a mount is up or `rcfs export wait` runs. The result appears in the directory Exports of a mount.
    """
    settings = read_mounted(options)
    today = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%d")
    kind = ExportKind.TEAM if team else ExportKind.MESSAGES
    try:
        wanted = ExportQuery.of_days(
            kind, first, last or today, types=[_TYPES[each] for each in types], contacts=contacts, chats=chats
        )
        query = wanted.begun(time.time())
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    if query != wanted:
        warn(f"{last} is in the future, so the export ends today, {today} in UTC")
    with loading():
        from rcfs.cli._export_run import ask

    found = [ask(settings, query, again=again, wait=wait)]
    with _opened(settings) as kept:
        _show(kept, found, as_json=as_json)


@export.command("list")
@json_option
@server_url_option
@state_dir_option
def list_exports(*, as_json: bool, **options: Any) -> None:
    """List the exports that were asked for, and their states, without asking the server."""
    settings = read_mounted(options)
    with _opened(settings) as kept:
        _show(kept, () if kept is None else kept.book.all(kept.account_id), as_json=as_json)


@export.command("wait")
@click.argument("places", nargs=-1, metavar="[NAME]...", type=ExportName())
@json_option
@engine_options
def wait_command(places: tuple[Place, ...], *, as_json: bool, **options: Any) -> None:
    """Wait until each export NAME has ended; without NAME, until all have.

    Every change of a state is a line on stderr. The time that is left is known only if earlier exports of the
    account show how long one takes.
    """
    settings = read_mounted(options)
    with loading():
        from rcfs.cli._export_run import wait_for

    found = wait_for(settings, places)
    with _opened(settings) as kept:
        _show(kept, found, as_json=as_json)


@export.command("cancel")
@click.argument("place", metavar="NAME", type=ExportName())
@server_url_option
@state_dir_option
def cancel(place: Place, **options: Any) -> None:
    """Withdraw an export before rcfs has asked RingCentral for it; later ones cannot be cancelled.

    An export that RingCentral may be making stays as it is, and the command fails.
    """
    settings = read_mounted(options)
    with _opened(settings) as kept:
        book, found = _find(kept, place)
        if found.state.is_final:
            raise ConfigError(f"{place[1]} has ended already; `rcfs export forget` forgets it")
        # A mount may ask for it at this moment; then its task id must not be lost.
        if found.state is not ExportState.WAITING or not book.withdraw(found):
            raise ConfigError(_UNCANCELLABLE)
    say(f"Withdrawn: {place[0].value}/{place[1]}")


@export.command("forget")
@click.argument("places", nargs=-1, required=True, metavar="NAME...", type=ExportName())
@click.option("-y", "--yes", is_flag=True, help="Do not ask whether to forget an unfinished one.")
@server_url_option
@state_dir_option
def forget(places: tuple[Place, ...], *, yes: bool, **options: Any) -> None:
    """Forget each export NAME on this machine; nothing changes at RingCentral.

    Without its task id, which this prints, nothing finds a report again.
    """
    settings = read_mounted(options)
    with _opened(settings) as kept:
        chosen = [_find(kept, place) for place in places]
        running = [found.query.name for _book, found in chosen if _is_lost_if_forgotten(found)]
        if running and not confirmed(_UNFINDABLE.format(names=" and ".join(running)), "forget it", yes=yes):
            return
        for book, found in chosen:
            book.remove(found.id)
            task = f" (task {found.task_id})" if found.task_id else ""
            say(f"Forgotten: {found.query.kind.value}/{found.query.name}{task}")


def _is_lost_if_forgotten(export: Export) -> bool:
    """Whether the platform works on an export that it does not list."""
    return export.query.kind is ExportKind.MESSAGES and export.state.is_running


@attrs.frozen
class _Kept:
    """The exports on this disk."""

    book: "ExportBook"
    account_id: str


@contextmanager
def _opened(settings: Settings) -> Iterator[_Kept | None]:
    """The exports of the login of `settings`; None if rcfs has never seen its account."""
    account_id = kept_accounts(settings).get(settings.require_credentials().identity)
    if account_id is None or not settings.files.exports.exists():
        yield None
        return
    from rcfs.store import ExportBook

    with closing(ExportBook.open(settings.files, warn)) as book:
        yield _Kept(book, account_id)


def _find(kept: _Kept | None, place: Place) -> tuple["ExportBook", Export]:
    """The export at `place`, and the book that has it.

    Raises:
        ConfigError: There is no such export.
    """
    if kept is not None:
        for found in kept.book.all(kept.account_id):
            if (found.query.kind, found.query.name) == place:
                return kept.book, found
    raise ConfigError(f"no export {place[0].value}/{place[1]}; `rcfs export list` shows all")


def _show(kept: _Kept | None, found: Sequence[Export], *, as_json: bool) -> None:
    from rcfs.exports import left_s, status_of
    from rcfs.status import export_line, to_json

    durations = {
        kind: () if kept is None else kept.book.durations(kept.account_id, kind) for kind in ExportKind
    }
    now_s = time.time()
    rows = [
        status_of(each, left_s=left_s(each, durations[each.query.kind], now_s), reason=each.problem)
        for each in found
    ]
    if as_json:
        documents = [to_json(row) | {"files": _files_of(each)} for row, each in zip(rows, found, strict=True)]
        say_json(json.dumps(documents, indent=2))
        return
    for row in rows:
        say(f"{row.kind}/{row.name}\n  {export_line(row)}")


def _files_of(export: Export) -> list[dict[str, Any]]:
    return [
        {"name": each.name, "id": str(each.key), "size_bytes": each.size_bytes} for each in export.archives
    ]
