"""The least that a mount in Python can take: a bare pyfuse3 file system that asks with httpx.

Run as a program: ``python -m bench._bare URL MOUNTPOINT``. It is `bench._naive` with the HTTP library of
rcfs: one request brings a whole file when it is opened. It keeps nothing, checks nothing, and has no limits.
"""

import sys

import httpx
import pyfuse3
import trio

from bench._naive import File, NaiveOperations


class BareOperations(NaiveOperations):
    """The folder below `url`; listings come as in the naive file system."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        super().__init__(url)
        self._origin = url.removesuffix("/")
        self._client = client
        self._open: dict[int, bytes] = {}
        self._latest = 0

    async def open(
        self,
        inode: pyfuse3.InodeT,
        flags: pyfuse3.FlagT,  # noqa: ARG002 - pyfuse3's signature
        ctx: pyfuse3.RequestContext,  # noqa: ARG002
    ) -> pyfuse3.FileInfo:
        """Fetches a file."""
        node = self._nodes[inode]
        assert isinstance(node, File)  # noqa: S101 - the kernel opened it as a file
        answer = await self._client.get(self._origin + node.path)
        answer.raise_for_status()
        self._latest += 1
        self._open[self._latest] = answer.content
        return pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(self._latest))

    async def read(self, fh: pyfuse3.FileHandleT, off: int, size: int) -> bytes:
        """Bytes of an open file."""
        return self._open[fh][off : off + size]

    async def release(self, fh: pyfuse3.FileHandleT) -> None:
        """Forgets an open file."""
        del self._open[fh]


async def _serve(url: str, mountpoint: str) -> None:
    async with httpx.AsyncClient() as client:
        pyfuse3.init(BareOperations(url, client), mountpoint, {"fsname=bare", "ro", "default_permissions"})
        try:
            await pyfuse3.main()
        finally:
            pyfuse3.close()


def main() -> None:
    """Mounts, and serves until it is unmounted."""
    url, mountpoint = sys.argv[1:]
    trio.run(_serve, url, mountpoint)


if __name__ == "__main__":
    main()
