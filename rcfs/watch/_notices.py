"""The news and failures that the desktop is told, in words; never anything of a message's content."""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from rcfs.model import OUTBOUND, Extension, Message, one_line
from rcfs.status import Status

NEWS = {"VoiceMail": ("voicemail", "Voicemail"), "Fax": ("fax", "Fax")}
"""By type of message: the word for several, and the name of its directory."""
_PLURAL = {"voicemail": "voicemails", "fax": "faxes"}
_NAMED = 3
"""Senders that a notification for several messages names."""


@attrs.frozen
class Notice:
    """A notification."""

    summary: str
    """Its title."""
    body: str
    """Its text, without markup."""
    is_trouble: bool = False
    """Whether a person has to do something."""


@attrs.frozen
class Arrival:
    """A new message."""

    kind: str
    """The word for it in `NEWS`."""
    sender: str
    """Name of the sender, or the number."""
    mailbox: str
    """Number and name of the extension that it is for."""


def arrival(message: Message, extension: Extension) -> Arrival | None:
    """`message` as news; None if it is neither a voicemail nor a fax, was sent, or is read already."""
    if message.type not in NEWS or message.direction == OUTBOUND or message.read_status == "Read":
        return None
    sender = one_line(message.sender.name or message.sender.number).strip() or "an unknown number"
    return Arrival(NEWS[message.type][0], sender, one_line(f"{extension.number} {extension.name}".strip()))


def news(arrivals: Sequence[Arrival]) -> list[Notice]:
    """One notification for each kind among the messages that came together."""
    notices = []
    for kind, plural in _PLURAL.items():
        of_kind = [each for each in arrivals if each.kind == kind]
        senders, mailboxes = _unique(e.sender for e in of_kind), _unique(e.mailbox for e in of_kind)
        if len(of_kind) == 1:
            notices.append(Notice(f"{kind.capitalize()} from {senders[0]}", f"for {mailboxes[0]}"))
        elif of_kind:
            body = f"from {_listed(senders)}, for {_listed(mailboxes)}"
            notices.append(Notice(f"{len(of_kind):,} new {plural}", body))
    return notices


def troubles(status: Status, *, is_disk_full: bool) -> Mapping[str, Notice]:
    """The failures that need a person now, by a name of each."""
    found = {}
    if status.login is not None and status.login.state == "refused":
        found["login"] = _trouble(
            "RingCentral refuses the login",
            f"Cached files still open. Run `{status.login.command}` to log in again.",
        )
    if is_disk_full:
        found["disk"] = _trouble(
            "The disk is full", "rcfs can keep no new files or changes until there is room."
        )
    if status.sends is not None and status.sends.unknown:
        found["sends"] = _trouble(
            "A message may or may not have been sent", "`rcfs outbox` lists it, and says what to do."
        )
    if status.sends is not None and status.sends.failed:
        found["failed"] = _trouble("A message was not sent", "`rcfs outbox` says why.")
    if status.outbox is not None and status.outbox.held:
        found["held"] = _trouble(
            "Deletions wait for you",
            "They are more than usual. `rcfs flush --confirm` sends them, `rcfs outbox --drop` forgets them.",
        )
    return found


def _trouble(summary: str, body: str) -> Notice:
    return Notice(summary, body, is_trouble=True)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED:,} more"
