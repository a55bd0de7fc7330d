"""Changes of messages as programs make them: file by file, and what of it becomes a change."""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import structlog
import trio

from rcfs.errors import (
    ForbiddenError,
    InvalidNameError,
    NotEmptyError,
    NotFoundError,
    NotPermittedError,
    ReadOnlyError,
)
from rcfs.files import Reader
from rcfs.files._changes import Changes
from rcfs.files._changing import READ_STATUS, Changing
from rcfs.files._vanishing import COMES_BACK_S, NOWHERE, WALKS_S, Place, Vanishing, Walkers
from rcfs.model import READ, UNREAD, Availability, ChangeRules, Extension, Message, Party
from rcfs.quota import Opener
from rcfs.transport import Recorder
from rcfs.tree import Directory, Node, Root, build_root
from tests.fakes.askers import Somebody
from tests.fakes.catalogue import PlainCatalogue
from tests.fakes.nodes import at

JANE = Extension(id=5, number="101", name="Jane")
BOX = "101 Jane"
RM, CP = Somebody(number=7), Somebody(number=8)
MONTH = ("SMS", "2026-11")
FILES = ("message.json", "text.txt")


def named(program: str) -> Somebody:
    return Somebody(Reader(program, Opener((program,), "session", "user")), number=9)


def message(number: int, kind: str = "SMS", **fields: Any) -> Message:
    return Message(
        number,
        kind,
        sender=Party(phone_number=f"+1212555{number:04}"),
        created_s=1793726825.0,
        read_status=UNREAD,
        subject="hi",
        **fields,
    )


@attrs.define(eq=False)
class Book:
    """An outbox that makes each change at once, and notes it."""

    catalogue: PlainCatalogue
    rules: ChangeRules
    because: str = ""
    wanted: list[tuple[Any, ...]] = attrs.field(factory=list)
    left: int = 0

    def refusal(self, _owner_id: int) -> str:
        return self.because

    def _put(self, ids: Sequence[int], **fields: Any) -> None:
        self.catalogue.put(*(attrs.evolve(self.catalogue.messages_by_id[each], **fields) for each in ids))

    async def mark(self, _owner_id: int, ids: Sequence[int], *, read: bool) -> None:
        self.wanted.append(("mark", *ids, read))
        self._put(ids, read_status=READ if read else UNREAD)

    async def trash(self, _owner_id: int, ids: Sequence[int]) -> None:
        self.wanted.append(("trash", *ids))
        self._put(ids, availability=Availability.DELETED)

    async def restore(self, _owner_id: int, ids: Sequence[int]) -> None:
        self.wanted.append(("restore", *ids))
        self._put(ids, availability=Availability.ALIVE)

    async def purge(self, _owner_id: int, ids: Sequence[int]) -> None:
        self.wanted.append(("purge", *ids))
        self.catalogue.remove(*ids)

    async def delete_conversations(self, _owner_id: int, ids: Sequence[str]) -> None:
        self.wanted.append(("conversations", *ids))
        self._put(
            [each.id for each in self.catalogue.messages_by_id.values() if each.conversation_id in ids],
            availability=Availability.DELETED,
        )


@attrs.define(eq=False)
class World:
    """A tree of one mailbox, and what programs do in it."""

    root: Root
    book: Book
    changing: Changing
    recorder: Recorder

    def node(self, *path: str) -> Node:
        """The node that the tree shows at a path in the mailbox."""
        node = at(self.root, BOX)
        for name in path:
            assert isinstance(node, Directory)
            found = self.changing.find(node, name)
            if found is None:
                raise NotFoundError("/".join(path))
            node = found
        return node

    def names(self, *path: str) -> list[str]:
        """The names in a directory of the mailbox, read one by one."""
        directory = self.node(*path)
        assert isinstance(directory, Directory)
        listed, after = [], 0
        while page := self.changing.page(directory, after, 1):
            listed += [entry.name for entry in page]
            after = page[-1].cursor
        return listed

    async def rm_r(self, *path: str, asker: Somebody = RM) -> None:
        """Deletes as `rm -r` does."""
        directory = self.node(*path)
        assert isinstance(directory, Directory)
        self.changing.listed(directory, asker)
        for name in self.names(*path):
            if isinstance(self.node(*path, name), Directory):
                await self.rm_r(*path, name, asker=asker)
            else:
                await self.changing.remove(directory, name, asker)
        await self.changing.remove_directory(self.node(*path[:-1]), path[-1], asker)

    async def mv(self, source: tuple[str, ...], target: tuple[str, ...], name: str = "") -> None:
        """Moves `source` into the directory `target`."""
        parents = self.node(*source[:-1]), self.node(*target)
        await self.changing.move(parents, source[-1], name or source[-1], exchange=False)

    @property
    def told(self) -> list[str]:
        return [fault.detail for fault in self.recorder.faults]


