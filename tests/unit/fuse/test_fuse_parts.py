"""Inodes, attributes, readers and errnos, without FUSE."""

import errno
import gc
import os
import stat
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import attrs
import pyfuse3
import pytest
import structlog

from rcfs import errors
from rcfs.errors import BudgetError, RcfsError
from rcfs.fuse._attributes import Ownership, attributes
from rcfs.fuse._errno import answering, errno_of
from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._lineage import Reader, reader_of
from rcfs.fuse._readers import CRAWLERS, FILE_MANAGERS, CrawlerPolicy, CrawlerRule, Readers
from rcfs.model import Attachment, ContentKey, Extension, Message, Priority
from rcfs.quota import Opener
from rcfs.transport import Recorder
from rcfs.tree import AttachmentFile, Directory, Node, Root, build_root
from tests.fakes.catalogue import PlainCatalogue

KEY = ContentKey("1", 2, 3, 4)
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
    inodes = [table.remember(1, str(number).encode(), Directory()) for number in range(6_000)]
    held = [table.node(inode) for inode in inodes[:100]]
    assert None not in held
    assert root.made == 100
    assert [table.node(inode) for inode in inodes[:100]] == held, "they are at hand now"
    assert root.made == 100
    table.opened(inodes[0], held[0] or root)
    root.gone = True
    for number in range(6_000):
        table.remember(2, str(number).encode(), Directory())
    assert table.node(inodes[0]) is held[0], "what is open stays, whatever becomes of its path"
    assert table.node(inodes[1]) is None
    table.closed(inodes[0])
    assert table.node(inodes[0]) is held[0]


def test_an_inode_takes_little_memory(root: Root) -> None:
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


def test_who_is_lost_is_found_from_above(root: Root) -> None:
    table = InodeTable(root)
    extension, view = root.extension(5), root.extension(5).find("SMS")
    assert isinstance(view, Directory)
    jane = table.remember(1, b"101 Jane", extension)
    sms = table.remember(jane, b"SMS", view)
    month = table.remember(sms, b"2026-11", Endless())
    message = table.remember(month, b"message [1]", Endless())
    for number in range(5000):
        table.remember(1, str(number).encode(), root)
    assert table.node(message) is None, "the mailbox is not known"
    above = table.known_above(message)
    assert above is not None
    assert above.mailbox_id == 5
    assert table.known_above(99) is None


def test_two_paths_with_one_digest_get_two_inodes(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    class Colliding:
        """A digest that tells only how long its input is, but for the second try."""

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
    entry = attributes(7, root.extension(5), OWNER)
    assert entry.st_ino == 7
    assert stat.S_ISDIR(entry.st_mode)
    assert stat.S_IMODE(entry.st_mode) == 0o700
    assert (entry.st_uid, entry.st_gid) == (os.getuid(), os.getgid())
    assert entry.attr_timeout > 300
    assert entry.entry_timeout > 300


def test_an_unknown_size_is_an_estimate_that_the_kernel_must_not_keep(root: Root) -> None:
    file = filled(root, Attachment(1, "RenderedDocument", "application/pdf"))
    entry = attributes(7, file, OWNER)
    assert entry.attr_timeout == 0
    assert entry.st_size >= 1 << 20
    file.learn(1025)
    entry = attributes(7, file, OWNER)
    assert entry.attr_timeout > 300
    assert (entry.st_size, entry.st_blocks) == (1025, 3)
    assert entry.st_mtime_ns == 1_500_000_250_000_000
    assert entry.st_ctime_ns == 1_500_001_250_000_000


def test_attributes_ask_once_whether_a_size_was_learned(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ContentKey] = []
    monkeypatch.setattr(PlainCatalogue, "learned_bytes", lambda _self, key: asked.append(key))
    file = filled(root, Attachment(1, "RenderedDocument"))
    attributes(7, file, OWNER)
    assert asked == [file.key]


@pytest.mark.parametrize("created_s", [-5e9, 1e300])
def test_impossible_times_are_shown_as_possible_ones(root: Root, created_s: float) -> None:
    entry = attributes(7, filled(root, Attachment(1, "RenderedDocument"), created_s=created_s), OWNER)
    assert 0 <= entry.st_mtime_ns < 2**63


def test_names_of_crawlers_are_as_the_kernel_keeps_them() -> None:
    parts = [part for name in CRAWLERS | FILE_MANAGERS for part in name.split("/")]
    assert all(0 < len(part) <= 15 for part in parts)


def reader(pid: int, name: str) -> Reader:
    return Reader(name, Opener((pid,), session=pid))


def test_a_crawler_is_refused_and_others_become_bulk() -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    with pytest.raises(BudgetError, match="tumblerd"):
        readers.priority(reader(1, "tumblerd"), KEY, "Fax", 0.0)
    assert [readers.priority(reader(2, "cp"), KEY, "Fax", float(now)) for now in range(6)] == [
        Priority.PERSON
    ] * 4 + [Priority.BULK] * 2
    assert readers.priority(reader(3, "cp"), KEY, "Fax", 6.0) is Priority.PERSON


def test_only_a_person_looks_around(monkeypatch: pytest.MonkeyPatch) -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    names = {1: "tumblerd", 2: "cp", 3: "thunar"}
    monkeypatch.setattr("rcfs.fuse._readers.reader_of", lambda pid: reader(pid, names[pid]))
    for now in range(6):
        readers.priority(reader(2, "cp"), KEY, "Fax", float(now))  # It has become bulk,
    assert [readers.looks_around(pid, 6.0) for pid in (1, 2, 3)] == [False, False, True]
    assert [readers.looks_around(3, now) for now in (7.0, 35.9, 36.1)] == [False, False, True]
    assert readers.looks_around(2, 70.0), "and by now it may be somebody's again."


def test_crawlers_are_named_in_full_and_known_by_what_the_kernel_keeps() -> None:
    assert CrawlerRule.of(None, ()).names == CRAWLERS
    also = CrawlerRule.of(None, ["ffmpegthumbnailer", "my-indexer-of-everything"]).names
    assert also - CRAWLERS == {"my-indexer-of-e"}
    assert CrawlerRule.of([], ["a"]).names == {"a"}
    split = CrawlerRule.of(["fourteen-bytes" + "ü"], ()).names
    assert split == {b"fourteen-bytes\xc3".decode("utf-8", "replace")}


def test_a_thread_of_a_program_may_be_a_crawler() -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    manager = Reader("pcmanfm", Opener((1,)), "loader")
    with pytest.raises(BudgetError):
        readers.priority(manager, KEY, "SMS", 0.0)
    copying = attrs.evolve(manager, thread="pool-pcmanfm")
    assert readers.priority(copying, KEY, "SMS", 0.1) is Priority.PERSON
    own = CrawlerRule.of([], ["a-long-name-of-a-program/and-of-a-thread"])
    assert own.names == {"a-long-name-of-/and-of-a-thread"}


@pytest.mark.parametrize("name", ["kioworker", "kioslave5"])
def test_a_program_that_makes_thumbnails_and_copies_is_told_by_what_it_was_started_for(
    name: str, tmp_path: Path
) -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    found = {}
    for pid, plugin in enumerate(("thumbnail.so", "kio_file.so", ""), start=5):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "status").write_text(f"Name:\t{name}\nTgid:\t{pid}\nUid:\t1000\t0\t0\t0\n")
        (folder / "stat").write_text(f"{pid} ({name}) S 0 {pid} 1 0 -1 {' '.join(['0'] * 14)} 0")
        arguments = ("/usr/libexec/" + name, f"/usr/lib/kio/{plugin}", "x", "") if plugin else (name, "")
        (folder / "cmdline").write_text("\0".join(arguments))
        found[plugin] = reader_of(pid, tmp_path)
    with pytest.raises(BudgetError):
        readers.priority(found.pop("thumbnail.so"), KEY, "SMS", 0.0)
    for other in found.values():
        assert readers.priority(other, KEY, "SMS", 0.1) is Priority.PERSON
        with pytest.raises(BudgetError):
            Readers(Recorder(structlog.get_logger()), CrawlerRule.of([], [name])).priority(
                other, KEY, "SMS", 0.0
            )


