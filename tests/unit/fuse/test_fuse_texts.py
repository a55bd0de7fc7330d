"""Texts that are open while what they tell of changes."""

import errno

import attrs
import pyfuse3
import pytest
import trio
from trio.testing import MockClock

from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._texts import LOOK_S, Texts
from rcfs.model import Extension, Message, Party
from rcfs.tree import Directory, Node, Root, TextFile, build_root
from tests.fakes.catalogue import PlainCatalogue

PATH = ("101 Jane", "Conversations", "+12125557464 Bob Ray", "conversation.txt")
FIRST_S = 1_800_000_000.0


@attrs.define(eq=False)
class Scene:
    """One conversation, and the texts of it that are open."""

    catalogue: PlainCatalogue
    root: Root
    inodes: InodeTable
    texts: Texts

    def put(self, number: int, at_s: float) -> None:
        bob = Party("Bob Ray", "+12125557464")
        message = Message(number, type="SMS", sender=bob, created_s=FIRST_S + at_s, subject=f"No. {number}")
        self.catalogue.put(attrs.evolve(message, conversation_id="1"))

    def look_up(self) -> tuple[int, TextFile]:
        """The inode and node of the text, as the kernel asks for them."""
        inode: int = pyfuse3.ROOT_INODE
        node: Node = self.root
        for name in PATH:
            assert isinstance(node, Directory)
            found = node.find(name)
            assert found is not None
            inode, node = self.inodes.remember(inode, name.encode(), found), found
        assert isinstance(node, TextFile)
        return inode, node

    def record(self) -> TextFile:
        """The record of the extension, which is no conversation."""
        (node,) = (node for node in self.root.extension(5).entries().values() if isinstance(node, TextFile))
        return node

    def render(self) -> tuple[int, TextFile, bytes, int]:
        """What `Texts.open` gets, as of now."""
        inode, node = self.look_up()
        number = self.texts.ask()
        return inode, node, node.content(), number


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(pyfuse3, "invalidate_entry_async", lambda *_arguments, **_named: None)
    monkeypatch.setattr(pyfuse3, "invalidate_inode", lambda *_arguments, **_named: None)
    catalogue = PlainCatalogue()
    root = build_root([Extension(5, "101", "Jane")], fallback_s=0)
    root.extension(5).show(catalogue)
    inodes = InodeTable(root)
    made = Scene(catalogue, root, inodes, Texts(inodes))
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
    assert b"No. 2" in late.data
    inode, node, _data, _number = slow
    assert node.size_bytes == len(late.data)
    assert scene.look_up()[0] == inode


def test_who_has_the_old_version_open_shares_no_pages_with_the_new_one(scene: Scene) -> None:
    """A message arrives late, and who opens the text is the first who notices."""
    old = scene.texts.open(*scene.render())
    scene.put(2, -10.0)
    with pytest.raises(pyfuse3.FUSEError) as caught:
        scene.texts.open(*scene.render())
    assert caught.value.errno == errno.ESTALE, "the kernel looks the name up again"
    assert old.is_stale
    new = scene.texts.open(*scene.render())
    assert new.inode != old.inode
    assert new.data.index(b"No. 2") < new.data.index(b"No. 1")


def test_only_what_the_kernel_keeps_no_pages_of_grows_while_it_is_open(scene: Scene) -> None:
    """The kernel would show zeros for what is new in the last page that it has of the others."""
    inode, node = scene.look_up()
    assert node.grows
    record = attrs.evolve(scene.record(), size_bytes=1)
    old = scene.texts.open(inode, record, b"a", scene.texts.ask())
    with pytest.raises(pyfuse3.FUSEError):
        scene.texts.open(inode, record, b"ab", scene.texts.ask())
    assert old.is_stale


async def test_an_open_text_is_looked_at_all_the_while(scene: Scene, autojump_clock: MockClock) -> None:
    looks: list[int] = []
    text = scene.texts.open(*scene.render())
    scene.inodes.opened(text.inode, scene.look_up()[1])
    with trio.move_on_after(3.5 * LOOK_S):
        await scene.texts.look(looks.append)
    assert looks == [5, 5, 5]
    scene.texts.release(text)
    with trio.move_on_after(3.5 * LOOK_S):
        await scene.texts.look(looks.append)
    assert len(looks) == 3