Make = Callable[..., World]


@pytest.fixture
def make() -> Make:
    def make(*messages: Message, **rules: Any) -> World:
        catalogue = PlainCatalogue()
        catalogue.put(*messages)
        book = Book(catalogue, ChangeRules(**({"read_write": True} | rules)))
        recorder = Recorder(structlog.get_logger())
        engine = SimpleNamespace(outbox=book, recorder=recorder)
        root = build_root([JANE, Extension(id=6, number="102")], fallback_s=0.0)
        root.extension(5).show(catalogue)
        root.extension(6).show(PlainCatalogue())
        return World(root, book, Changing(root, cast("Any", engine), Changes()), recorder)

    return make


def home(number: int, *, view: str = "SMS") -> tuple[str, ...]:
    return (view, "2026-11", name_of(number))


def name_of(number: int) -> str:
    return f"2026-11-03T17.27.05Z from +1212555{number:04} [{number}]"


async def test_a_message_is_deleted_when_its_directory_is(make: Make) -> None:
    world = make(message(1), message(2))
    folder = world.node(*home(1))
    assert isinstance(folder, Directory)
    world.changing.listed(folder, RM)
    for hidden in range(1, 3):
        await world.changing.remove(folder, FILES[hidden - 1], RM)
        assert world.names(*home(1)) == list(FILES[hidden:])
        with pytest.raises(NotFoundError):
            world.node(*home(1), FILES[0])
    assert (world.book.wanted, len(world.names(*MONTH))) == ([], 2)
    assert await world.changing.remove_directory(world.node(*MONTH), name_of(1), RM) == (name_of(1),)
    assert world.book.wanted == [("trash", 1)]
    assert world.names("Trash", name_of(1)) == list(FILES)
    with pytest.raises(NotFoundError):
        await world.changing.remove(world.node(*MONTH), name_of(1), RM)


async def test_a_directory_that_is_not_empty_stays(make: Make) -> None:
    world = make(message(1))
    parent = world.node(*MONTH)
    for asker, removed in ((RM, 0), (RM, 1), (named("thunar"), 1)):
        if removed and asker is RM:
            world.changing.listed(cast("Directory", world.node(*home(1))), RM)
            await world.changing.remove(world.node(*home(1)), FILES[0], RM)
        if asker is RM:
            with pytest.raises(NotEmptyError):
                await world.changing.remove_directory(parent, name_of(1), asker)
            with pytest.raises(NotEmptyError):
                await world.changing.remove_directory(world.node("SMS"), "2026-11", asker)
    assert world.book.wanted == []
    await world.changing.remove_directory(parent, name_of(1), named("thunar"))
    assert world.book.wanted == [("trash", 1)]
    with pytest.raises(NotFoundError):
        await world.changing.remove_directory(parent, "nothing", RM)


async def test_a_month_is_there_until_it_is_removed(make: Make) -> None:
    world = make(message(1), message(2), message(3, "Fax"))
    folder = world.node(*MONTH)
    for number in (1, 2):
        await world.rm_r(*home(number))
    assert world.names("SMS") == []
    assert world.names(*MONTH) == []
    assert await world.changing.remove_directory(world.node("SMS"), "2026-11", RM) == ("2026-11",)
    with pytest.raises(NotFoundError):
        world.node(*MONTH)
    assert world.book.wanted == [("trash", 1), ("trash", 2)]
    assert folder is not None
    with pytest.raises(NotFoundError):
        world.node("Fax", "2026-10")


async def test_what_was_not_removed_whole_comes_back(
    make: Make, autojump_clock: object, nursery: Any
) -> None:
    world = make(message(1), message(2), message(3, "Fax"))
    heard: list[object] = []
    world.changing._changes.listen(cast("Any", SimpleNamespace(changed=heard.extend)))
    nursery.start_soon(world.changing.run)
    directory = cast("Directory", world.node(*home(1)))
    world.changing.listed(directory, RM)
    await world.changing.remove(directory, FILES[0], RM)
    await trio.sleep(COMES_BACK_S / 2)
    await world.changing.remove(directory, FILES[1], RM)
    await trio.sleep(COMES_BACK_S * 0.9)
    assert world.names(*home(1)) == []
    assert world.told == []
    await trio.sleep(COMES_BACK_S * 0.2)
    assert world.names(*home(1)) == list(FILES)
    assert len(world.told) == 1
    assert world.told[0].startswith("message 1: 2 files were removed, and not the directory; all is there")
    # The second time, and a folder that a program leaves behind.
    await world.rm_r(*home(3, view="Fax"))
    assert world.names("Fax", "2026-11") == []
    await trio.sleep(COMES_BACK_S * 1.1)
    with pytest.raises(NotFoundError):
        world.node("Fax", "2026-11")
    assert heard == [(BOX, "Fax", "2026-11")]
    assert world.book.wanted == [("trash", 3)]


