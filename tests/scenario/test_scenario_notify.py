"""Notifications: which messages and failures the desktop is told of, and how often."""

import time
from collections.abc import Iterable
from typing import Any

import pytest
import structlog
import trio

from rcfs.errors import ServerError
from rcfs.model import iso_time
from rcfs.status import LoginStatus, OutboxStatus, SendsStatus, Status
from rcfs.transport import Recorder
from rcfs.watch import notify as room
from rcfs.watch._notices import Notice
from tests.fakes.rig import EXTENSION_ID, Rig
from tests.fakes.scripted import ScriptedPlatform

RECORDER = Recorder(structlog.get_logger())


class Shown(room.Desktop):
    """A desktop that takes notifications, unless it is away."""

    def __init__(self, *, is_away: bool = False) -> None:
        super().__init__(RECORDER)
        self.notices: list[Notice] = []
        self.is_away = is_away

    async def show(self, notices: Iterable[Notice]) -> bool:  # noqa: ASYNC124 - the real one waits
        self.notices += [] if self.is_away else notices
        return not self.is_away

    def taken(self) -> list[tuple[str, str]]:
        """The notifications since the last call."""
        notices, self.notices = self.notices, []
        return [(each.summary, each.body) for each in notices]


def arrive(platform: ScriptedPlatform, number: int, kind: str, name: str, **fields: Any) -> None:
    now = iso_time(time.time())
    platform.change(
        **{
            "id": number,
            "type": kind,
            "direction": "Inbound",
            "from": {"name": name, "phoneNumber": "+12125557464"},
            "availability": "Alive",
            "readStatus": "Unread",
            "subject": "the secret content",
            "creationTime": now,
            "lastModifiedTime": now,
        }
        | fields
    )


async def news(rig: Rig, desktop: Shown) -> list[tuple[str, str]]:
    """The notifications for what has come to the platform."""
    await rig.engine.account.mailboxes.refresh(EXTENSION_ID)
    await trio.sleep(5)
    return desktop.taken()


async def test_new_voicemails_and_faxes_are_told_once(
    rig: Rig, platform: ScriptedPlatform, nursery: trio.Nursery
) -> None:
    desktop = Shown()
    arrive(platform, 1, "VoiceMail", "Old News")
    await rig.mailbox()
    nursery.start_soon(room._tell_news, desktop, rig.engine, RECORDER)
    await trio.sleep(5)
    assert desktop.taken() == [], "it was there before"
    arrive(platform, 2, "VoiceMail", "Bob <b>Ray\n")
    arrive(platform, 3, "SMS", "Eve")
    arrive(platform, 4, "Fax", "", direction="Outbound")
    arrive(platform, 5, "Fax", "Eve", readStatus="Read")
    ((summary, body),) = await news(rig, desktop)
    assert summary == "Voicemail from Bob <b>Ray"
    assert body.startswith("for 101")
    arrive(platform, 2, "VoiceMail", "Bob", lastModifiedTime=iso_time(time.time() + 60))
    assert await news(rig, desktop) == [], "it was told before"
    for number in range(10, 16):
        arrive(platform, number, "VoiceMail", f"Caller {number}")
    arrive(platform, 20, "Fax", "")
    told = await news(rig, desktop)
    assert [summary for summary, _body in told] == ["6 new voicemails", "Fax from +12125557464"]
    assert told[0][1].startswith("from Caller 10, Caller 11, Caller 12 and 3 more, for 101")
    assert "secret" not in str(told)
    nursery.cancel_scope.cancel()


async def test_the_first_load_of_a_mailbox_is_no_news(
    rig: Rig, platform: ScriptedPlatform, nursery: trio.Nursery
) -> None:
    desktop = Shown()
    nursery.start_soon(room._tell_news, desktop, rig.engine, RECORDER)
    await trio.sleep(5)
    arrive(platform, 1, "VoiceMail", "Bob")
    await rig.mailbox()
    await trio.sleep(5)
    assert desktop.taken() == []
    nursery.cancel_scope.cancel()


async def test_failures_are_told_once_until_they_are_over(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop, now, full = Shown(is_away=True), [Status()], [False]
    monkeypatch.setattr(room, "_is_full", lambda _directories: full[0])

    async def status() -> Status:  # noqa: ASYNC124 - the mount's is asynchronous
        return now[0]

    async def told() -> list[str]:
        await trio.sleep(31)
        return [summary for summary, _body in desktop.taken()]

    nursery.start_soon(room._tell_troubles, desktop, (), status)
    refused = Status(login=LoginStatus("refused", str(ServerError("OAU-251")), 60.0))
    now[0] = refused
    assert await told() == []
    desktop.is_away = False
    assert await told() == ["RingCentral refuses the login"], "as soon as there is a desktop"
    assert await told() == []
    now[0], full[0] = (
        Status(sends=SendsStatus(0, 0, 1, 2, None), outbox=OutboxStatus(0, 0, 3, None, None)),
        True,
    )
    assert sorted(await told()) == [
        "A message may or may not have been sent",
        "A message was not sent",
        "Deletions wait for you",
        "The disk is full",
    ]
    now[0], full[0] = refused, False
    assert await told() == ["RingCentral refuses the login"], "it was good in between"
    nursery.cancel_scope.cancel()
