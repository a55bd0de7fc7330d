"""Any archive that zipfile makes reads back byte for byte."""

import io
import warnings
import zipfile

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from rcfs.files._members import MemberStream
from rcfs.tree import Member, ZipDirectory, zip_extent

NAMES = st.lists(st.text("ab./ \\:é\x01", max_size=4) | st.text(max_size=6), max_size=4).map("/".join)
DATA = st.binary(max_size=300) | st.builds(
    lambda part, times: part * times, st.binary(max_size=9), st.integers(0, 9000)
)
MEMBERS = st.lists(
    st.tuples(NAMES, DATA, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])), max_size=12
)


@settings(max_examples=30)  # Each of them starts an event loop.
@given(MEMBERS, st.binary(max_size=40), st.binary(max_size=9), st.booleans())
def test_archives_of_zipfile(
    members: list[tuple[str, bytes, int]], comment: bytes, front: bytes, is_streamed: bool
) -> None:
    archive = packed(members, comment, front, is_streamed=is_streamed)
    found = trio.run(unpacked, archive)
    placed = [data for name, data, _method in members if not is_directory(name)]
    assert sorted(found.values()) == sorted(placed)
    assert all(
        len(part.encode()) <= 255 and part not in ("", ".", "..")
        for path in found
        for part in path.split("/")
    )


def is_directory(name: str) -> bool:
    """Whether zipfile takes a name for that of a directory, or the tree has no place for it."""
    name = name.split("\0", maxsplit=1)[0]
    return name.endswith("/") or all(part in ("", ".") for part in name.split("/"))


def packed(
    members: list[tuple[str, bytes, int]], comment: bytes, front: bytes, *, is_streamed: bool
) -> bytes:
    file = io.BytesIO()
    file.write(front)
    target_file = Unseekable(file) if is_streamed else file
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(target_file, "a" if front and not is_streamed else "w") as target,
    ):
        warnings.simplefilter("ignore")  # zipfile warns of equal names.
        for name, data, method in members:
            info = zipfile.ZipInfo(name.encode("utf-8", "replace").decode())
            target.writestr(info, b"" if is_directory(name) else data, method)
        target.comment = comment
    return file.getvalue()


class Unseekable(io.RawIOBase):
    """A file that can only be written on, so that sizes come behind each member."""

    def __init__(self, file: io.BytesIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._file.write(data)  # type: ignore[arg-type]


async def unpacked(archive: bytes) -> dict[str, bytes]:
    """All members of an archive by path."""
    extent = zip_extent(archive, len(archive))
    directory = ZipDirectory.parse(archive[extent.start : extent.stop], extent)
    assert directory.left_out == 0
    limiter = trio.CapacityLimiter(1)

    async def read(start: int, size: int) -> bytes:  # noqa: ASYNC124 - as the archives' is
        return archive[start : start + size]

    found: dict[str, bytes] = {}
    waiting = [b""]
    for place in waiting:
        for _cursor, _name, entry in directory.page(place, 0, 1000):
            if isinstance(entry, Member):
                stream = MemberStream(entry, read, limiter)
                found[entry.path] = await stream.read(0, entry.size_bytes)
            else:
                waiting.append(entry)
    return found