async def test_a_file_is_not_deleted_alone(make: Make) -> None:
    world = make(message(1))
    directory = cast("Directory", world.node(*home(1)))
    world.changing.listed(directory, CP)
    world.changing.listed(directory, named("rsync"))
    for asker in (RM, RM, named("rsync")):
        with pytest.raises(NotPermittedError):
            await world.changing.remove(directory, FILES[0], asker)
    assert [line.partition(";")[0] for line in world.told] == [
        "a file of a message cannot be deleted alone, since RingCentral deletes messages as a whole",
        "rsync and similar programs change no messages in a mount",
    ]
    with pytest.raises(NotFoundError):
        await world.changing.remove(directory, "nothing", CP)
    assert world.names(*home(1)) == list(FILES)


async def test_the_trash_is_emptied_only_with_an_option(make: Make) -> None:
    trashed = message(1, availability=Availability.DELETED)
    world = make(trashed)
    with pytest.raises(NotPermittedError):
        await world.rm_r("Trash", name_of(1))
    with pytest.raises(NotPermittedError):
        await world.changing.remove_directory(world.node("Trash"), name_of(1), named("thunar"))
    assert (world.book.wanted, len(world.told)) == ([], 1)
    assert "--allow-purge" in world.told[0]
    world = make(trashed, allow_purge=True)
    await world.rm_r("Trash", name_of(1))
    assert (world.book.wanted, world.names("Trash")) == ([("purge", 1)], [])


async def test_messages_are_moved_into_the_trash_and_out_of_it(make: Make) -> None:
    older = attrs.evolve(message(4), created_s=1791000000.0)
    world = make(message(1), message(2), message(3, "Fax", availability=Availability.DELETED), older)
    await world.mv(home(1), ("Trash",), "another name")
    await world.mv(home(2), ("Trash",))
    assert world.book.wanted == [("trash", 1), ("trash", 2)]
    assert world.names("Trash") == [name_of(1), name_of(2), name_of(3)]
    trash = ("Trash", name_of(1))
    wrong: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        (trash, ("Trash",)),
        (trash, ("Fax",)),
        (trash, ("SMS", "2026-10")),
        (trash, ("Unread",)),
        (trash, ("By-Contact",)),
        (trash, ()),
    ]
    for source, target in wrong:
        with pytest.raises(NotPermittedError):
            await world.mv(source, target, "x")
    parents = world.node("Trash"), at(world.root, "102", "SMS")
    with pytest.raises(NotPermittedError):
        await world.changing.move(parents, name_of(1), "x", exchange=False)
    await world.mv(trash, ("SMS",), "2026-11")
    await world.mv(("Trash", name_of(2)), MONTH, "another name")
    assert world.book.wanted[2:] == [("restore", 1), ("restore", 2)]
    assert world.names(*MONTH) == [name_of(1), name_of(2)]
    for source, target in ((home(1), MONTH), (home(1), ("Fax",)), (MONTH, ("Trash",))):
        with pytest.raises(NotPermittedError):
            await world.mv(source, target, "x")
    with pytest.raises(NotEmptyError):
        await world.mv(home(1), ("Trash",), name_of(3))
    with pytest.raises(InvalidNameError):
        await world.changing.move(
            (world.node(*MONTH), world.node("Trash")), name_of(1), name_of(3), exchange=True
        )
    assert len(world.book.wanted) == 4


