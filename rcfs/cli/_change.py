"""`rcfs mark`, `trash`, `restore`, `purge`, `flush` and `outbox`: changes of messages at RingCentral."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import attrs
import click

from rcfs.cli._forget import kept_accounts
from rcfs.cli._options import TreePathText, engine_options, examples, json_option, several
from rcfs.cli._output import confirmed, require_terminal, say, say_json, warn
from rcfs.cli._treepaths import read_mounted, read_places
from rcfs.config import Settings
from rcfs.errors import ConfigError

if TYPE_CHECKING:
    from rcfs.cli._change_run import Outcome
    from rcfs.model import MessageChange, Send

_changing = several(
    click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=TreePathText()),
    json_option,
    engine_options,
)


@click.command(
    "mark",
    epilog=examples(
        "rcfs mark read ~/ringcentral/'101 Jane Smith'/Unread",
        "rcfs mark unread '101 Jane Smith/Voicemail/2026-11'",
    ),
)
@click.argument("status", type=click.Choice(["read", "unread"]))
@_changing
def mark(status: str, paths: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Mark messages as read or unread.

    It marks those at and below each PATH.
    The command returns when RingCentral has confirmed it. Ctrl-C keeps the change; a mount with --read-write
    or `rcfs flush` then sends it.
    """
    _change(status, paths, options, _Words(f"Marked {{}} as {status}.", status), as_json=as_json)


