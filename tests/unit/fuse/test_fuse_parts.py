"""Inodes, attributes and errnos, without FUSE."""

import errno
import gc
import os
import stat
import tracemalloc
from collections.abc import Iterator

import attrs
import pyfuse3
import pytest
import structlog

from rcfs import errors
from rcfs.errors import RcfsError
from rcfs.files import errno_of
from rcfs.files._attributes import attributes_of
from rcfs.fuse import _inodes
from rcfs.fuse._attributes import Ownership, entry_of
from rcfs.fuse._errno import answering, answering_briefly
from rcfs.fuse._inodes import InodeTable
from rcfs.model import Attachment, ContentKey, Extension, Message
from rcfs.transport import Recorder
from rcfs.tree import AttachmentFile, Directory, Node, Root, build_root
from tests.fakes.catalogue import PlainCatalogue

OWNER = Ownership()


@pytest.fixture
def root() -> Root:
    return build_root([Extension(id=5, number="101", name="Jane")], fallback_s=1_000_000.0)


def filled(root: Root, *attachments: Attachment, created_s: float = 1_500_000.25) -> AttachmentFile:
    """The first attachment of a message, in a mailbox that holds just that."""
    message = Message(
        id=9, type="Fax", created_s=created_s, modified_s=created_s + 1, attachments=tuple(attachments)
    )
    catalogue = PlainCatalogue()
    catalogue.put(message)
    root.extension(5).show(catalogue)
    return next(node for node in below(root.extension(5)) if isinstance(node, AttachmentFile))


def entry(node: Node) -> pyfuse3.EntryAttributes:
    """The entry of `node`, whose inode is 7, for the kernel."""
    return entry_of(7, attributes_of(node, {}), OWNER)


def below(directory: Directory) -> Iterator[Node]:
    """All nodes below `directory`."""
    for node in directory.entries().values():
        yield node
        if isinstance(node, Directory):
            yield from below(node)


def test_an_inode_follows_from_the_path_alone(root: Root) -> None:
    name = next(iter(root.entries())).encode()
    first = InodeTable(root).number(1, name)
    assert first == InodeTable(root).number(1, name)
    assert first not in (0, 1)
    assert first < 2**63
    assert first != InodeTable(root).number(2, name)
    assert first != InodeTable(root).number(1, name + b"x")


def test_an_inode_lives_as_long_as_its_lookups(root: Root) -> None:
    table = InodeTable(root)
    node = root.extension(5)
    inode = table.number(1, b"101 Jane")
    assert table.node(inode) is None, "a number is not remembered by asking for it"
    assert inode not in table
    assert table.remember(1, b"101 Jane", node) == inode
    assert table.remember(1, b"101 Jane", node) == inode
    table.forget([(inode, 1)])
    assert table.node(inode) is node
    assert inode in table
    table.forget([(inode, 1)])
    assert table.node(inode) is None
    assert inode not in table
    assert len(table) == 1
    table.forget([(1, 5), (inode, 1)])
    assert table.node(1) is root, "the root is never forgotten"


def test_a_path_keeps_its_inode_and_shows_the_newest_node(root: Root) -> None:
    table = InodeTable(root)
    old, new = root, root.extension(5)
    inode = table.remember(1, b"x", old)
    assert table.remember(1, b"x", new) == inode
    assert table.node(inode) is new
    assert table.replace(inode, old)
    assert table.node(inode) is old
    table.opened(inode, old)
    assert table.replace(inode, new)
    assert table.node(inode) is new, "also while it is open"
    table.forget([(inode, 2)])
    assert table.node(inode) is new, "the kernel holds what is open, whatever was counted"
    table.closed(inode)
    assert not table.replace(inode, new), "the kernel does not hold it"
    assert table.node(inode) is None


@attrs.define(eq=False)
class Endless(Directory):
    """A directory that has every name, and makes a node whenever one is asked for."""

    made: int = 0
    gone: bool = False

    def find(self, name: str) -> Node | None:
        self.made += 1
        return None if self.gone else Directory()


