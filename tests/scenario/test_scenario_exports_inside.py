"""Looking into the archives of exports that the cache has whole: without a request, bounded, and safe."""

import errno
import io
import os
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pyfuse3
import pytest
import trio

from rcfs.errors import NotEmptyError, NotFoundError, NotPermittedError
from rcfs.files import Asker, FileSystem, Reader, Waits
from rcfs.files._archives import KEPT_OPEN_S
from rcfs.files._vanishing import COMES_BACK_S
from rcfs.fuse._operations import Operations
from rcfs.model import CHUNK_BYTES, ContentKey, Export
from rcfs.quota import Opener
from rcfs.store import ContentInfo
from rcfs.tree import Directory, Node, Root, build_root
from tests.fakes.askers import Somebody
from tests.fakes.exports import PERIOD, PlainExports, an_export
from tests.fakes.rig import Rig, noise

CONTEXT = cast("pyfuse3.RequestContext", SimpleNamespace(pid=os.getpid()))
CAT = Somebody()
ABOVE = f"Exports/Messages/{PERIOD}"
BIG = noise(600_000, 1) + bytes(2_000_000) + noise(600_000, 2)


def packed(**members: bytes) -> bytes:
    """An archive; ``__`` stands for a slash in names."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for number, (name, data) in enumerate(members.items()):
            method = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            target.writestr(zipfile.ZipInfo(name.replace("__", "/")), data, method)
    return file.getvalue()


@attrs.define
class Mounted:
    """A file system with one export, and the handlers of a mount."""

    rig: Rig
    catalogue: PlainExports
    root: Root
    files: FileSystem
    operations: Operations

    @classmethod
    def of(cls, rig: Rig, export: Export) -> "Mounted":
        catalogue = PlainExports([export])
        root = build_root([], fallback_s=0.0, exports=catalogue)
        files = FileSystem(root, rig.engine, Waits(), max_wait_s=60, render_live=cast("Any", None))
        return cls(rig, catalogue, root, files, Operations(files))

    def store(self, key: ContentKey, data: bytes) -> None:
        """Puts a content into the cache."""
        info = ContentInfo(size_bytes=len(data))
        for index in range(-(-len(data) // CHUNK_BYTES)):
            part = data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
            assert self.rig.cache.put_chunk(key, index, part, info) is not None

    async def lookup(self, path: str) -> pyfuse3.InodeT:
        inode = pyfuse3.ROOT_INODE
        for name in path.split("/"):
            inode = (await self.operations.lookup(inode, name.encode(), CONTEXT)).st_ino
        return inode

    async def open(self, path: str) -> pyfuse3.FileInfo:
        return await self.operations.open(await self.lookup(path), os.O_RDONLY, CONTEXT)

    async def cat(self, path: str) -> bytes:
        opened = await self.open(path)
        found = bytearray()
        while part := await self.operations.read(opened.fh, len(found), 131_072):
            found += part
        await self.operations.release(opened.fh)
        return bytes(found)

    async def names(self, path: str, asker: Asker = CAT) -> list[str]:
        node = self.root.find("Exports")
        for name in path.split("/")[1:]:
            assert isinstance(node, Directory)
            node = await self.files.find(node, name, asker)
        assert isinstance(node, Directory)
        listing = await self.files.list(node, asker)
        found: list[str] = []
        after = 0
        while page := await self.files.page(listing, after):
            found += [entry.name for entry in page]
            after = page[-1].cursor
        return found

    def is_idle(self) -> bool:
        """Whether no content is open."""
        self.rig.engine.library.forget_idle()
        return self.rig.engine.library._uses == {}

    def sent(self) -> int:
        """Number of requests for archives."""
        return len(self.rig.platform.sent("messageStoreReportArchiveContent"))


@pytest.fixture
def archive() -> bytes:
    return packed(
        account__message_store_json=b'{"records": []}',
        account__big=BIG,
        account__content__7_jpg=noise(1_500_000, 3),
        empty=b"",
    )


@pytest.fixture
def mounted(rig: Rig, archive: bytes) -> Mounted:
    """A mount with an archive of 3 chunks in the cache, and another that is not there."""
    mounted = Mounted.of(rig, an_export(len(archive), 5_000_000))
    mounted.store(mounted.catalogue.exports[0].archives[0].key, archive)
    return mounted


async def test_members_are_read_without_a_request(mounted: Mounted) -> None:
    assert await mounted.names(ABOVE) == ["archive-0.zip", "archive-0", "archive-1.zip"]
    assert await mounted.names(f"{ABOVE}/archive-0") == ["account", "empty"]
    assert await mounted.names(f"{ABOVE}/archive-0/account") == ["big", "content", "message_store_json"]
    assert await mounted.cat(f"{ABOVE}/archive-0/account/message_store_json") == b'{"records": []}'
    assert await mounted.cat(f"{ABOVE}/archive-0/account/big") == BIG
    assert await mounted.cat(f"{ABOVE}/archive-0/account/content/7_jpg") == noise(1_500_000, 3)
    assert await mounted.cat(f"{ABOVE}/archive-0/empty") == b""
    for path in ("archive-1", "archive-2", "archive-0/nothing", "archive-0/account/content/8_jpg"):
        with pytest.raises(pyfuse3.FUSEError) as caught:
            await mounted.lookup(f"{ABOVE}/{path}")
        assert caught.value.errno == errno.ENOENT
    assert mounted.sent() == 0
    assert list(mounted.rig.engine.recorder.faults) == []


async def test_only_the_name_of_an_archive_asks_the_cache(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ContentKey] = []
    library = mounted.rig.engine.library
    state = library.state

    async def counted(key: ContentKey) -> str:
        asked.append(key)
        return await state(key)

    monkeypatch.setattr(library, "state", counted)
    for name in (".git", "archive-2", "archive-x", "HEAD", "desktop.ini", "status.txt"):
        with pytest.raises(pyfuse3.FUSEError):
            await mounted.lookup(f"{ABOVE}/{name}")
    await mounted.lookup(f"{ABOVE}/archive-0.zip")
    assert asked == []
    await mounted.lookup(f"{ABOVE}/archive-0")
    assert asked == [archive.key for archive in mounted.catalogue.exports[0].archives]


async def test_an_archive_is_open_while_it_is_used_and_a_minute_longer(mounted: Mounted) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mounted.files.archives.run)
        stats = mounted.rig.cache.stats()
        looks = stats.hits + stats.misses
        opened = await mounted.open(f"{ABOVE}/archive-0/account/big")
        for _time in range(3):
            assert await mounted.cat(f"{ABOVE}/archive-0/empty") == b""
        await trio.sleep(3 * KEPT_OPEN_S)
        assert (await mounted.operations.read(opened.fh, 0, 100)) == BIG[:100]
        await mounted.operations.release(opened.fh)
        stats = mounted.rig.cache.stats()
        assert stats.hits + stats.misses == looks + 1, "it was opened once"
        await trio.sleep(KEPT_OPEN_S / 2)
        assert not mounted.is_idle()
        await trio.sleep(KEPT_OPEN_S)
        assert mounted.is_idle()
        assert await mounted.cat(f"{ABOVE}/archive-0/account/message_store_json"), "and again"
        nursery.cancel_scope.cancel()
    assert mounted.is_idle()


async def test_what_is_in_an_export_is_hidden_for_who_removes_all_of_it(mounted: Mounted) -> None:
    inside = f"{ABOVE}/archive-0"
    rm = Somebody(number=7)
    rsync = Somebody(Reader("rsync", Opener(("rsync",), "session", "user")), number=8)
    assert await mounted.names(inside) == ["account", "empty"]

    async def remove(path: str, asker: Somebody = rm) -> None:
        *above, name = path.split("/")
        node: Node = mounted.root
        for part in above:
            assert isinstance(node, Directory)
            found = await mounted.files.find(node, part, asker)
            assert found is not None
            node = found
        if name.endswith(".zip") or name == "empty":
            await mounted.files.remove(node, name, asker)
        else:
            assert await mounted.files.remove_directory(node, name, asker) == (name,)

    for path in ("archive-0.zip", "archive-0/empty"):
        with pytest.raises(NotPermittedError, match="alone"):
            await remove(f"{ABOVE}/{path}")
    for asker in (rm, rsync):
        assert await mounted.names(ABOVE, asker) == ["archive-0.zip", "archive-0", "archive-1.zip"]
    for path, asker, error in [
        ("archive-0.zip", rsync, NotPermittedError),
        ("archive-0", rm, NotEmptyError),
        ("archive-0/account", rm, NotEmptyError),
        ("archive-9.zip", rm, NotFoundError),
    ]:
        with pytest.raises(error):
            await remove(f"{ABOVE}/{path}", asker)
    await remove(f"{ABOVE}/archive-0.zip")
    await remove(f"{inside}/empty")
    assert await mounted.names(ABOVE) == ["archive-0", "archive-1.zip"]
    assert await mounted.names(inside) == ["account"]
    with pytest.raises(pyfuse3.FUSEError):
        await mounted.lookup(f"{ABOVE}/archive-0.zip")
    await trio.sleep(COMES_BACK_S + 1)
    assert await mounted.names(inside) == ["account", "empty"]
    assert len(await mounted.names(ABOVE)) == 3
    told = [fault.detail for fault in mounted.rig.engine.recorder.faults]
    assert sum("are there again: 2" in each for each in told) == 1
    assert sum("deleted alone" in each for each in told) == 1


async def test_what_is_evicted_is_gone_but_stays_open(mounted: Mounted) -> None:
    key = mounted.catalogue.exports[0].archives[0].key
    opened = await mounted.open(f"{ABOVE}/archive-0/account/big")
    inode = await mounted.lookup(f"{ABOVE}/archive-0")
    mounted.rig.cache.drop(key)
    assert await mounted.operations.read(opened.fh, 0, 131_072) == BIG[:131_072]
    assert await mounted.names(ABOVE) == ["archive-0.zip", "archive-1.zip"]
    await mounted.operations.release(opened.fh)
    mounted.files.archives._close_unused(float("inf"))
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await mounted.operations.opendir(inode, CONTEXT)
    assert caught.value.errno == errno.ENOENT
    assert mounted.is_idle()
    assert mounted.sent() == 0


async def test_a_damaged_cache_is_an_error_and_no_request(mounted: Mounted, tmp_path: Path) -> None:
    path = f"{ABOVE}/archive-0/account/content/7_jpg"
    await mounted.cat(path)
    mounted.files.archives._close_unused(float("inf"))
    assert mounted.is_idle()
    for value in (tmp_path / "cache").rglob("*.val"):
        if value.stat().st_size > CHUNK_BYTES:
            with value.open("r+b") as file:
                file.seek(5000)
                file.write(b"\0\0damaged\0\0")
    opened = caught = None
    try:
        opened = await mounted.open(path)
        for off in range(0, 1_500_000, 131_072):
            await mounted.operations.read(opened.fh, off, 131_072)
    except pyfuse3.FUSEError as exc:
        caught = exc
    assert caught is not None
    assert caught.errno in (errno.EIO, errno.ENOENT)
    if opened is not None:
        await mounted.operations.release(opened.fh)
    assert await mounted.names(ABOVE) == ["archive-0.zip", "archive-1.zip"]
    assert mounted.sent() == 0


@pytest.mark.parametrize(
    ("offset", "value", "number"),
    [
        (16, 0, errno.EIO),  # the CRC
        (8, 1, errno.EOPNOTSUPP),  # encrypted
        (10, 12, errno.EOPNOTSUPP),  # bzip2
    ],
)
async def test_members_that_cannot_be_read_say_so(rig: Rig, offset: int, value: int, number: int) -> None:
    data = bytearray(packed(member=noise(70_000)))
    at = data.rindex(b"PK\1\2") + offset
    data[at : at + 2] = struct.pack("<H", value)
    mounted = Mounted.of(rig, an_export(len(data)))
    mounted.store(mounted.catalogue.exports[0].archives[0].key, bytes(data))
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await mounted.cat(f"{ABOVE}/archive-0/member")
    assert caught.value.errno == number
    faults = [fault.detail for fault in rig.engine.recorder.faults]
    assert any("member in 230/report/230-5-ab/0" in fault for fault in faults) is (number == errno.EIO)


async def test_what_is_no_archive_cannot_be_looked_into(rig: Rig) -> None:
    mounted = Mounted.of(rig, an_export(100_000))
    mounted.store(mounted.catalogue.exports[0].archives[0].key, noise(100_000))
    assert await mounted.names(ABOVE) == ["archive-0.zip", "archive-0"]
    inode = await mounted.lookup(f"{ABOVE}/archive-0")
    with pytest.raises(pyfuse3.FUSEError) as caught:
        await mounted.operations.opendir(inode, CONTEXT)
    assert caught.value.errno == errno.EIO
    assert "no zip archive" in rig.engine.recorder.faults[-1].detail
    assert await mounted.cat(f"{ABOVE}/archive-0.zip") == noise(100_000)


async def test_members_that_are_left_out_are_counted_in_the_log(rig: Rig) -> None:
    data = bytearray(packed(first=b"1" * 50, second=b"2" * 50))
    at = data.rindex(b"PK\1\2") + 42
    data[at : at + 4] = bytes(4)  # at the place of the first
    mounted = Mounted.of(rig, an_export(len(data)))
    mounted.store(mounted.catalogue.exports[0].archives[0].key, bytes(data))
    assert await mounted.names(f"{ABOVE}/archive-0") == ["first"]
    assert rig.engine.recorder.faults[-1].detail.endswith("says: 1")


async def test_pages_of_another_archive_are_dropped(rig: Rig, archive: bytes) -> None:
    first = an_export(len(archive), task_id="first")
    mounted = Mounted.of(rig, first)
    mounted.store(first.archives[0].key, archive)
    paths = [f"{ABOVE}/archive-0.zip", f"{ABOVE}/archive-0/account/big"]
    opened = []
    for again in range(2):
        for path in paths:
            opened.append(info := await mounted.open(path))
            assert info.keep_cache is bool(again)
    other = packed(account__small=b"0", account__big=bytes(5))
    second = an_export(len(other), task_id="second")
    mounted.catalogue.exports[0] = second
    mounted.store(second.archives[0].key, other)
    for path, data in zip(paths, [other, bytes(5)], strict=True):
        opened.append(info := await mounted.open(path))
        assert not info.keep_cache
        assert await mounted.operations.read(info.fh, 0, 131_072) == data
    for info in opened:
        await mounted.operations.release(info.fh)


async def test_many_open_members_keep_few_blocks(rig: Rig) -> None:
    data = packed(**{f"member_{number}": bytes(2_200_000) for number in range(48)})
    mounted = Mounted.of(rig, an_export(len(data)))
    mounted.store(mounted.catalogue.exports[0].archives[0].key, data)
    opened = [await mounted.open(f"{ABOVE}/archive-0/member_{number}") for number in range(1, 48, 2)]
    for off in (0, 2_150_000, 1_000_000):
        for info in opened:
            assert await mounted.operations.read(info.fh, off, 1000) == bytes(1000)
    archives = mounted.files.archives
    (held,) = archives._open.values()
    blocks = sum(len(stream._blocks) for stream, _opens in held.streams.values())
    assert 0 < blocks <= 16 * 4
    for info in opened:
        await mounted.operations.release(info.fh)
    assert held.streams == {}
    assert len(archives._warm) == 0
