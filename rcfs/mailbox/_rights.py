"""The rights that the app and the user of a login lack.

The token names the scopes of its app. The index keeps them, so that a mount shows the same tree before its
login and without the network. rcfs learns of a missing permission when the platform refuses a request, and
remembers that for a day: permissions seldom change, and each attempt costs a request.

Concurrency: all methods run in the trio thread.
"""

import json
from contextlib import suppress

from rcfs.errors import StoreError
from rcfs.mailbox._context import Context
from rcfs.model import DAY_S
from rcfs.store import Note

READ_MESSAGES = "ReadMessages"
"""Scope of mailboxes."""
READ_CALL_LOG = "ReadCallLog"
"""Scope of call logs."""
READ_RECORDING = "ReadCallRecording"
"""Scope of the contents of recordings."""
EDIT_MESSAGES = "EditMessages"
"""Scope of changes of messages."""
CALL_CONTROL = "CallControl"
"""Scope of notifications about telephony sessions."""
_BELIEVED_S = DAY_S
"""How long rcfs believes a refusal."""


class Rights:
    """The rights of one login."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._scopes: frozenset[str] | None = None
        self._notes: dict[str, Note | None] = {}

    def lacks(self, scope: str) -> bool:
        """Whether the app lacks `scope`, by its present token, else by its latest one; False if unknown."""
        scopes = self._known_scopes()
        return bool(scopes) and scope not in scopes

    @property
    def no_messages(self) -> str:
        """Why the login may read no mailbox at all, as part of a sentence; empty if it may, or may be."""
        return self._lacking(READ_MESSAGES)

    async def learn(self) -> bool:
        """Keeps the scopes of the present token for later mounts; returns whether they are new."""
        scopes = self._context.lane.session.scopes
        if not scopes or self._kept_scopes() == frozenset(scopes):
            return False
        self._scopes = frozenset(scopes)
        await self._write(self._scopes_topic, json.dumps(sorted(scopes)))
        return True

    def refusal(self, subject: str, scope: str = "") -> str:
        """Why the login may not have `subject`, as part of a sentence; empty if it may, or may be.

        The app lacks `scope`, if one is named, or the platform refused `subject` in the last day.
        """
        lacking = self._lacking(scope) if scope else ""
        if lacking:
            return lacking
        note = self._read(f"refused {subject} {self._context.login}")
        if note is None or self._context.age_s(note.noted_s) >= _BELIEVED_S:
            return ""
        return note.text

    async def note_refusal(self, subject: str, because: str) -> None:
        """Remembers that the platform refused `subject`; an empty `because` forgets it."""
        await self._write(f"refused {subject} {self._context.login}", because)

    def _lacking(self, scope: str) -> str:
        return f"the app lacks the scope {scope}" if self.lacks(scope) else ""

    @property
    def _scopes_topic(self) -> str:
        return f"scopes {self._context.login}"

    def _known_scopes(self) -> frozenset[str]:
        return frozenset(self._context.lane.session.scopes) or self._kept_scopes()

    def _kept_scopes(self) -> frozenset[str]:
        if self._scopes is None:
            note = self._read(self._scopes_topic)
            try:
                kept = [] if note is None else json.loads(note.text)
                self._scopes = frozenset(each for each in kept if isinstance(each, str))
            except (ValueError, TypeError):
                self._scopes = frozenset()  # The note is damaged; `learn` replaces it.
        return self._scopes

    # A failing index is reported where it is used for more than a note.

    def _read(self, topic: str) -> Note | None:
        if topic not in self._notes:
            with suppress(StoreError):
                self._notes[topic] = self._context.index.reader.noted(topic)
        return self._notes.get(topic)

    async def _write(self, topic: str, text: str) -> None:
        self._notes[topic] = Note(text, self._context.wall_clock())
        with suppress(StoreError):
            await self._context.note(topic, text)
