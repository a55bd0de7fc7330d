"""Attachments that are opened again while the kernel may have their pages; the kernel is simulated."""

import errno
import os
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pyfuse3
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from rcfs.files import FileSystem, Waits
from rcfs.fuse._operations import Operations
from rcfs.model import CHUNK_BYTES, Attachment, Extension, Message
from rcfs.tree import AttachmentFile, Directory, Node, build_root
from tests.fakes.catalogue import PlainCatalogue
from tests.fakes.rig import EXTENSION_ID, Rig, noise
from tests.fakes.scripted import ACCOUNT_ID
from tests.scenario.conftest import OpenRig

MAX_READ_WAITERS = 8
"""Reads that may wait at the same time."""

SIZE = 100_000
CONTEXT = cast("pyfuse3.RequestContext", SimpleNamespace(pid=os.getpid()))


def attachments_below(node: Node) -> list[AttachmentFile]:
    """All attachments below `node`."""
    if isinstance(node, Directory):
        return [file for child in node.entries().values() for file in attachments_below(child)]
    return [node] if isinstance(node, AttachmentFile) else []


@attrs.define
class Mounted:
    """A file system on an engine, and the faxes in it, by their numbers from 1; the kernel holds them all."""

    rig: Rig
    operations: Operations
    data: dict[int, bytes]
    files: dict[int, AttachmentFile]
    inodes: dict[int, pyfuse3.InodeT]

    @classmethod
    def of(cls, rig: Rig, count: int, size_bytes: int = SIZE) -> "Mounted":
        root = build_root([Extension(id=EXTENSION_ID)], fallback_s=0.0)
        operations = Operations(
            FileSystem(root, rig.engine, Waits(), max_wait_s=60, render_live=cast("Any", None))
        )
        data = {number: noise(size_bytes, number) for number in range(1, count + 1)}
        catalogue = PlainCatalogue(ACCOUNT_ID)
        for number, fax in data.items():
            record = Attachment(number, "RenderedDocument", uri=rig.wanted(number, fax).uri)
            catalogue.put(Message(id=number, type="Fax", attachments=(record,)))
        root.extension(EXTENSION_ID).show(catalogue)
        files = {file.key.message_id: file for file in attachments_below(root.extension(EXTENSION_ID))}
        inodes = {
            number: pyfuse3.InodeT(operations._inodes.remember(1, b"%d" % number, file))
            for number, file in files.items()
        }
        return cls(rig, operations, data, files, inodes)

    async def open(self, number: int) -> pyfuse3.FileHandleT:
        return (await self.operations.open(self.inodes[number], os.O_RDONLY, CONTEXT)).fh

    async def read(self, handle: pyfuse3.FileHandleT, number: int) -> None:
        assert await self.operations.read(handle, 0, 131_072) == self.data[number][:131_072]

    async def cat(self, number: int) -> None:
        """Reads it, as by a kernel that has no page of it; then only the cache has it."""
        handle = await self.open(number)
        await self.read(handle, number)
        await self.operations.release(handle)
        await wait_all_tasks_blocked()
        self.rig.engine.library.forget_idle()

    @property
    def looks(self) -> int:
        """Contents that were loaded from the cache, or not found in it."""
        stats = self.rig.cache.stats()
        return stats.hits + stats.misses

    @property
    def requests(self) -> int:
        return len(self.rig.ranges())

    def lose(self, number: int) -> None:
        """Another process drops it from the cache."""
        self.rig.cache.drop(self.files[number].key)


async def test_a_whole_content_is_opened_again_without_reading_it(rig: Rig) -> None:
    mounted = Mounted.of(rig, 1)
    await mounted.cat(1)
    looks = mounted.looks
    handle = await mounted.open(1)
    assert mounted.looks == looks
    # Of what the kernel has dropped meanwhile: at the same time, and again.
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(mounted.read, handle, 1)
    await mounted.read(handle, 1)
    await mounted.operations.release(handle)
    assert mounted.looks == looks + 1
    assert mounted.requests == 1
    rig.engine.library.forget_idle()
    assert rig.engine.library._live == {}, "nobody uses it any more"


async def test_a_content_is_checked_again_after_the_kernel_forgot_it(rig: Rig) -> None:
    mounted = Mounted.of(rig, 1)
    await mounted.cat(1)
    mounted.lose(1)
    await mounted.operations.forget([(mounted.inodes[1], 1)])
    mounted.operations._inodes.remember(1, b"1", mounted.files[1])
    handle = await mounted.open(1)
    assert mounted.requests == 2, "it is there when it is open"
    await mounted.operations.release(handle)


async def test_open_waits_for_the_fetch_of_an_evicted_content(rig: Rig) -> None:
    mounted = Mounted.of(rig, 1)
    await mounted.cat(1)
    mounted.lose(1)
    handle = await mounted.open(1)
    assert mounted.requests == 2
    await mounted.operations.release(handle)


async def test_a_content_that_failed_to_open_does_not_count_as_whole(rig: Rig) -> None:
    mounted = Mounted.of(rig, 1)
    mounted.operations._files._waits.pause()
    for _ in range(2):
        with pytest.raises(pyfuse3.FUSEError) as caught:
            await mounted.open(1)
        assert caught.value.errno == errno.EBUSY
    mounted.operations._files._waits.resume()
    await mounted.cat(1)


async def test_reads_refetch_a_content_that_was_lost_while_open_and_few_of_them_wait(
    rig: Rig,
) -> None:
    mounted = Mounted.of(rig, MAX_READ_WAITERS + 1)
    for number in mounted.data:
        await mounted.cat(number)
    handles = {number: await mounted.open(number) for number in mounted.data}
    for number in mounted.data:
        mounted.lose(number)
    refused: list[int] = []

    async def read(number: int) -> None:
        try:
            await mounted.read(handles[number], number)
        except pyfuse3.FUSEError as exc:
            refused.append(exc.errno)

    async with trio.open_nursery() as nursery:
        for number in mounted.data:
            nursery.start_soon(read, number)
    assert refused == [errno.EBUSY]
    for number, handle in handles.items():
        await mounted.read(handle, number)
        await mounted.operations.release(handle)
    assert mounted.requests == 2 * (MAX_READ_WAITERS + 1)


async def test_a_frequently_opened_content_is_not_evicted(new_rig: OpenRig) -> None:
    async with new_rig(cache_bytes=5 * CHUNK_BYTES) as rig:
        mounted = Mounted.of(rig, 8, CHUNK_BYTES)
        await mounted.cat(1)
        for number in range(2, 9):
            await mounted.cat(number)
            await mounted.operations.release(await mounted.open(1))
        assert rig.cache.contains(mounted.files[1].key) == "yes"
        assert rig.cache.contains(mounted.files[2].key) == "no"
