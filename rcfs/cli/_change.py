"""`rcfs mark`, `trash`, `restore`, `purge`, `flush` and `outbox`: changes of messages at RingCentral."""

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from rcfs.cli._forget import kept_accounts
from rcfs.cli._options import TreePathText, engine_options, examples, json_option, several
from rcfs.cli._output import confirmed, say, say_json, warn
from rcfs.cli._treepaths import read_mounted, read_places
from rcfs.config import Settings
from rcfs.errors import ConfigError

if TYPE_CHECKING:
    from rcfs.cli._change_run import Outcome
    from rcfs.model import MessageChange, Send

_NOTHING = "No change waits."
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
    _change(status, paths, options, f"Marked {{}} as {status}.", as_json=as_json)


@click.command("trash", epilog=examples("rcfs trash ~/ringcentral/'101 Jane Smith'/SMS/2026-01"))
@_changing
def trash(paths: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Move messages to the trash.

    It moves those at and below each PATH.
    RingCentral deletes them for good after some days; until then `rcfs restore` brings them back. More than
    100 deletions in an hour wait for `rcfs flush --confirm` (see mount.delete_limit in config.toml).
    """
    _change("trash", paths, options, "Moved {} to the trash.", as_json=as_json)


@click.command("restore", epilog=examples("rcfs restore ~/ringcentral/'101 Jane Smith'/Trash"))
@_changing
def restore(paths: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Take messages out of the trash.

    It restores those at and below each PATH.
    """
    _change("restore", paths, options, "Restored {}.", as_json=as_json)


@click.command("purge", epilog=examples("rcfs purge --yes ~/ringcentral/'101 Jane Smith'/Trash"))
@click.option("-y", "--yes", is_flag=True, help="Skip the question.")
@_changing
def purge(paths: tuple[str, ...], *, yes: bool, as_json: bool, **options: Any) -> None:
    """Delete messages for good that are in the trash.

    It deletes those at and below each PATH, which must be in a directory Trash. Nobody can undo this.
    """
    if confirmed("Delete these messages for good, with their attachments?", "delete them", yes=yes):
        _change("purge", paths, options, "Deleted {} for good.", as_json=as_json)


@click.command("flush", epilog=examples("rcfs flush", "rcfs flush --confirm"))
@click.option("--confirm", is_flag=True, help="Also send deletions that are held.")
@json_option
@engine_options
def flush(*, confirm: bool, as_json: bool, **options: Any) -> None:
    """Send the changes that wait, and wait until they are made."""
    settings = read_mounted(options)
    changes, _sends = unconfirmed(settings, settings.require_credentials().identity)
    if not changes:
        say_json('{"messages": 0, "refused": 0, "left": 0}') if as_json else say(_NOTHING)
        return
    from rcfs.cli._change_run import send

    _report(send(settings, confirm=confirm), "Sent the changes of {}.", as_json=as_json)


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
    """List the changes and messages that RingCentral has not confirmed.

    A mount with --read-write or `rcfs flush` sends the changes that wait. A mount with --send or the next
    `rcfs send` sends the messages that wait, and looks for those that are being sent.

    A message is unknown if its answer was lost, and rcfs cannot find out whether it was sent. Look at your
    sent messages; then choose --again or --forget.
    """
    if drop + bool(again) + bool(forget) > 1:
        raise click.UsageError("give one of --drop, --again and --forget")
    settings = read_mounted(options)
    changes, sends = unconfirmed(settings, settings.require_credentials().identity)
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
        dropped = 0
        if any(change.state == "held" for change in changes):
            from rcfs.cli._change_run import forget as forget_held

            dropped = forget_held(settings)
        say_json(json.dumps({"dropped": dropped})) if as_json else say(f"Forgot {dropped} deletions.")
    else:
        _show(changes, sends, as_json=as_json)


def _change(
    action: str, paths: tuple[str, ...], options: dict[str, Any], words: str, *, as_json: bool
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

    _report(change(settings, action, places), words, as_json=as_json)


def _report(outcome: "Outcome", words: str, *, as_json: bool) -> None:
    """Prints what was done.

    Raises:
        RcfsError: Not all of it was.
    """
    error = outcome.error
    if as_json:
        document = {"messages": outcome.done, "refused": outcome.refused, "left": outcome.left}
        say_json(json.dumps(document))
    elif outcome.done or error is None:
        say(words.format("1 message" if outcome.done == 1 else f"{outcome.done:,} messages"))
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


def _show(changes: "list[MessageChange]", sends: "list[Send]", *, as_json: bool) -> None:
    from rcfs.model import iso_time, kind_words, send_words

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
                "state": str(each.state),
                "id": each.id,
                "kind": str(each.outgoing.kind),
                "to": list(each.outgoing.recipients),
                "problem": each.problem or None,
                "since": iso_time(each.created_s),
            }
            for each in sends
        ]
        say_json(json.dumps(rows, indent=2))
        return
    for change in changes:
        action = change.asked or change.next_action
        of = f"message {change.message_id} of extension {change.owner_id}"
        say(f"{action}  {of}  {change.state} since {iso_time(change.created_s)}")
    for send in sends:
        to = ", ".join(send.outgoing.recipients) or f"the recipients of fax {send.outgoing.resend_id}"
        said = f"{kind_words(send.outgoing.kind)} to {to}: {send_words(send)}"
        say(f"send  {send.id}  {said}, since {iso_time(send.created_s)}")
    if not changes and not sends:
        say("Nothing waits.")
