"""Texts that are open while what they tell of changes: they grow, or are stale to those who read them.

A conversation grows at its end while messages arrive, so `tail -f` shows each as it comes: whoever has it
open has the new bytes. Where a text changes otherwise (a message was deleted, or is older than others), one
that is open would mix two versions: it is stale, as on NFS, and has to be opened anew, as `tail -F` does.
"""

from collections.abc import Callable, Hashable
from typing import Final

import trio

from rcfs.errors import NotFoundError, StaleError
from rcfs.files._changes import Changes
from rcfs.files._openers import OpenText
from rcfs.tree import TextFile

LOOK_S: Final = 60.0
"""How often who has a text open counts as somebody who looks into its mailbox: as often as one is synced."""


class Texts:
    """The texts that are open; all methods run in the trio thread."""

    def __init__(self, changes: Changes) -> None:
        """Tells `changes` what becomes of open texts."""
        self._changes = changes
        self._open: dict[Hashable, OpenText] = {}
        self._asked = 0
        self._changed: set[int] = set()  # extensions
        self._some_changed = trio.Event()

    def ask(self) -> int:
        """Numbers a rendering that begins now: one that took longer may be done after a newer one."""
        self._asked += 1
        return self._asked

    def open(self, place: Hashable, node: TextFile, data: bytes, number: int) -> OpenText:
        """The open text of `place`, with one more user.

        Args:
            place: Where it is opened.
            node: What is there.
            data: Its bytes.
            number: Of the rendering that they are from, by `ask`.

        Raises:
            NotFoundError: What it told of has gone since it was looked up.
            StaleError: The place means another text by now.
        """
        text = self._open.get(place)
        if text is not None and text.is_stale:
            raise StaleError("the text has become another")
        if text is not None and number < text.number:
            data = text.data
        if not data and node.size_bytes:
            raise NotFoundError("the text has gone")
        if len(data) != node.size_bytes:
            # It has changed since somebody asked for its size.
            node.size_bytes = len(data)
            self._changes.size_changed(place)
        if text is not None and not _goes_on(text, node, data):
            # Not at the same place, of which those who have the old one open may share pages.
            self._retire(text)
            raise StaleError("the text has become another")
        if text is None:
            text = self._open[place] = OpenText(place, node, data)
        text.node, text.data = node, data
        text.number = max(number, text.number)
        text.users += 1
        return text

    def release(self, text: OpenText) -> None:
        """One user of an open text is gone."""
        text.users -= 1
        if not text.users and self._open.get(text.place) is text:
            del self._open[text.place]

    def require_fresh(self, place: Hashable) -> None:
        """Returns if `place` still means what was opened there, as far as texts are concerned.

        Raises:
            StaleError: It does not.
        """
        text = self._open.get(place)
        if text is not None and text.is_stale:
            raise StaleError("the text has become another")

    def mailbox_changed(self, extension_id: int) -> None:
        """Something of this extension means something else than before."""
        if self._open:
            self._changed.add(extension_id)
            self._some_changed.set()

    async def run(self) -> None:
        """Brings what is open up to date, for as long as somebody may have something open."""
        while True:
            await self._some_changed.wait()
            self._some_changed = trio.Event()
            changed, self._changed = self._changed, set()
            for text in list(self._open.values()):
                if text.node.mailbox_id in changed and text.node.is_known:
                    await self._update(text)
                await trio.lowlevel.checkpoint()

    async def look(self, into: Callable[[int], None]) -> None:
        """Looks into the mailboxes of what is open, for as long as somebody may have something open.

        Whoever waits for the end of a text to grow may be answered by a kernel, so nobody else would look.

        Args:
            into: Gets the id of an extension.
        """
        while True:
            await trio.sleep(LOOK_S)
            nodes = [text.node for text in self._open.values()]
            for extension_id in {node.mailbox_id for node in nodes if node.is_known}:
                if extension_id is not None:
                    into(extension_id)

    async def _update(self, text: OpenText) -> None:
        """Lets an open text be what it is now."""
        node, number = text.node, self.ask()
        data = node.content() if node.is_quick else await trio.to_thread.run_sync(node.content)
        if self._open.get(text.place) is not text or text.is_stale or number < text.number:
            return
        text.number = number
        if data == text.data:
            return
        if data and _goes_on(text, node, data):
            text.data = data
            text.node.size_bytes = len(data)
            self._changes.text_grew(text.place, len(data))
        else:
            self._retire(text)

    def _retire(self, text: OpenText) -> None:
        """Ends a text that what is there now does not go on from; its name leads to another one."""
        text.is_stale = True
        self._changes.text_replaced(text.place)


def _goes_on(text: OpenText, node: TextFile, data: bytes) -> bool:
    """Whether those who have `text` open can be shown `data`, which is what `node` tells now."""
    return data == text.data or (node.grows and data.startswith(text.data))
