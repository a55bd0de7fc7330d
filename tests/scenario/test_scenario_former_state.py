"""The state directory of version 0.1 is migrated whole, without a request."""

import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import structlog

from rcfs.engine import open_engine
from rcfs.filenames import StateFiles
from rcfs.mailbox import Shelving
from rcfs.platform import AllowedHosts, Client, Credentials
from rcfs.quota import Ledger, MemoryHome
from rcfs.store import ContentCache, FetchHistory, MailboxIndex, SizeIndex
from rcfs.transport import Recorder
from rcfs.tree import AttachmentFile, Directory, build_root, name_folder, shelve

KEPT = Path(__file__).parent.parent / "fixtures" / "state-0.1.tar.xz"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The state directory of a mount of version 0.1; see ``README.txt`` in it."""
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def shown(directory: Directory, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every path below a directory, and its node."""
    for name, node in directory.entries().items():
        yield prefix + name, node
        if isinstance(node, Directory):
            yield from shown(node, f"{prefix}{name}/")


async def test_the_state_of_version_0_1_is_taken_over_without_a_request(kept: Path) -> None:
    files, requests = StateFiles(kept / "state"), list[httpx.Request]()

    def refuse(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        raise httpx.ConnectError("no connection")

    with (
        closing(MailboxIndex.open(files.mailboxes, pytest.fail)) as index,
        closing(SizeIndex.open(files.sizes, pytest.fail, former=files.former_sizes)) as sizes,
        closing(FetchHistory.open(files.history, pytest.fail)) as history,
        closing(ContentCache.open(kept / "cache", free_floor_bytes=0, warn=pytest.fail)) as cache,
    ):
        ((login, _seen),) = index.reader.logins().items()
        async with open_engine(
            login=login,
            client=Client(
                AllowedHosts("http://127.0.0.1:18765"),
                user_agent="rcfs/test",
                transport=httpx.MockTransport(refuse),
            ),
            credentials=Credentials("client", "secret", "jwt"),
            ledger=Ledger(MemoryHome({})),
            cache=cache,
            index=index,
            sizes=sizes,
            history=history,
            shelving=Shelving(shelve, name_folder),
            recorder=Recorder(structlog.testing.CapturingLogger()),
            offline=True,
        ) as engine:
            root = build_root(engine.account.extensions, fallback_s=0.0, searches=engine.searches)
            for extension in engine.account.extensions:
                root.extension(extension.id).show(await engine.account.mailboxes.open(extension.id))
            found = dict(shown(root))
            rows = [line.split("\t") for line in (kept / "tree.txt").read_text().splitlines()]
            assert sorted(found) == sorted(row[0] for row in rows)
            assert len(found) == 181
            for path, kind, size, _time, target in rows:
                node = found[path]
                assert isinstance(node, Directory) == (kind == "d")
                if isinstance(node, AttachmentFile):
                    assert node.size_bytes == int(size)
                if kind == "l":
                    assert str(node.target) == target  # type: ignore[attr-defined]  # a link
            for line in (kept / "contents.txt").read_text().splitlines():
                checksum, _, path = line.partition("  ")
                node = found[path]
                assert isinstance(node, AttachmentFile)
                assert node.size_is_exact
                stored = cache.load(node.key)
                assert stored is not None
                with closing(stored):
                    assert stored.complete
                    data = b"".join(chunk.pread(0, chunk.length_bytes) for chunk in stored.chunks.values())
                assert hashlib.sha256(data).hexdigest() == checksum
                assert len(history.fetches([node.key])[node.key]) == 1
    assert requests == []
    assert files.sizes.exists()
    assert not files.former_sizes.exists()
