"""`rcfs send`: sends texts, texts with files, faxes, and messages between colleagues."""

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from rcfs._interrupt import loading
from rcfs.cli._options import SummarisingGroup, engine_options, examples, json_option, several
from rcfs.cli._treepaths import read_mounted
from rcfs.model import SendKind

_MESSAGE = re.compile(r"(?:.*\[)?(?P<id>[0-9]{1,19})\]?/?")
"""The id of a message, or the name of its directory, which ends with it."""
_MOST_TEXT_BYTES = 64 << 10
"""Most bytes that rcfs reads of a text on stdin: far more than a message may have."""

C = TypeVar("C", bound=Callable[..., Any])


class Moment(click.ParamType[float]):
    """A point in time in the future; without an offset it is in UTC, as all times of rcfs."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """`value` in seconds since 1970 UTC."""
        if isinstance(value, float):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write 2026-12-01T09:30Z, or an offset instead of Z", param, ctx)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment <= datetime.now(UTC):
            self.fail(f"{value!r} is in the past; leave --at out to send at once", param, ctx)
        return moment.timestamp()


class SentFax(click.ParamType[int]):
    """A fax that was sent before: its id, or the path of its directory."""

    name = "message"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """`value` as the id of the message."""
        found = _MESSAGE.fullmatch(str(value))
        if found is None:
            self.fail(
                f"{value!r} is no fax; give its id, or its directory, whose name ends with it", param, ctx
            )
        return int(found["id"])


def _recipients(help_text: str) -> Callable[[C], C]:
    return click.option("--to", "to", multiple=True, metavar="NUMBER", help=help_text)


_TO_NUMBERS = _recipients("Send to NUMBER, in any notation. Repeatable.")
_FROM = click.option(
    "--from",
    "sender",
    default="",
    metavar="NUMBER",
    help="Send from this number of yours.  [default: the main]",
)
_TEXT = click.option("--text", metavar="TEXT|-", help="Send this text; - reads it from stdin.")
_FILES = click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Send FILE. Repeatable.",
)
_sending = several(
    click.option("--yes", is_flag=True, help="Send without asking."),
    click.option("--wait", is_flag=True, help="Return when it was delivered, or failed."),
    json_option,
    engine_options,
)


@click.group(
    "send",
    cls=SummarisingGroup,
    epilog=examples(
        "rcfs send sms --to 212-555-7464 --text 'I am late'",
        "date | rcfs send sms --to +12125557464 --text - --yes",
        "rcfs send mms --to +12125557464 --file photo.jpg",
        "rcfs send fax --to +13035556830 --file contract.pdf --cover 'For Bob' --wait",
        "rcfs send fax --to +13035556830 --file contract.pdf --at 2026-12-01T09:30+01:00",
        "rcfs send fax --resend ~/ringcentral/'101 Jane Smith'/Fax/2026-11/'… [6424569004]'",
        "rcfs send page --to 102 --text 'Lunch?'",
    ),
)
def send() -> None:
    """Send texts, faxes and pages, each at most once.

    Nobody can call back a message. rcfs shows what it will send, and asks. If the answer of RingCentral is
    lost, it looks for the message before it sends again. If it cannot decide whether the message was sent, it
    tells you, and the exit code is 9.
    """


@send.command("sms")
@_TO_NUMBERS
@_FROM
@_TEXT
@_sending
def sms(**options: Any) -> None:
    """Send a text."""
    _send(SendKind.SMS, options)


@send.command("mms")
@_TO_NUMBERS
@_FROM
@_TEXT
@_FILES
@_sending
def mms(**options: Any) -> None:
    """Send a text with pictures or other files: 10 files, and 1.5 MB together, at most."""
    _send(SendKind.MMS, options)


@send.command("fax")
@_TO_NUMBERS
@_FILES
@click.option(
    "--cover",
    "covers",
    multiple=True,
    metavar="N|TEXT",
    help="Use cover page N, 0 for none; or print TEXT on it.",
)
@click.option("--resolution", type=click.Choice(("high", "low")), help="Choose the resolution.")
@click.option("--at", "send_at_s", type=Moment(), metavar="TIME", help="Let RingCentral send it at TIME.")
@click.option(
    "--resend",
    "resend_id",
    type=SentFax(),
    metavar="MESSAGE",
    help="Send an earlier fax again, by id or path.",
)
@_sending
def fax(**options: Any) -> None:
    """Send a fax: 50 MB and 200 pages at most.

    Its files may be PDF, Office, text, HTML or pictures. A fax for a later time is cancelled by deleting its
    message before that.
    """
    _send(SendKind.FAX, options)


@send.command("page")
@_recipients("Send to the colleague with extension NUMBER. Repeatable.")
@_TEXT
@_sending
def page(**options: Any) -> None:
    """Send a message to colleagues, by the numbers of their extensions."""
    _send(SendKind.PAGE, options)


def _send(kind: SendKind, options: dict[str, Any]) -> None:
    with loading():
        from rcfs.cli._send_run import Wish, send_wish

    yes, wait, as_json = (options.pop(name) for name in ("yes", "wait", "as_json"))
    covers = options.pop("covers", ())
    numbers = [each for each in covers if each.isascii() and each.isdecimal()]
    texts = [each for each in covers if each not in numbers]
    if len(numbers) > 1 or len(texts) > 1:
        raise click.UsageError("--cover takes one number and one text")
    wish = Wish(
        kind,
        to=options.pop("to"),
        sender=options.pop("sender", ""),
        text=_text(options.pop("text", None)),
        files=options.pop("files", ()),
        cover_index=int(numbers[0][:4]) if numbers else None,
        cover_text=texts[0] if texts else "",
        resolution=(options.pop("resolution", None) or "").capitalize(),
        send_at_s=options.pop("send_at_s", None),
        resend_id=options.pop("resend_id", None),
    )
    settings = read_mounted(options)
    send_wish(settings, wish, yes=yes, wait=wait, as_json=as_json)


def _text(given: str | None) -> str:
    if given != "-":
        return given or ""
    data = sys.stdin.buffer.read(_MOST_TEXT_BYTES + 1)
    if len(data) > _MOST_TEXT_BYTES:
        raise click.UsageError("the text on stdin is far too long for a message")
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError as exc:
        raise click.UsageError("the text on stdin is not UTF-8") from exc