def test_nodes_are_made_again_from_their_paths() -> None:
    root = Endless()
    table = InodeTable(root)
    inodes = [table.remember(1, str(number).encode(), Directory()) for number in range(20_000)]
    held = [table.node(inode) for inode in inodes[:100]]
    assert None not in held
    assert root.made == 100
    assert [table.node(inode) for inode in inodes[:100]] == held, "they are at hand now"
    assert root.made == 100
    table.opened(inodes[0], held[0] or root)
    root.gone = True
    for number in range(20_000):
        table.remember(2, str(number).encode(), Directory())
    assert table.node(inodes[0]) is held[0], "what is open stays, whatever becomes of its path"
    assert table.node(inodes[1]) is None
    table.closed(inodes[0])
    assert table.node(inodes[0]) is held[0]


def test_an_inode_takes_little_memory(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_inodes, "_NODES_AT_HAND", 4096)
    table = InodeTable(root)
    names = [f"2026-11-03T17.27.05Z from +12125557464 [{number}]".encode() for number in range(40_000)]
    node = root.extension(5)
    gc.collect()
    tracked = len(gc.get_objects())
    tracemalloc.start()
    for name in names:
        table.remember(1, name, node)
    taken, _peak = tracemalloc.get_traced_memory()
    tracked = len(gc.get_objects()) - tracked
    table.forget((table.number(1, name), 1) for name in names)
    left, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / len(names) < 210, "bytes; 185 were measured"
    assert tracked < 1000, "the garbage collector need not look at them"
    assert left < taken / 10, "a table that was large becomes small again"


def test_a_node_that_is_lost_is_found_from_the_directories_above(root: Root) -> None:
    table = InodeTable(root)
    extension, view = root.extension(5), root.extension(5).find("SMS")
    assert isinstance(view, Directory)
    jane = table.remember(1, b"101 Jane", extension)
    sms = table.remember(jane, b"SMS", view)
    month = table.remember(sms, b"2026-11", Endless())
    message = table.remember(month, b"message [1]", Endless())
    for number in range(20_000):
        table.remember(1, str(number).encode(), root)
    assert table.node(message) is None, "the mailbox is not known"
    above = table.known_above(message)
    assert above is not None
    assert above.collection_id == "mailbox/5"
    assert table.known_above(99) is None


