"""The naive way to mount files behind HTTP: one Range request for every read().

Run as a program: ``python -m bench._naive URL MOUNTPOINT``, where URL is a folder that nginx lists as JSON.
It is what one could write in an afternoon: it lists each folder once, with sizes, and keeps one connection
open. It has no cache of its own, only the kernel's, which pyfuse3 uses by default.
"""

import errno
import http.client
import json
import os
import stat
import sys
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote, urlsplit

import attrs
import pyfuse3
import trio


@attrs.frozen
class File:
    """A file of the server."""

    path: str
    size_bytes: int
    mtime_s: float


@attrs.define(eq=False)
class _Folder:
    path: str
    entries: dict[str, int] | None = None


class NaiveOperations(pyfuse3.Operations):
    """The folder below `url`."""

    supports_dot_lookup = False

    def __init__(self, url: str) -> None:
        super().__init__()
        parts = urlsplit(url)
        self._http = http.client.HTTPConnection(parts.netloc)
        self._nodes: list[_Folder | File] = [_Folder(""), _Folder(parts.path)]  # inode 1 is the root

    async def lookup(
        self,
        parent_inode: pyfuse3.InodeT,
        name: bytes,
        ctx: pyfuse3.RequestContext,  # noqa: ARG002 - pyfuse3's signature
    ) -> pyfuse3.EntryAttributes:
        """The entry `name` of a folder."""
        inode = self._entries(parent_inode).get(os.fsdecode(name))
        if inode is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._attributes(inode)

    async def getattr(
        self,
        inode: pyfuse3.InodeT,
        ctx: pyfuse3.RequestContext,  # noqa: ARG002
    ) -> pyfuse3.EntryAttributes:
        """The attributes of an inode."""
        return self._attributes(inode)

    async def opendir(
        self,
        inode: pyfuse3.InodeT,
        ctx: pyfuse3.RequestContext,  # noqa: ARG002
    ) -> pyfuse3.FileHandleT:
        """Opens a folder for listing."""
        self._entries(inode)
        return inode

    async def readdir(self, fh: pyfuse3.FileHandleT, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """As many entries from `start_id` on as fit."""
        entries: Sequence[tuple[str, int]] = tuple(self._entries(fh).items())
        for position in range(start_id, len(entries)):
            name, inode = entries[position]
            if not pyfuse3.readdir_reply(token, os.fsencode(name), self._attributes(inode), position + 1):
                return

    async def open(
        self,
        inode: pyfuse3.InodeT,
        flags: pyfuse3.FlagT,  # noqa: ARG002
        ctx: pyfuse3.RequestContext,  # noqa: ARG002
    ) -> pyfuse3.FileInfo:
        """Opens a file."""
        return pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(inode))

    async def read(self, fh: pyfuse3.FileHandleT, off: int, size: int) -> bytes:
        """Bytes from `off` on, with one request."""
        node = self._nodes[fh]
        assert isinstance(node, File)  # noqa: S101 - the kernel opened it as a file
        stop = min(off + size, node.size_bytes)
        return self._get(node.path, {"Range": f"bytes={off}-{stop - 1}"}) if off < stop else b""

    def _entries(self, inode: int) -> dict[str, int]:
        folder = self._nodes[inode]
        assert isinstance(folder, _Folder)  # noqa: S101 - the kernel asks only folders
        if folder.entries is None:
            folder.entries = {}
            for entry in json.loads(self._get(folder.path)):
                path = folder.path + quote(entry["name"])
                folder.entries[entry["name"]] = len(self._nodes)
                if entry["type"] == "directory":
                    self._nodes.append(_Folder(path + "/"))
                else:
                    changed = datetime.strptime(entry["mtime"], "%a, %d %b %Y %H:%M:%S %Z")  # noqa: DTZ007
                    self._nodes.append(File(path, entry["size"], changed.timestamp()))
        return folder.entries

    def _get(self, path: str, headers: dict[str, str] | None = None) -> bytes:
        self._http.request("GET", path, headers=headers or {})
        answer = self._http.getresponse()
        body = answer.read()
        if answer.status not in (200, 206):
            raise pyfuse3.FUSEError(errno.EIO)
        return body

    def _attributes(self, inode: int) -> pyfuse3.EntryAttributes:
        node = self._nodes[inode]
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = pyfuse3.InodeT(inode)
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        if isinstance(node, _Folder):
            entry.st_mode, entry.st_nlink = pyfuse3.ModeT(stat.S_IFDIR | 0o500), 2
        else:
            entry.st_mode, entry.st_nlink = pyfuse3.ModeT(stat.S_IFREG | 0o400), 1
            entry.st_size = node.size_bytes
            entry.st_blocks = -(-node.size_bytes // 512)
            entry.st_mtime_ns = int(node.mtime_s * 1e9)
        return entry


def main() -> None:
    """Mounts, and serves until it is unmounted."""
    url, mountpoint = sys.argv[1:]
    pyfuse3.init(NaiveOperations(url), mountpoint, {"fsname=naive", "ro", "default_permissions"})
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close()


if __name__ == "__main__":
    main()
