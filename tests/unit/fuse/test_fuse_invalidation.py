"""Invalidation of names and attributes, without a kernel."""

import errno
from collections.abc import Callable
from typing import Any

import attrs
import pyfuse3
import pytest
import trio

from rcfs.fuse._inodes import InodeTable
from rcfs.fuse._invalidation import Invalidation, forget_attributes
from rcfs.model import Attachment, Extension, Message, Party
from rcfs.tree import Directory, Root, build_root
from tests.fakes.catalogue import PlainCatalogue

NAME = "101 Jane"
BOB = Party("Bob Ray", "+12125557464")


@attrs.define
class Kernel:
    """Holds some paths, and notes what it is told to forget."""

    root: Root
    inodes: InodeTable
    names: list[tuple[str, ...]] = attrs.field(factory=list)
    attributes: list[tuple[str, ...]] = attrs.field(factory=list)
    _paths: dict[int, tuple[str, ...]] = attrs.field(factory=dict)

    def look_up(self, *path: str) -> int:
        """The inode of `path`, held from now on, and so are those of the directories above."""
        self._paths[pyfuse3.ROOT_INODE] = ()
        inode, node = int(pyfuse3.ROOT_INODE), self.root.find(path[0])
        for depth, part in enumerate(path):
            if depth:
                assert isinstance(node, Directory)
                node = node.find(part)
            assert node is not None, path[: depth + 1]
            inode = self.inodes.remember(inode, part.encode(), node)
            self._paths[inode] = path[: depth + 1]
        return inode

    def forget_name(self, parent: int, name: bytes, *, ignore_enoent: bool) -> None:
        assert ignore_enoent
        self.names.append((*self._paths[parent], name.decode()))

    def forget_attributes(self, inode: int, *, attr_only: bool) -> None:
        assert attr_only, "to drop pages hangs with a read under way"
        self.attributes.append(self._paths[inode])


@pytest.fixture
def catalogue() -> PlainCatalogue:
    return PlainCatalogue()


