"""Texts that are open while their mailbox changes."""

from collections.abc import Hashable

import attrs
import pytest
import trio
from trio.testing import MockClock

from rcfs.errors import StaleError
from rcfs.files._changes import Changes, Listener
from rcfs.files._renderings import Renderer, Rendering
from rcfs.files._texts import LOOK_S, Texts
from rcfs.model import Extension, Message, Party
from rcfs.tree import Directory, Node, Root, TextFile, build_root
from tests.fakes.catalogue import PlainCatalogue

PATH = ("101 Jane", "Conversations", "+12125557464 Bob Ray", "conversation.txt")
FIRST_S = 1_800_000_000.0


@attrs.define(eq=False)
class Places(Listener):
    """Gives a name another place when what was there is replaced, as inodes do."""

    newest: int = 1

    def text_replaced(self, place: Hashable) -> None:
        assert place == self.newest
        self.newest += 1


@attrs.define(eq=False)
class Scene:
    """One conversation, and the texts of it that are open."""

    catalogue: PlainCatalogue
    root: Root
    places: "Places"
    texts: Texts

    def put(self, number: int, at_s: float) -> None:
        bob = Party("Bob Ray", "+12125557464")
        message = Message(number, type="SMS", sender=bob, created_s=FIRST_S + at_s, subject=f"No. {number}")
        self.catalogue.put(attrs.evolve(message, conversation_id="1"))

    def look_up(self) -> tuple[int, TextFile]:
        """The place and node of the text."""
        node: Node = self.root
        for name in PATH:
            assert isinstance(node, Directory)
            found = node.find(name)
            assert found is not None
            node = found
        assert isinstance(node, TextFile)
        return self.places.newest, node

    def record(self) -> TextFile:
        """The record of the extension, which is no conversation."""
        (node,) = (node for node in self.root.extension(5).entries().values() if isinstance(node, TextFile))
        return node

    def render(self) -> tuple[int, TextFile, Rendering, int]:
        """Present arguments for `Texts.open`."""
        place, node = self.look_up()
        number = self.texts.ask()
        return place, node, Rendering(node.content()), number


@pytest.fixture
def scene() -> Scene:
    catalogue = PlainCatalogue()
    root = build_root([Extension(5, "101", "Jane")], fallback_s=0)
    root.extension(5).show(catalogue)
    places, changes = Places(), Changes()
    changes.listen(places)
    made = Scene(catalogue, root, places, Texts(changes, Renderer(pytest.fail)))
    made.put(1, 0.0)
    return made


def test_a_rendering_that_took_long_is_no_news(scene: Scene) -> None:
    """While one open renders the text, a message arrives, and another open is done first."""
    slow = scene.render()
    scene.put(2, 10.0)
    quick = scene.texts.open(*scene.render())
    late = scene.texts.open(*slow)
    assert late is quick
    assert not quick.is_stale
    assert b"No. 2" in late.text.read(0, 999)
    place, node, _data, _number = slow
    assert node.size_bytes == late.text.size_bytes
    assert scene.look_up()[0] == place


def test_readers_of_the_old_version_share_no_pages_with_the_new_one(scene: Scene) -> None:
    """An older message arrives late, and an open of the text is the first to notice."""
    old = scene.texts.open(*scene.render())
    scene.put(2, -10.0)
    with pytest.raises(StaleError):
        scene.texts.open(*scene.render())
    assert old.is_stale
    new = scene.texts.open(*scene.render())
    assert new.place != old.place
    assert new.text.read(0, 999).index(b"No. 2") < new.text.read(0, 999).index(b"No. 1")


def test_only_texts_without_pages_in_the_kernel_grow_while_they_are_open(scene: Scene) -> None:
    """In other texts the kernel would show zeros for the new bytes in the last page that it has."""
    place, node = scene.look_up()
    assert node.grows
    record = attrs.evolve(scene.record(), size_bytes=1)
    old = scene.texts.open(place, record, Rendering(b"a"), scene.texts.ask())
    with pytest.raises(StaleError):
        scene.texts.open(place, record, Rendering(b"ab"), scene.texts.ask())
    assert old.is_stale


async def test_the_mailbox_of_an_open_text_is_visited_every_minute(
    scene: Scene, autojump_clock: MockClock
) -> None:
    looks: list[str] = []
    text = scene.texts.open(*scene.render())
    with trio.move_on_after(3.5 * LOOK_S):
        await scene.texts.look(looks.append)
    assert looks == ["mailbox/5"] * 3
    scene.texts.release(text)
    with trio.move_on_after(3.5 * LOOK_S):
        await scene.texts.look(looks.append)
    assert len(looks) == 3
