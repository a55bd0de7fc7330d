"""Notifications on the desktop for new voicemails and faxes, and for failures that need a person.

Source: https://specifications.freedesktop.org/notification-spec. Without a desktop nothing is told, and the
mount works as well.
"""

import html
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import attrs
import trio
from jeepney import DBusAddress, new_method_call
from jeepney.io.trio import open_dbus_router
from jeepney.wrappers import unwrap_msg

from rcfs.engine import Engine
from rcfs.errors import StoreError
from rcfs.mailbox import Change, MailboxChanged, MailboxLoaded
from rcfs.model import DAY_S, Extension, message_from
from rcfs.status import Status
from rcfs.transport import Recorder, run_together
from rcfs.watch._notices import NEWS, Arrival, Notice, arrival, news, troubles

_DAEMON = DBusAddress(
    "/org/freedesktop/Notifications",
    bus_name="org.freedesktop.Notifications",
    interface="org.freedesktop.Notifications",
)
_WITHIN_S = 5.0
"""Longest wait for the desktop: it answers in milliseconds."""
_SETTLE_S = 2.0
"""How long to gather messages that come together."""
_LOOK_EVERY_S = 30.0
"""Time between two looks for failures."""
_RECENT_S = DAY_S
"""Age up to which a message is news, also of one that came while rcfs was not mounted."""
_LEAST_FREE_BYTES = 32 << 20
"""Less free room counts as a full disk: the databases alone may need that much."""
_NORMAL, _CRITICAL = 1, 2
"""Levels of urgency."""

StatusOf = Callable[[], Awaitable[Status]]


class Desktop:
    """The notification daemon of the session."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._failed = False

    async def show(self, notices: Iterable[Notice]) -> bool:
        """Shows notifications; whether that succeeded. Never raises, and waits for 5 s at most."""
        try:
            with trio.fail_after(_WITHIN_S):
                async with open_dbus_router(_session_bus()) as router:
                    for notice in notices:
                        unwrap_msg(await router.send_and_get_reply(_call(notice)))
        except Exception as exc:  # noqa: BLE001 - whatever the bus raises, the mount works without it
            if not self._failed:
                self._recorder.note("notification failed", reason=str(exc) or type(exc).__name__)
            self._failed = True
            return False
        self._failed = False
        return True


def _session_bus() -> str:
    """The address of the session's bus; a mount that cron or ssh began may not have it in its environment."""
    path = Path(f"/run/user/{os.getuid()}/bus")
    return os.environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={path}"


def _call(notice: Notice) -> object:
    icon = "dialog-warning" if notice.is_trouble else "mail-unread"
    hints = {
        "urgency": ("y", _CRITICAL if notice.is_trouble else _NORMAL),
        "category": ("s", "transfer.error" if notice.is_trouble else "email.arrived"),
    }
    # The body may have markup, so what a sender is called must not be taken for it.
    body = html.escape(notice.body, quote=False)
    return new_method_call(
        _DAEMON, "Notify", "susssasa{sv}i", ("rcfs", 0, icon, notice.summary, body, [], hints, -1)
    )


async def notify(directories: Sequence[Path], recorder: Recorder, engine: Engine, status: StatusOf) -> None:
    """Tells the desktop of news and failures until it is cancelled.

    Args:
        directories: Those whose disks must not be full.
        recorder: Logs when the desktop cannot be told.
        engine: The account.
        status: The present status.
    """
    desktop = Desktop(recorder)
    await run_together(
        (
            partial(_tell_news, desktop, engine, recorder),
            partial(_tell_troubles, desktop, directories, status),
        )
    )


async def _tell_news(desktop: Desktop, engine: Engine, recorder: Recorder) -> None:
    reader = _NewMessages(engine, engine.wall_clock() - _RECENT_S)
    changed: set[int] = {extension.id for extension in engine.account.extensions}
    something = trio.Event()
    something.set()

    def hear(change: Change) -> None:
        if isinstance(change, (MailboxChanged, MailboxLoaded)):
            changed.add(change.extension_id)
            something.set()

    unsubscribe = engine.account.changes.subscribe(hear)
    try:
        while True:
            await something.wait()
            something = trio.Event()
            looked = [each for each in engine.account.extensions if each.id in changed]
            changed.clear()
            try:
                arrivals = await trio.to_thread.run_sync(reader.look, looked)
            except StoreError as exc:
                recorder.failure("notify", exc)
                continue
            if arrivals:
                await desktop.show(news(arrivals))
            await trio.sleep(_SETTLE_S)
    finally:
        unsubscribe()


@attrs.define(eq=False)
class _NewMessages:
    """Finds the messages that came since it last looked into a mailbox; for one thread at a time."""

    _engine: Engine
    _since_s: float
    _seen: dict[int, set[int]] = attrs.field(factory=dict)
    """By extension, the messages that it has seen there; the first look into a mailbox tells no news."""

    def look(self, extensions: Sequence[Extension]) -> list[Arrival]:
        """The news in these mailboxes, the oldest first.

        Raises:
            StoreError: The index fails.
        """
        return [each for extension in extensions for each in self._look(extension)]

    def _look(self, extension: Extension) -> list[Arrival]:
        reader = self._engine.index.reader
        state = reader.mailbox(self._engine.account.id, extension.id)
        if state is None or not state.loaded:
            return []
        span_s = (self._since_s, float("inf"))
        raws = [
            raw for _, view in NEWS.values() for raw in reader.records_between(state.number, view, span_s)
        ]
        found = {each.id: each for raw in raws if (each := message_from(json.loads(raw), raw)) is not None}
        seen = self._seen.get(extension.id)
        self._seen[extension.id] = found.keys() | (seen or set())
        if seen is None:
            return []
        return [
            told
            for number, message in sorted(found.items())
            if number not in seen and (told := arrival(message, extension)) is not None
        ]


async def _tell_troubles(desktop: Desktop, directories: Sequence[Path], status: StatusOf) -> None:
    told: set[str] = set()
    while True:
        full = await trio.to_thread.run_sync(_is_full, directories, abandon_on_cancel=True)
        found = troubles(await status(), is_disk_full=full)
        new = found.keys() - told
        told &= found.keys()  # A failure that comes back is told again.
        if new and await desktop.show([found[name] for name in sorted(new)]):
            told |= new
        await trio.sleep(_LOOK_EVERY_S)


def _is_full(directories: Sequence[Path]) -> bool:
    """Whether a disk of these directories is full; False for one that cannot be asked."""
    for path in directories:
        try:
            if shutil.disk_usage(path).free < _LEAST_FREE_BYTES:
                return True
        except OSError:
            continue
    return False
