"""Rules for clients that send: nothing twice, and nothing in a penalty.

The journal notes a request that breaks them. `api._messages` notes changes of messages that a careful client
never asks for.
"""

from collections.abc import Sequence

import attrs

EQUAL_SENDS_S = 600.0
"""Seconds of the account within which a second equal request counts as a repetition, not as a wish."""

SENDS = frozenset(
    {"createSMSMessage", "createMMS", "createInternalTextMessage", "createFaxMessage"}
    | {"createCustomUserGreeting", "createCompanyGreeting", "createIVRPrompt"}
)
"""``operationId`` of the requests that send or upload something."""


@attrs.define(eq=False)
class Sent:
    """A message or an upload that the simulator has accepted."""

    operation: str
    """``operationId`` of the request."""
    id: str
    """Id of the message, greeting or prompt."""
    sender: str
    """Id of the extension that sends; empty for the company."""
    to: Sequence[str]
    """Phone numbers, or ids of extensions, sorted."""
    what: object
    """Text and options, as a JSON value."""
    files: Sequence[str]
    """SHA-256 of each file, hexadecimal, in their order."""
    accepted_s: float
    """Time of the account, seconds since 1970 UTC."""
    out_s: float | None
    """Time when it went out; None as long as a scheduled fax waits, and if it is cancelled before."""


class SendBook:
    """Everything that clients have sent, oldest first."""

    def __init__(self) -> None:
        self._all: list[Sent] = []

    def add(self, sent: Sent) -> str:
        """Add `sent`; returns what is wrong with it, in words, or nothing."""
        for before in reversed(self._all):
            apart_s = sent.accepted_s - before.accepted_s
            if apart_s >= EQUAL_SENDS_S:
                break
            if _key(before) == _key(sent):
                self._all.append(sent)
                return f"sends again what was sent {apart_s:.1f} s ago"
        self._all.append(sent)
        return ""

    def all(self) -> Sequence[Sent]:
        """Everything that was sent, oldest first."""
        return tuple(self._all)


def _key(sent: Sent) -> object:
    return sent.sender, sent.to, sent.what, sent.files