def test_two_paths_with_one_digest_get_two_inodes(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    class Colliding:
        """A digest that depends only on the length of its input, except at the second try."""

        def __init__(self, data: bytes, digest_size: int) -> None:
            self._data, self._size = data, digest_size

        def digest(self) -> bytes:
            return (len(self._data) * 1000).to_bytes(self._size, "little")

    monkeypatch.setattr("rcfs.fuse._inodes.blake2b", Colliding)
    table = InodeTable(root)
    one, other = (table.remember(1, name, root.extension(5)) for name in (b"a", b"b"))
    assert one != other
    assert (table.number(1, b"a"), table.number(1, b"b")) == (one, other)


def test_pages_are_kept_as_long_as_the_text_is_the_same(root: Root) -> None:
    table = InodeTable(root)
    inode = table.remember(1, b"x", root)
    assert not table.serve(inode, b"one"), "nobody knows what an earlier mount left in the kernel"
    assert table.serve(inode, b"one")
    assert not table.serve(inode, b"two")
    assert table.serve(inode, b"two")
    table.forget([(inode, 1)])
    table.remember(1, b"x", root)
    assert not table.serve(inode, b"two")
    assert not table.serve(99, b"two"), "an inode that the kernel does not hold"


def test_a_directory_shows_as_one(root: Root) -> None:
    shown = entry(root.extension(5))
    assert shown.st_ino == 7
    assert stat.S_ISDIR(shown.st_mode)
    assert stat.S_IMODE(shown.st_mode) == 0o700
    assert (shown.st_uid, shown.st_gid) == (os.getuid(), os.getgid())
    assert shown.attr_timeout > 300
    assert shown.entry_timeout > 300


def test_an_unknown_size_is_an_estimate_that_the_kernel_must_not_keep(root: Root) -> None:
    file = filled(root, Attachment(1, "RenderedDocument", "application/pdf"))
    shown = entry(file)
    assert shown.attr_timeout == 0
    assert shown.st_size >= 1 << 20
    file.learn(1025)
    shown = entry(file)
    assert shown.attr_timeout > 300
    assert (shown.st_size, shown.st_blocks) == (1025, 3)
    assert shown.st_mtime_ns == 1_500_000_250_000_000
    assert shown.st_ctime_ns == 1_500_001_250_000_000


def test_attributes_ask_once_whether_a_size_was_learned(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ContentKey] = []
    monkeypatch.setattr(PlainCatalogue, "learned_bytes", lambda _self, key: asked.append(key))
    file = filled(root, Attachment(1, "RenderedDocument"))
    entry(file)
    assert asked == [file.key]


@pytest.mark.parametrize("created_s", [-5e9, 1e300])
def test_impossible_times_are_shown_as_possible_ones(root: Root, created_s: float) -> None:
    shown = entry(filled(root, Attachment(1, "RenderedDocument"), created_s=created_s))
    assert 0 <= shown.st_mtime_ns < 2**63


def every_error() -> list[type[RcfsError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RcfsError)]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_an_errno_that_readers_survive(kind: type[RcfsError]) -> None:
    number = errno_of(kind("x"))
    assert number not in (0, errno.EAGAIN)
    assert (number == errno.EINTR) == (kind is errors.CallerGoneError)
    assert (number == errno.ENOENT) == (kind is errors.NotFoundError)
    assert not (kind.retryable and number in (errno.ENOENT, errno.EACCES)), (
        "a fault that may pass is no absence"
    )


def test_the_published_errnos() -> None:
    expected = {
        errors.NotFoundError: errno.ENOENT,
        errors.PurgedError: errno.ENODATA,
        errors.ForbiddenError: errno.EACCES,
        errors.AuthError: errno.EACCES,
        errors.DeadlineError: errno.ETIMEDOUT,
        errors.BudgetError: errno.EBUSY,
        errors.NotReadyError: errno.EBUSY,
        errors.CallerGoneError: errno.EINTR,
        errors.SuspendError: errno.EBUSY,
        errors.ServerError: errno.EIO,
        errors.TransportError: errno.EIO,
        errors.UnreachableError: errno.ENETUNREACH,
        errors.OfflineError: errno.ENETUNREACH,
        errors.RateLimitedError: errno.EIO,
        errors.StoreError: errno.EIO,
    }
    assert {kind: errno_of(kind("x")) for kind in expected} == expected


@attrs.define
class Failing:
    recorder: Recorder

    @answering
    async def fail(self, error: Exception) -> None:
        raise error


@pytest.mark.parametrize(
    ("error", "number", "recorded"),
    [
        (errors.StoreError("the index is damaged"), errno.EIO, "the index is damaged"),
        (errors.ServerError("500"), errno.EIO, "500"),
        (pyfuse3.FUSEError(errno.EIO), errno.EIO, "input/output error"),
        (ValueError("odd"), errno.EIO, "unexpected error (ValueError); see the log"),
        (errors.NotFoundError("gone"), errno.ENOENT, None),
        (pyfuse3.FUSEError(errno.EROFS), errno.EROFS, None),
    ],
)
async def test_every_input_output_error_is_recorded(
    error: Exception, number: int, recorded: str | None
) -> None:
    failing = Failing(Recorder(structlog.get_logger()))
    with pytest.raises(pyfuse3.FUSEError) as raised:
        await failing.fail(error)
    assert raised.value.errno == number
    assert [fault.detail for fault in failing.recorder.faults] == ([] if recorded is None else [recorded])


async def test_only_handlers_that_wait_briefly_answer_eagain() -> None:
    class Late(Failing):
        @answering_briefly
        async def look_up(self) -> None:
            raise errors.DeadlineError("not there")

    late = Late(Recorder(structlog.get_logger()))
    with pytest.raises(pyfuse3.FUSEError) as raised:
        await late.look_up()
    assert raised.value.errno == errno.EAGAIN
    with pytest.raises(pyfuse3.FUSEError) as raised:
        await late.fail(errors.DeadlineError("not there"))
    assert raised.value.errno == errno.ETIMEDOUT
    assert late.recorder.faults == ()