@click.command("trash", epilog=examples("rcfs trash ~/ringcentral/'101 Jane Smith'/SMS/2026-01"))
@_changing
def trash(paths: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Move messages to the trash.

    It moves those at and below each PATH.
    RingCentral deletes them for good after some days; until then `rcfs restore` brings them back. More than
    100 deletions in an hour wait for `rcfs flush --confirm` (see mount.delete_limit in config.toml).
    """
    _change("trash", paths, options, _Words("Moved {} to the trash.", "in the trash"), as_json=as_json)


@click.command("restore", epilog=examples("rcfs restore ~/ringcentral/'101 Jane Smith'/Trash"))
@_changing
def restore(paths: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Take messages out of the trash.

    It restores those at and below each PATH.
    """
    _change("restore", paths, options, _Words("Restored {}."), as_json=as_json)


@click.command("purge", epilog=examples("rcfs purge --yes ~/ringcentral/'101 Jane Smith'/Trash"))
@click.option("-y", "--yes", is_flag=True, help="Skip the question.")
@_changing
def purge(paths: tuple[str, ...], *, yes: bool, as_json: bool, **options: Any) -> None:
    """Delete messages for good that are in the trash.

    It deletes those at and below each PATH, which must be in a directory Trash. Nobody can undo this.
    """
    action = "delete them"
    if not yes:
        require_terminal(action)

    def may(count: int) -> bool:
        return confirmed(f"Delete {_spoken(count)} for good, with all attachments?", action, yes=yes)

    _change("purge", paths, options, _Words("Deleted {} for good."), may, as_json=as_json)


@click.command("flush", epilog=examples("rcfs flush", "rcfs flush --confirm"))
@click.option("--confirm", is_flag=True, help="Also send deletions that are held.")
@json_option
@engine_options
def flush(*, confirm: bool, as_json: bool, **options: Any) -> None:
    """Send the changes that wait, and wait until they are made."""
    settings = read_mounted(options)
    changes, sends = unconfirmed(settings, settings.require_credentials().identity)
    if changes:
        from rcfs.cli._change_run import send

        _report(send(settings, confirm=confirm), _Words("Sent the changes of {}."), as_json=as_json)
    elif as_json:
        say_json(json.dumps({"messages": 0, "already": 0, "refused": 0, "left": 0}))
    else:
        under_way = f" {_spoken(len(sends))} to send: `rcfs outbox` says how far." if sends else ""
        say(f"No change waits.{under_way}")


@click.command("outbox", epilog=examples("rcfs outbox", "rcfs outbox --drop", "rcfs outbox --again 4f1c…"))
@click.option("--drop", is_flag=True, help="Forget the deletions that are held.")
@click.option(
    "--again",
    default="",
    metavar="ID",
    help="Send a message again that was not sent, or may not have been.",
)
@click.option(
    "--forget", default="", metavar="ID", help="Forget a message; if RingCentral has it, it stays there."
)
@json_option
@engine_options
def outbox(*, drop: bool, again: str, forget: str, as_json: bool, **options: Any) -> None:
    """List the changes and messages that are not confirmed yet.

    A mount with --read-write or `rcfs flush` sends the changes that wait. A mount with --send or the next
    `rcfs send` sends the messages that wait, and looks for those that are being sent.

    A message is unknown if its answer was lost, and rcfs cannot find out whether it was sent. Look at your
    sent messages; then choose --again or --forget.
    """
    if drop + bool(again) + bool(forget) > 1:
        raise click.UsageError("give one of --drop, --again and --forget")
    settings = read_mounted(options)
    login = settings.require_credentials().identity
    changes, sends = unconfirmed(settings, login)
    if again or forget:
        if all(send.id != (again or forget) for send in sends):
            raise ConfigError(f"the outbox has no message {again or forget}; `rcfs outbox` lists them")
        from rcfs.cli._send_run import forget_send, send_again

        if again:
            send_again(settings, again, as_json=as_json)
        else:
            forget_send(settings, forget)
            say_json(json.dumps({"forgot": forget})) if as_json else say(f"Forgot message {forget}.")
    elif drop:
        from rcfs.outbox import deletions

        dropped = 0
        if any(change.state == "held" for change in changes):
            from rcfs.cli._change_run import forget as forget_held

            dropped = forget_held(settings)
        say_json(json.dumps({"dropped": dropped})) if as_json else say(f"Forgot {deletions(dropped)}.")
    else:
        names = _names(settings, login) if changes and not as_json else {}
        _show(changes, sends, names, as_json=as_json)


@attrs.frozen
class _Words:
    """The words for the outcome of a command."""

    done: str
    """A sentence; the number of messages stands for ``{}``."""
    already: str = ""
    """The state of messages that were like that before."""


def _spoken(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


def _change(
    action: str,
    paths: tuple[str, ...],
    options: dict[str, Any],
    words: _Words,
    may: Callable[[int], bool] = lambda _count: True,
    *,
    as_json: bool,
) -> None:
    settings, places, _records = read_places(paths, options)
    for place in places:
        if not place.parts and not place.text.startswith("/"):
            # Such as "" from a variable that is not set, or "." in a directory outside a mount.
            raise ConfigError(
                f"'{place.text}' is the whole account; if you mean that, write '*' or the absolute path of a"
                " mount"
            )
    settings.require_credentials()
    from rcfs.cli._change_run import change

    _report(change(settings, action, places, may), words, as_json=as_json)


def _report(outcome: "Outcome", words: _Words, *, as_json: bool) -> None:
    """Prints what was done.

    Raises:
        RcfsError: Not all of it was.
    """
    error = outcome.error
    if as_json:
        document = {
            "messages": outcome.done,
            "already": outcome.already,
            "refused": outcome.refused,
            "left": outcome.left,
        }
        say_json(json.dumps(document))
    else:
        if outcome.done:
            say(words.done.format(_spoken(outcome.done)))
        if outcome.already:
            are = "is" if outcome.already == 1 else "are"
            say(f"{_spoken(outcome.already)} {are} {words.already} already.")
        if not (outcome.done or outcome.already or error):
            say("Nothing to do: there is no message.")
    for line in outcome.lines:
        warn(line)
    if error is not None:
        raise error


def unconfirmed(settings: Settings, login: str) -> "tuple[list[MessageChange], list[Send]]":
    """The changes and the messages of a login's account that are not done, oldest first; sends no request.

    Raises:
        StoreError: The outbox cannot be read.
    """
    account_id = kept_accounts(settings).get(login)
    if account_id is None or not settings.files.outbox.exists():
        return [], []
    from rcfs.model import SendState
    from rcfs.outbox import changes_of, sends_of
    from rcfs.store import OutboxBook

    with closing(OutboxBook.open(settings.files, warn)) as book:
        changes = [each for each in changes_of(book, account_id) if each.state.is_open]
        sends = sends_of(book.all(account_id))
        return changes, [each for each in sends if each.state is not SendState.SENT or each.problem]


def _names(settings: Settings, login: str) -> dict[int, str]:
    """The numbers and names of a login's extensions, by id."""
    from rcfs.model import extension_from
    from rcfs.store import MailboxIndex

    with closing(MailboxIndex.open(settings.files.mailboxes, warn)) as index:
        seen = index.reader.logins().get(login)
    found = () if seen is None else map(extension_from, map(json.loads, seen.extensions))
    return {each.id: f"{each.number} {each.name}".strip() for each in found if each is not None}


def _show(
    changes: "list[MessageChange]", sends: "list[Send]", names: Mapping[int, str], *, as_json: bool
) -> None:
    from rcfs.cli._outbox_text import outbox_lines
    from rcfs.model import iso_time

    if as_json:
        rows: list[dict[str, Any]] = [
            {
                "action": str(each.asked or each.next_action),
                "state": str(each.state),
                "extension_id": each.owner_id,
                "message_id": each.message_id,
                "since": iso_time(each.created_s),
            }
            for each in changes
        ]
        rows += [
            {
                "action": "send",
                "state": each.state.value,
                "id": each.id,
                "kind": each.outgoing.kind.value,
                "to": list(each.outgoing.recipients),
                "problem": each.problem or None,
                "since": iso_time(each.created_s),
            }
            for each in sends
        ]
        say_json(json.dumps(rows, indent=2))
        return
    for line in outbox_lines(changes, sends, names):
        say(line)
