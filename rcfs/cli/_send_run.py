"""Runs `rcfs send`: checks, shows what it will send, sends, and follows the delivery."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import attrs
import click
import trio

from rcfs.cli._engine_run import run_engine
from rcfs.cli._output import announce, confirmed, require_terminal, say_json, tell
from rcfs.config import Settings
from rcfs.engine import Engine
from rcfs.errors import ConfigError, ForbiddenError, NotFoundError, PlatformError, StoreError, UndecidedError
from rcfs.model import (
    Outgoing,
    Send,
    SendFile,
    SendKind,
    SendState,
    format_size,
    iso_time,
    kind_words,
    send_words,
    text_parts,
)
from rcfs.outbox import Sends, described
from rcfs.tree import build_root, shelve

_WAITING_S = 90.0
"""How long the command waits for a message that was not sent yet, in seconds: a slot of the Heavy group may
be a minute away."""
_ASKED_S = 600.0
"""How long it waits to hear whether the message was sent, in seconds: several looks, and a penalty."""
_DELIVERY_S = 300.0
"""How long `--wait` waits for the delivery of a text that has left RingCentral, in seconds; some carriers
never tell it."""
_ASK_EVERY_S = (5.0, 30.0)
"""Shortest and longest pause between two questions for the delivery, in seconds."""

_NOTHING_SENT = "interrupted; nothing was sent"


@attrs.frozen
class Wish:
    """A message as the command line has it."""

    kind: SendKind
    to: Sequence[str]
    """Recipients, in any notation."""
    sender: str
    """Number to send from, in any notation; empty for the best one."""
    text: str
    files: Sequence[Path]
    cover_index: int | None
    cover_text: str
    resolution: str
    send_at_s: float | None
    resend_id: int | None


def send_wish(settings: Settings, wish: Wish, *, yes: bool, wait: bool, as_json: bool) -> None:
    """Sends `wish`, after the user has agreed, and prints the result; with `wait`, when it was delivered.

    Raises:
        ConfigError: The platform would refuse it, or a file cannot be read.
        Abort: The user does not agree.
        UndecidedError: rcfs cannot find out whether it was sent.
        ForbiddenError: The login cannot send such messages.
        PlatformError: It was not sent, or not delivered.
        RcfsError: rcfs could not log in, or not keep the message.
    """
    try:
        files = tuple(described(wish.kind, path) for path in wish.files)
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    told = _NOTHING_SENT
    if not yes:
        require_terminal("send")

    async def work(engine: Engine, nursery: trio.Nursery) -> Send | None:
        nonlocal told
        outgoing = await _checked(engine, wish, files)
        for line in _plan(outgoing):
            tell(line)
        ask = partial(confirmed, "Send it?", "send", yes=yes)
        if not await trio.to_thread.run_sync(ask, abandon_on_cancel=True):
            return None
        try:
            send = await engine.sends.add(outgoing, wish.files)
        except ValueError as exc:
            raise ConfigError(str(exc)) from exc
        try:
            nursery.start_soon(engine.sends.run)
            sent = await _settled(engine.sends, send)
            _check(sent, engine.sends.refusal(sent.outgoing.kind))
            if wait:
                sent = await _delivered(engine.sends, sent)
            _show(engine, sent, as_json=as_json)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                told = await _stopped(engine.sends, send.id)
            raise
        return sent

    sent = run_engine(settings, settings.files.change_log, work, on_interrupt=lambda: told)
    if sent is None:
        raise click.Abort
    if sent.is_failed:
        raise PlatformError(send_words(sent))


def send_again(settings: Settings, send_id: str, *, as_json: bool) -> None:
    """Sends a message once more that was not sent, or of which that is unknown, and prints the result.

    Raises:
        ConfigError: No such message waits for this decision.
        RcfsError: As `send_wish`.
    """

    async def work(engine: Engine, nursery: trio.Nursery) -> Send:
        found = engine.sends.find(send_id)
        if found is None or not await engine.sends.again(send_id):
            raise ConfigError(f"message {send_id} is still being sent, or was sent; `rcfs outbox` lists it")
        nursery.start_soon(engine.sends.run)
        sent = await _settled(engine.sends, found)
        _check(sent, engine.sends.refusal(sent.outgoing.kind))
        _show(engine, sent, as_json=as_json)
        return sent

    told = f"interrupted; `rcfs outbox` shows how far message {send_id} is"
    sent = run_engine(settings, settings.files.change_log, work, on_interrupt=lambda: told)
    if sent.is_failed:
        raise PlatformError(send_words(sent))


def forget_send(settings: Settings, send_id: str) -> None:
    """Forgets a message of the outbox; sends no request.

    Raises:
        ConfigError: It is being sent at this moment.
    """

    async def work(engine: Engine, _nursery: trio.Nursery) -> bool:
        return await engine.sends.drop(send_id)

    offline = attrs.evolve(settings, offline=True)
    if not run_engine(offline, settings.files.change_log, work, on_interrupt=lambda: "interrupted"):
        raise ConfigError(f"message {send_id} is being sent; wait until `rcfs outbox` says what became of it")


async def _checked(engine: Engine, wish: Wish, files: tuple[SendFile, ...]) -> Outgoing:
    """`wish` as a message that the platform may take.

    Raises:
        ConfigError: It would refuse it.
        ForbiddenError: The login cannot send such messages.
    """
    because = engine.sends.refusal(wish.kind)
    if because:
        raise ForbiddenError(f"cannot send {kind_words(wish.kind)}: {because}")
    try:
        sender, recipients = await engine.sends.parties.find(wish.kind, wish.to, wish.sender)
        return Outgoing(
            kind=wish.kind,
            recipients=recipients,
            sender=sender,
            text=wish.text,
            files=files,
            cover_index=wish.cover_index,
            cover_text=wish.cover_text,
            resolution=wish.resolution,
            send_at_s=wish.send_at_s,
            resend_id=wish.resend_id,
        )
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc


def _plan(outgoing: Outgoing) -> list[str]:
    """The message, in lines for the user."""
    to = ", ".join(outgoing.recipients) or "the recipients of the first time"
    origin = f" from {outgoing.sender}" if outgoing.sender else ""
    lines = [f"{kind_words(outgoing.kind)}{origin} to {to}: one request"]
    if outgoing.kind in (SendKind.SMS, SendKind.MMS) and outgoing.text:
        parts = text_parts(outgoing.text)
        lines.append(
            f"  text of {len(outgoing.text):,} characters" + (f" in {parts} parts" if parts > 1 else "")
        )
    for file in outgoing.files:
        pages = f", {file.pages} pages" if file.pages else ""
        lines.append(f"  {file.name} ({format_size(file.size_bytes)}{pages})")
    if outgoing.resend_id is not None:
        lines.append(f"  the pages of fax {outgoing.resend_id}")
    if outgoing.cover_index is not None or outgoing.cover_text:
        page = "no cover page" if outgoing.cover_index == 0 else "a cover page"
        lines.append(f"  {page}" + (" with a text" if outgoing.cover_text else ""))
    if outgoing.send_at_s is not None:
        lines.append(f"  at {iso_time(outgoing.send_at_s)}")
    return lines


async def _settled(sends: Sends, send: Send) -> Send:
    """`send` as soon as it is clear what became of it, or else when the command has waited long enough."""
    with trio.move_on_after(_ASKED_S):
        with trio.move_on_after(_WAITING_S):
            await sends.wait(send.id, lambda each: each.state.is_settled)
        await sends.wait(send.id, lambda each: each.state.is_settled or not each.attempts)
    found = sends.find(send.id)
    if found is None:
        raise PlatformError("it was dropped by another command, and not sent")
    return found


def _check(sent: Send, refusal: str = "") -> None:
    """Raises the error for a message that the platform does not have; `refusal` as of `Sends.refusal`."""
    if sent.state is SendState.UNKNOWN:
        raise UndecidedError(
            f"{sent.problem}; look at your sent messages; then choose `rcfs outbox --again {sent.id}`, or"
            f" --forget {sent.id}"
        )
    if sent.state in (SendState.WAITING, SendState.ASKED):
        raise PlatformError(
            f"{send_words(sent)}; it is kept, and the next `rcfs send` or a mount with --send continues"
        )
    if sent.state is SendState.REFUSED:
        error = ForbiddenError if refusal else PlatformError
        raise error(send_words(sent))


async def _stopped(sends: Sends, send_id: str) -> str:
    """Stops a message if it is not too late, and returns what to tell the user who interrupts its command.

    Raises:
        StoreError: The outbox cannot be written.
    """
    if await sends.drop(send_id, unless=(SendState.SENT, SendState.UNKNOWN)):
        return _NOTHING_SENT
    found = sends.find(send_id)
    if found is not None and found.state is SendState.SENT:
        return f"interrupted, but it was sent: message {found.message_id}"
    return "interrupted while it was being sent; `rcfs outbox` shows how far it is"


async def _delivered(sends: Sends, sent: Send) -> Send:
    """`sent` as soon as its delivery is told, or is not told in time."""
    pause_s, most_s = _ASK_EVERY_S
    left_s: float | None = None
    if sent.outgoing.send_at_s is not None:
        tell("RingCentral has it; its delivery can be told after the time for which it is meant")
        return sent
    while not sent.is_final:
        with trio.move_on_after(pause_s):
            await sends.wait(sent.id, lambda each: each.is_final)
        pause_s = min(most_s, pause_s * 1.5)
        try:
            await sends.ask_delivery(sent.id)
        except NotFoundError:
            return sent
        except PlatformError as exc:
            if not exc.retryable:
                raise
        found = sends.find(sent.id)
        if found is None:
            return sent
        if found.status != sent.status:
            tell(send_words(found))
        sent = found
        if sent.status == "Sent":
            left_s = _DELIVERY_S if left_s is None else left_s - pause_s
            if left_s <= 0:
                tell("the carrier has not told whether it was delivered")
                return sent
    return sent


def _show(engine: Engine, sent: Send, *, as_json: bool) -> None:
    path = _path(engine, sent)
    if as_json:
        document = {
            "id": sent.id,
            "state": sent.state.value,
            "message_id": sent.message_id,
            "path": path,
            "status": sent.status,
            "problem": sent.problem,
        }
        say_json(json.dumps(document, indent=2))
        return
    announce(f"message {sent.message_id}: {send_words(sent)}")
    if path:
        announce(path)


def _path(engine: Engine, sent: Send) -> str:
    """The path of the message in the tree; empty if it is not known."""
    try:
        message = engine.sends.message(sent)
    except StoreError:
        return ""
    shelved = None if message is None else shelve(message)
    own_id = engine.account.own_id
    if shelved is None or own_id is None:
        return ""
    own = build_root(engine.account.extensions, fallback_s=0.0).name_of(own_id) or ""
    return "/".join(filter(None, (own, shelved.home.view, shelved.home.key, shelved.name)))