def test_a_file_manager_that_looks_what_a_file_is() -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    for name in ("thunar", "nemo"):
        with pytest.raises(BudgetError):
            readers.priority(reader(1, name), KEY, "SMS", 0.0, flags=os.O_NOATIME)
        assert readers.priority(reader(1, name), KEY, "SMS", 0.0) is Priority.PERSON, "it copies"
    # Programs that make backups read so what they keep.
    assert readers.priority(reader(2, "borg"), KEY, "SMS", 0.0, flags=os.O_NOATIME) is Priority.PERSON


def test_what_started_a_thumbnailer_that_was_refused_is_making_the_thumbnail() -> None:
    readers = Readers(Recorder(structlog.get_logger()))
    other = attrs.evolve(KEY, message_id=99)
    nemo = Reader("nemo", Opener(((5, 1),)), "pool-nemo", "", ((5, 1), (1, 0)))
    thumbnailer = Reader("gdk-pixbuf-thum", Opener(((6, 1),)), "", "", ((6, 1), (5, 1), (1, 0)))
    viewer = Reader("xviewer", Opener(((7, 1),)), "", "", ((7, 1), (5, 1), (1, 0)))
    with pytest.raises(BudgetError):
        readers.priority(thumbnailer, KEY, "SMS", 0.0)
    with pytest.raises(BudgetError):
        readers.priority(nemo, KEY, "SMS", 0.1)
    # What nobody had a thumbnail of, another program, and later are a person's.
    assert readers.priority(nemo, other, "SMS", 0.2) is Priority.PERSON
    assert readers.priority(viewer, KEY, "SMS", 0.2) is Priority.PERSON
    assert readers.priority(nemo, KEY, "SMS", 2.2) is Priority.PERSON
    for number in range(1000):
        with pytest.raises(BudgetError):
            readers.priority(thumbnailer, attrs.evolve(KEY, message_id=number), "SMS", 3.0)
    assert len(readers._refused) == 256


def test_a_crawler_may_be_let_in_last() -> None:
    rule = CrawlerRule.of([], ["scanner"], CrawlerPolicy.LOWEST)
    readers = Readers(Recorder(structlog.get_logger()), rule)
    assert [readers.priority(reader(1, "scanner"), KEY, "Fax", float(now)) for now in range(9)] == [
        Priority.CRAWLER
    ] * 9
    assert readers.priority(reader(2, "tumblerd"), KEY, "Fax", 0.0) is Priority.PERSON, (
        "the usual list was replaced"
    )


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
        (ValueError("odd"), errno.EIO, "ValueError: unexpected, see the log"),
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
