"""Texts that are open while their collections change: they grow or become stale.

A conversation grows at its end while messages arrive, and readers that have it open get the new bytes, so
`tail -f` shows each message. If a text changes in another way (a message was deleted, or an older one
arrived), its readers would mix two versions. So the open text becomes stale, as on NFS, and readers must open
the file again, as `tail -F` does.
"""

from collections.abc import Callable, Hashable
from typing import Final

import trio

from rcfs.errors import NotFoundError, RcfsError, StaleError
from rcfs.files._changes import Changes
from rcfs.files._openers import OpenText
from rcfs.files._renderings import Renderer, Rendering
from rcfs.tree import TextFile

LOOK_S: Final = 60.0
"""Time between two visits to the collection of an open text: the time between two syncs."""
_THREADS: Final = 4
"""Slow texts that are rendered at the same time."""


class Texts:
    """The open texts; all methods run in the trio thread."""

    def __init__(self, changes: Changes, renderer: Renderer) -> None:
        """Tells `changes` when open texts grow or become stale."""
        self._changes = changes
        self._renderer = renderer
        # A limiter of its own: threads that wait for a lock must not keep a text from its readers.
        self._threads = trio.CapacityLimiter(_THREADS)
        self._open: dict[Hashable, OpenText] = {}
        self._asked = 0
        self._changed: set[str] = set()  # ids of collections
        self._some_changed = trio.Event()

    def ask(self) -> int:
        """A number for a rendering that begins now: a slow rendering may end after a newer one."""
        self._asked += 1
        return self._asked

    async def render(self, place: Hashable, node: TextFile) -> Rendering:
        """The present bytes of `node`, which may be open at `place` already.

        A slow text is rendered in a worker thread, and a cancelled caller leaves at once.

        Raises:
            NoRoomError: The text is long, and the disk of the cache has no room for it.
        """
        if node.is_quick:
            return Rendering(node.content())
        text = self._open.get(place)
        before = None if text is None else text.text
        return await trio.to_thread.run_sync(
            lambda: self._renderer.render(node.pieces(), before),
            limiter=self._threads,
            abandon_on_cancel=True,
        )

    def open(self, place: Hashable, node: TextFile, data: Rendering, number: int) -> OpenText:
        """The open text of `place`, with one more user.

        Args:
            place: The place of the open.
            node: The text.
            data: Its bytes, from `render`.
            number: Number of their rendering, from `ask`.

        Raises:
            NotFoundError: The message or conversation is gone since the lookup.
            StaleError: The place was replaced by another text.
        """
        text = self._open.get(place)
        if text is not None and text.is_stale:
            raise StaleError("the text has changed; open the file again")
        if text is not None and number < text.number:
            data = text.text
        if not data.size_bytes and node.size_bytes and node.size_is_exact:
            raise NotFoundError("the text is gone")
        if data.size_bytes != node.size_bytes:
            # It has changed since its size was read.
            node.size_bytes = data.size_bytes
            self._changes.size_changed(place)
        node.size_is_exact = True
        if text is not None and not _continues(text, node, data):
            # The new text gets another place, because readers of the old one may share pages of this one.
            self._retire(text)
            raise StaleError("the text has changed; open the file again")
        if text is None:
            text = self._open[place] = OpenText(place, node, data)
        text.node, text.text = node, data
        text.number = max(number, text.number)
        text.users += 1
        return text

    def release(self, text: OpenText) -> None:
        """Ends one use of an open text."""
        text.users -= 1
        if not text.users and self._open.get(text.place) is text:
            del self._open[text.place]

    def require_fresh(self, place: Hashable) -> None:
        """Returns unless a stale text is open at `place`.

        Raises:
            StaleError: A stale text is open there.
        """
        text = self._open.get(place)
        if text is not None and text.is_stale:
            raise StaleError("the text has changed; open the file again")

    def collection_changed(self, collection_id: str) -> None:
        """Updates the open texts of this collection soon."""
        if self._open:
            self._changed.add(collection_id)
            self._some_changed.set()

    async def run(self) -> None:
        """Updates open texts after changes, until it is cancelled."""
        while True:
            await self._some_changed.wait()
            self._some_changed = trio.Event()
            changed, self._changed = self._changed, set()
            for text in list(self._open.values()):
                if text.node.collection_id in changed and text.node.is_known:
                    await self._update(text)
                await trio.lowlevel.checkpoint()

    async def look(self, into: Callable[[str], None]) -> None:
        """Visits the collections of open texts, until it is cancelled.

        A kernel may answer `tail -f` without asking rcfs, so nothing else would show that a person looks.

        Args:
            into: Called with the id of each collection.
        """
        while True:
            await trio.sleep(LOOK_S)
            nodes = [text.node for text in self._open.values()]
            for collection_id in {node.collection_id for node in nodes if node.is_known}:
                if collection_id is not None:
                    into(collection_id)

    async def _update(self, text: OpenText) -> None:
        """Renders an open text again, and lets it grow or retires it."""
        node, number = text.node, self.ask()
        try:
            data = await self.render(text.place, node)
        except RcfsError:
            # Its readers must not mistake an old text for the present one. The next open says what is wrong.
            if self._open.get(text.place) is text and not text.is_stale:
                self._retire(text)
            return
        if self._open.get(text.place) is not text or text.is_stale or number < text.number:
            return
        text.number = number
        if data.equals(text.text):
            return
        if data.size_bytes and _continues(text, node, data):
            text.text = data
            text.node.size_bytes = data.size_bytes
            self._changes.text_grew(text.place, data.size_bytes)
        else:
            self._retire(text)

    def _retire(self, text: OpenText) -> None:
        """Marks a text as stale; its name leads to another text from now on."""
        text.is_stale = True
        self._changes.text_replaced(text.place)


def _continues(text: OpenText, node: TextFile, data: Rendering) -> bool:
    """Whether readers of `text` can continue with `data`, the present bytes of `node`."""
    return text.text.begins(data) if node.grows else text.text.equals(data)