async def test_marks(make: Make) -> None:
    world = make(message(1), message(2), message(3, direction="Outbound"))
    await world.changing.set_xattr(world.node(*home(1)), READ_STATUS, b"Read", RM)
    await world.changing.set_xattr(world.node(*home(1), FILES[0]), READ_STATUS, b"unread\n", RM)
    await world.changing.set_xattr(world.node(*MONTH), READ_STATUS, b"Read", RM)
    assert world.book.wanted == [("mark", 1, True), ("mark", 1, False), ("mark", 1, 2, 3, True)]
    await world.changing.set_xattr(world.node("Unread"), READ_STATUS, b"Read", RM)
    assert len(world.book.wanted) == 3, "nothing is unread"
    await world.changing.set_xattr(world.node(*home(2)), READ_STATUS, b"Unread", RM)
    await world.changing.remove(world.node("Unread"), name_of(2), RM)
    assert world.book.wanted[4:] == [("mark", 2, True)]
    assert world.names("Unread") == []
    with pytest.raises(InvalidNameError):
        await world.changing.set_xattr(world.node(*MONTH), READ_STATUS, b"Seen", RM)
    with pytest.raises(NotPermittedError):
        await world.changing.set_xattr(world.node(*MONTH), READ_STATUS, b"Read", named("rsync"))
    for path, name in ((MONTH, "user.x"), (("SMS",), READ_STATUS), ((), READ_STATUS)):
        with pytest.raises(ReadOnlyError):
            await world.changing.set_xattr(world.node(*path), name, b"Read", RM)
    assert [line.partition(" of ")[0] for line in world.told[1:]] == ["user.rcfs.read_status is set"]


async def test_a_conversation_is_deleted_by_its_id(make: Make) -> None:
    world = make(message(1, conversation_id="77"), message(2), message(3, conversation_id="77"))
    folders = {
        next(name for name in world.names("Conversations", folder) if name.endswith("]"))[-3:-1]: folder
        for folder in world.names("Conversations")
    }
    await world.rm_r("Conversations", folders["[1"])
    assert world.book.wanted == [("conversations", "77")]
    await world.rm_r("Conversations", folders["[2"])
    assert world.book.wanted[1:] == [("trash", 2)], "it has no id"
    assert world.names("Conversations") == []


async def test_links_elsewhere_stay(make: Make) -> None:
    world = make(message(1))
    (contact,) = world.names("By-Contact")
    with pytest.raises(NotPermittedError):
        await world.rm_r("By-Contact", contact)
    assert world.book.wanted == []


async def test_nothing_is_changed_where_that_is_known_not_to_be_permitted(make: Make) -> None:
    world = make(message(1), message(2, availability=Availability.DELETED))
    world.book.because = "the app lacks the scope EditMessages"
    attempts: list[Callable[[], Awaitable[None]]] = [
        lambda: world.rm_r(*home(1)),
        lambda: world.mv(home(1), ("Trash",)),
        lambda: world.mv(("Trash", name_of(2)), MONTH),
        lambda: world.changing.set_xattr(world.node(*MONTH), READ_STATUS, b"Read", RM),
        lambda: world.changing.remove(world.node("Unread"), name_of(1), RM),
    ]
    for attempt in attempts:
        with pytest.raises(ForbiddenError, match="EditMessages"):
            await attempt()
    assert (world.book.wanted, len(world.told)) == ([], 1)


async def test_a_message_that_is_gone_meanwhile(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def trash(_book: Book, _owner_id: int, _ids: Sequence[int]) -> None:  # noqa: ASYNC124
        raise ValueError("the index has no message 1")

    monkeypatch.setattr(Book, "trash", trash)
    world = make(message(1))
    with pytest.raises(NotFoundError, match="has no message"):
        await world.rm_r(*home(1))


async def test_a_read_only_tree_knows_no_changes(make: Make) -> None:
    world = make(message(1), read_write=False)
    assert not world.changing.has(world.node(*MONTH))
    with pytest.raises(ReadOnlyError):
        await world.changing.set_xattr(world.node(*MONTH), READ_STATUS, b"Read", RM)


def test_vanishing() -> None:
    vanishing, one, other = Vanishing[Place](), Place(1, message_id=1), Place(1, message_id=2)
    assert vanishing.next_s is None
    vanishing.hide(one, "a", 10)
    vanishing.hide(other, "b", 20)
    vanishing.hide(one, "c", 30)
    assert (set(vanishing.names(one)), vanishing.names(NOWHERE)) == ({"a", "c"}, ())
    assert vanishing.next_s == 20 + COMES_BACK_S
    assert vanishing.overdue(19 + COMES_BACK_S) == []
    assert vanishing.overdue(20 + COMES_BACK_S) == [(other, 1)]
    assert (other in vanishing, one in vanishing) == (False, True)
    vanishing.drop(one)
    vanishing.drop(one)
    assert vanishing.next_s is None


def test_walkers() -> None:
    walkers = Walkers()
    assert not walkers.removes(1, 0)
    walkers.seen(1, 0)
    for time_s in itertools.accumulate([WALKS_S] * 3):
        assert walkers.removes(1, time_s), "a removal counts as well"
    assert not walkers.removes(1, 4 * WALKS_S + 1)
    for process in range(2, 5000):
        walkers.seen(process, 0)
    assert walkers.removes(4999, 0)
    assert not walkers.removes(2, 0), "only the latest are remembered"