@pytest.fixture
def kernel(catalogue: PlainCatalogue, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    root = build_root([Extension(id=5, number="101", name="Jane")], fallback_s=0.0)
    root.extension(5).show(catalogue)
    kernel = Kernel(root, InodeTable(root))
    monkeypatch.setattr(pyfuse3, "invalidate_entry_async", kernel.forget_name)
    monkeypatch.setattr(pyfuse3, "invalidate_inode", kernel.forget_attributes)
    return kernel


@pytest.fixture
def invalidation(kernel: Kernel) -> Invalidation:
    return Invalidation(kernel.root, kernel.inodes)


@pytest.fixture
def changed(invalidation: Invalidation) -> Callable[..., None]:
    """Tells that paths below the extension have changed."""

    def tell(*paths: tuple[str, ...]) -> None:
        if () in paths:
            invalidation.all_changed((NAME,))
        else:
            invalidation.changed({(NAME, *path) for path in paths})

    return tell


def sms(number: int = 1, **fields: Any) -> Message:
    return Message(number, "SMS", sender=BOB, created_s=1793726825.0, subject="hi", **fields)


MONTH = ("SMS", "2026-11")
FIRST = "2026-11-03T17.27.05Z from Bob Ray [1]"


def test_paths_that_the_kernel_does_not_hold_are_not_looked_up(
    kernel: Kernel, catalogue: PlainCatalogue, changed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.put(sms())
    for question in ("views", "folder", "message", "read"):
        monkeypatch.setattr(PlainCatalogue, question, lambda *_: pytest.fail("asked"))
    kernel._paths[pyfuse3.ROOT_INODE] = ()
    changed(MONTH, (*MONTH, FIRST))
    # Only the extension's directory stands in a directory that the kernel holds.
    assert kernel.names == [(NAME,)]
    assert kernel.attributes == []


def test_a_new_message_changes_the_times_above_and_the_text_beside_it(
    kernel: Kernel, catalogue: PlainCatalogue, changed: Callable[..., None]
) -> None:
    catalogue.put(sms())
    kernel.look_up(NAME, *MONTH)
    kernel.look_up(NAME, "Conversations", "+12125557464 Bob Ray", "conversation.txt")
    catalogue.put(sms(2))
    second = FIRST.replace("[1]", "[2]")
    thread = ("Conversations", "+12125557464 Bob Ray")
    changed(MONTH, (*MONTH, second), thread, (*thread, second))
    assert set(kernel.names) == {
        (NAME, "extension.json"),
        (NAME, *MONTH, second),
        (NAME, *thread, second),
        (NAME, *thread, "conversation.txt"),
    }
    assert set(kernel.attributes) == {
        (NAME,),
        (NAME, "SMS"),
        (NAME, *MONTH),
        (NAME, "Conversations"),
        (NAME, *thread),
    }


async def test_a_mailbox_that_another_process_changed_is_forgotten_whole(
    kernel: Kernel,
    catalogue: PlainCatalogue,
    invalidation: Invalidation,
    changed: Callable[..., None],
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = trio.Event()

    def forget_attributes(inode: int, *, attr_only: bool) -> None:
        kernel.forget_attributes(inode, attr_only=attr_only)
        if kernel.attributes[-1] == (NAME,):
            done.set()

    monkeypatch.setattr(pyfuse3, "invalidate_inode", forget_attributes)
    nursery.start_soon(invalidation.run)
    catalogue.put(sms(), sms(2))
    second = FIRST.replace("[1]", "[2]")
    kernel.look_up(NAME, *MONTH, FIRST, "text.txt")
    kernel.look_up(NAME, *MONTH, second)
    catalogue.remove(2)
    changed(())
    with trio.fail_after(60):
        await done.wait()
    assert (NAME, *MONTH, second) in kernel.names
    assert (NAME, *MONTH, FIRST, "text.txt") in kernel.names
    assert {(NAME,), (NAME, "SMS"), (NAME, *MONTH), (NAME, *MONTH, FIRST)} == set(kernel.attributes)


def test_an_error_for_one_inode_does_not_stop_the_invalidation_of_others(
    kernel: Kernel, catalogue: PlainCatalogue, changed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its word of that is still on the way, so the inode looks as if the kernel held it."""

    def gone(_inode: int, *, attr_only: bool) -> None:
        raise FileNotFoundError

    catalogue.put(sms())
    kernel.look_up(NAME, *MONTH)
    kernel.look_up(NAME, "Conversations", "+12125557464 Bob Ray", "conversation.txt")
    monkeypatch.setattr(pyfuse3, "invalidate_inode", gone)
    catalogue.put(sms(2))
    thread = ("Conversations", "+12125557464 Bob Ray")
    changed(MONTH, thread)
    assert (NAME, *thread, "conversation.txt") in kernel.names


def test_a_directory_that_stays_keeps_its_name(
    kernel: Kernel, catalogue: PlainCatalogue, changed: Callable[..., None]
) -> None:
    """Where its name is forgotten, the kernel takes it for deleted under a shell that stands in it."""
    catalogue.put(sms(attachments=(Attachment(7, "MmsAttachment", "image/jpeg", file_name="a.jpg"),)))
    inode = kernel.look_up(NAME, *MONTH, FIRST)
    before = kernel.inodes.node(inode)
    catalogue.put(sms(read_status="Read"))
    changed((*MONTH, FIRST))
    assert (NAME, *MONTH, FIRST) not in kernel.names
    assert (NAME, *MONTH, FIRST) in kernel.attributes
    assert {(NAME, *MONTH, FIRST, file) for file in ("message.json", "text.txt")} <= set(kernel.names)
    after = kernel.inodes.node(inode)
    assert after is not before, "it shows what is known now"


def test_a_path_that_is_gone_loses_its_name(
    kernel: Kernel, catalogue: PlainCatalogue, changed: Callable[..., None]
) -> None:
    catalogue.put(sms(), sms(2))
    kernel.look_up(NAME, *MONTH, FIRST)
    kernel.look_up(NAME, "By-Contact", "+12125557464 Bob Ray", FIRST)
    catalogue.remove(1)
    changed((*MONTH, FIRST), ("By-Contact", "+12125557464 Bob Ray", FIRST))
    assert {(NAME, *MONTH, FIRST), (NAME, "By-Contact", "+12125557464 Bob Ray", FIRST)} <= set(kernel.names)
    catalogue.remove(2)
    changed(MONTH)
    assert (NAME, *MONTH) in kernel.names


def test_nothing_is_looked_for_in_a_mailbox_that_was_lost(
    kernel: Kernel, catalogue: PlainCatalogue, changed: Callable[..., None]
) -> None:
    catalogue.put(sms())
    kernel.look_up(NAME, *MONTH, FIRST)
    kernel.root.extension(5).hide()
    changed((*MONTH, FIRST))
    assert (NAME, *MONTH, FIRST) in kernel.names


def test_names_in_the_root(kernel: Kernel) -> None:
    inode = kernel.look_up(NAME)
    for name in (NAME, "102 Bob"):
        Invalidation(kernel.root, kernel.inodes).changed([(name,)])
    assert kernel.names == [(NAME, "extension.json"), ("102 Bob",)]
    assert kernel.attributes == [(NAME,)]
    assert kernel.inodes.node(inode) is kernel.root.extension(5)


def test_a_first_load_looks_up_no_path_below_directories_that_the_kernel_does_not_hold(
    kernel: Kernel, changed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.look_up(NAME, "SMS")
    numbered: list[bytes] = []
    number = InodeTable.number

    def counted(self: InodeTable, parent: int, name: bytes) -> int:
        numbered.append(name)
        return number(self, parent, name)

    monkeypatch.setattr(InodeTable, "number", counted)
    changed(("SMS",), MONTH, *((*MONTH, f"message [{message}]") for message in range(1000)))
    assert len(numbered) < 20, "for a thousand messages the event loop has no time"
    assert (NAME, "SMS") in kernel.attributes


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EINVAL, errno.ENOTCONN])
def test_a_change_that_is_learnt_while_the_mount_ends_is_no_error(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    told: list[int] = []

    def invalidate_inode(inode: int, *, attr_only: bool) -> None:
        assert attr_only
        told.append(inode)
        raise OSError(number, "fuse_lowlevel_notify_inval_inode")

    monkeypatch.setattr(pyfuse3, "invalidate_inode", invalidate_inode)
    forget_attributes(7)
    assert told == [7]
