"""Loads mailboxes that nobody has looked into yet, in the background, so that hardly anybody waits for one.

The login's own mailbox comes first, then those that people used last, then the others. One is loaded at a
time, in the lowest class of the quota: everything else goes first, and the reserve for persons stays free. A
small account is loaded in one go. Of a large one, a mailbox is loaded every ten seconds once ten are loaded,
so that 200 mailboxes take about half an hour and at most a third of the default Light window.

Concurrency: all methods run in the trio thread.
"""

import math

import trio

from rcfs.errors import ForbiddenError, NotFoundError, RcfsError
from rcfs.mailbox._account import Account
from rcfs.mailbox._changes import Change, MailboxUsed
from rcfs.mailbox._context import Context
from rcfs.mailbox._remembered import REFUSED, USED, Remembered
from rcfs.model import DAY_S, Priority

_AT_ONCE = 10
"""Mailboxes that are loaded without a pause: some 30 requests, which leave a person 20 of the minute's 50."""
_PAUSE_S = 10.0
"""Time between two of the others: a mailbox of up to a thousand messages costs two requests."""
_LOOK_EVERY_S = 60.0
"""How often to look whether there is another: an extension that is new, or an index that was lost."""
_AGAIN_S = 600.0
"""Time to the next attempt after one that failed."""
_REFUSED_AGAIN_S = DAY_S
"""The same after a refusal, also over remounts: permissions change seldom, and every mount would spend a
request on each such mailbox. A person who looks asks at once."""
_NOTE_USE_EVERY_S = 3600.0
"""How exactly it is known when a mailbox was last used: each look would be a write to the disk."""


class Preload:
    """Loads the mailboxes of `account`; `run` it once."""

    def __init__(self, context: Context, account: Account) -> None:
        """Prepares; notes which mailboxes are used from now on."""
        self._context = context
        self._account = account
        self._remembered = Remembered(context)
        self._not_before_s: dict[int, float] = {}
        self._used_s: dict[int, float] = {}
        """When a person last looked, in seconds since 1970-01-01 UTC; 0.0 for never. By extension."""
        self._noted_s: dict[int, float] = {}
        context.changes.subscribe(self._note_use)

    async def run(self) -> None:
        """Loads what is not loaded, for as long as the account is used."""
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
        # Whatever becomes of it, others come first.
        self._not_before_s[extension_id] = trio.current_time() + _AGAIN_S
        try:
            await self._account.mailboxes.refresh(extension_id, Priority.CRAWLER)
        except (ForbiddenError, NotFoundError) as exc:
            self._not_before_s[extension_id] = trio.current_time() + _REFUSED_AGAIN_S
            await self._remembered.keep(REFUSED, self._account.id, extension_id, exc.code)
        except RcfsError:
            pass  # It was told where it happened.

    def _next(self) -> int | None:
        """The extension whose mailbox to load now; None when there is none."""
        now = trio.current_time()
        mailboxes = self._account.mailboxes
        waiting = [
            extension.id
            for extension in self._account.extensions
            if not mailboxes.is_settled(extension.id) and self._begin_s(extension.id, now) <= now
        ]
        own = self._account.own_id
        return min(waiting, key=lambda each: (each != own, -self._last_used_s(each)), default=None)

    def _begin_s(self, extension_id: int, now: float) -> float:
        """When to load a mailbox at the earliest."""
        begin_s = self._not_before_s.get(extension_id)
        if begin_s is None:
            note = self._remembered.recall(REFUSED, self._account.id, extension_id)
            ago_s = math.inf if note is None else self._context.age_s(note.noted_s)
            begin_s = self._not_before_s[extension_id] = now + max(0.0, _REFUSED_AGAIN_S - ago_s)
        return begin_s

    def _last_used_s(self, extension_id: int) -> float:
        used_s = self._used_s.get(extension_id)
        if used_s is None:
            note = self._remembered.recall(USED, self._account.id, extension_id)
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
            self._context.nursery.start_soon(self._remembered.keep, USED, self._account.id, extension_id)
