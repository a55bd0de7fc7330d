"""Loads mailboxes in the background before anyone looks into them, so that few people wait for a load.

The login's own mailbox comes first, then the most recently used, then the others. They load one at a time,
in the lowest class of the quota, so every other request goes first and the reserve for persons stays free.
The first ten load without a pause, the others ten seconds apart: 200 mailboxes take about half an hour and at
most a third of the default Light window.

Concurrency: all methods run in the trio thread.
"""

import math

import trio

from rcfs.errors import ForbiddenError, NotFoundError, RcfsError
from rcfs.mailbox._account import Account
from rcfs.mailbox._changes import Change, MailboxUsed
from rcfs.mailbox._context import Context
from rcfs.mailbox._mailbox_notes import read_note, write_note
from rcfs.model import DAY_S, Priority

_AT_ONCE = 10
"""Mailboxes that load without a pause: about 30 requests, which leave a person 20 of the minute's 50."""
_PAUSE_S = 10.0
"""Pause before each of the others: a mailbox of up to a thousand messages costs two requests."""
_LOOK_EVERY_S = 60.0
"""How often to look for another mailbox to load: of a new extension, or after the index was lost."""
_AGAIN_S = 600.0
"""Pause before a mailbox is tried again after a failure."""
_REFUSED_AGAIN_S = DAY_S
"""Pause after a refusal, also across remounts: permissions seldom change, and otherwise every mount would
spend a request on each such mailbox. A person who looks into one is not held back by this."""
_NOTE_USE_EVERY_S = 3600.0
"""Shortest time between two notes that a mailbox is used: a note at each look would mean many disk writes."""


class Preload:
    """Loads the mailboxes of `account`; `run` it once."""

    def __init__(self, context: Context, account: Account) -> None:
        """Notes from now on which mailboxes are used."""
        self._context = context
        self._account = account
        self._not_before_s: dict[int, float] = {}
        self._used_s: dict[int, float] = {}
        """By extension: when a person last looked, in seconds since 1970-01-01 UTC; 0.0 for never."""
        self._noted_s: dict[int, float] = {}
        context.changes.subscribe(self._note_use)

    async def run(self) -> None:
        """Loads mailboxes until it is cancelled."""
        loaded = 0
        while True:
            await self._context.network.wait_up()
            extension_id = self._next()
            if extension_id is None:
                await trio.sleep(_LOOK_EVERY_S)
                continue
            await self._load(extension_id)
            loaded += 1
            await trio.sleep(_PAUSE_S if loaded >= _AT_ONCE else 0)

    async def _load(self, extension_id: int) -> None:
        # A mailbox that fails must not be the next one again.
        self._not_before_s[extension_id] = trio.current_time() + _AGAIN_S
        try:
            await self._account.mailboxes.refresh(extension_id, Priority.CRAWLER)
        except (ForbiddenError, NotFoundError) as exc:
            self._not_before_s[extension_id] = trio.current_time() + _REFUSED_AGAIN_S
            await write_note(self._context, "refused", self._account.id, extension_id, exc.code)
        except RcfsError:
            pass  # `Collections` has logged it.

    def _next(self) -> int | None:
        """The extension whose mailbox to load next; None when no load is due."""
        now = trio.current_time()
        mailboxes = self._account.mailboxes
        waiting = [
            extension.id
            for extension in self._account.extensions
            if mailboxes.needs_load(extension.id) and self._begin_s(extension.id, now) <= now
        ]
        own = self._account.own_id
        return min(waiting, key=lambda each: (each != own, -self._last_used_s(each)), default=None)

    def _begin_s(self, extension_id: int, now: float) -> float:
        """The earliest time to load a mailbox."""
        begin_s = self._not_before_s.get(extension_id)
        if begin_s is None:
            note = read_note(self._context, "refused", self._account.id, extension_id)
            ago_s = math.inf if note is None else self._context.age_s(note.noted_s)
            begin_s = self._not_before_s[extension_id] = now + max(0.0, _REFUSED_AGAIN_S - ago_s)
        return begin_s

    def _last_used_s(self, extension_id: int) -> float:
        used_s = self._used_s.get(extension_id)
        if used_s is None:
            note = read_note(self._context, "used", self._account.id, extension_id)
            used_s = self._used_s[extension_id] = 0.0 if note is None else note.noted_s
        return used_s

    def _note_use(self, change: Change) -> None:
        if not isinstance(change, MailboxUsed):
            return
        extension_id = change.extension_id
        self._used_s[extension_id] = self._context.wall_clock()
        now = trio.current_time()
        if now - self._noted_s.get(extension_id, -math.inf) >= _NOTE_USE_EVERY_S:
            self._noted_s[extension_id] = now
            self._context.nursery.start_soon(
                write_note, self._context, "used", self._account.id, extension_id, ""
            )
