"""Databases asked by threads that come and go, as a mount's do: what is open afterwards does not grow."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from rcfs.model import AttachmentKey, ContentKey
from rcfs.store import ContentCache, FetchHistory, FetchRecord, MailboxIndex, Scope, SizeIndex

ACCOUNT = "400131"
LAPS = 5
THREADS = 12
"""More than any of the pools keeps at hand."""
MOST_OPEN = 13
"""Of one database: its file and its log for each of five connections (the cache and the index have pools, of
which two stay; the writer, the event loop's, and one on its way back to the pool), and the log's index."""
Work = Callable[[int], object]


@pytest.fixture
def works(tmp_path: Path) -> Iterator[list[Work]]:
    """The work of the threads with each database; each call gets the number of its turn."""
    with ExitStack() as stack:
        index = stack.enter_context(closing(MailboxIndex.open(tmp_path / "mailboxes.sqlite", pytest.fail)))
        sizes = stack.enter_context(closing(SizeIndex.open(tmp_path / "index.sqlite", pytest.fail)))
        history = stack.enter_context(closing(FetchHistory.open(tmp_path / "history.sqlite", pytest.fail)))
        cache = stack.enter_context(
            closing(ContentCache.open(tmp_path / "cache", free_floor_bytes=0, warn=pytest.fail))
        )
        index.writer.begin(ACCOUNT, 101)
        scope = Scope(ACCOUNT, (101,))

        def key(turn: int) -> ContentKey:
            return AttachmentKey(ACCOUNT, 101, turn, turn)

        def fetch(turn: int) -> None:
            chunk = cache.put_chunk(key(turn), 0, b"x" * 100)
            assert chunk is not None
            chunk.close()
            stored = cache.load(key(turn))
            assert stored is not None
            stored.close()
            cache.drop(key(turn))

        def learn(turn: int) -> None:
            sizes.record(key(turn), turn)
            sizes.total(ACCOUNT)

        yield [
            lambda _turn: index.search.matches("fax", scope, 0, 10),
            lambda _turn: index.find_damage(),
            lambda turn: index.writer.note(f"topic {turn}", "", float(turn)),
            learn,
            lambda turn: history.add(FetchRecord(key(turn), 1e9, "cat", "person", 1, 100)),
            fetch,
        ]


def open_files(directory: Path) -> Counter[str]:
    """How many descriptors each file below `directory` has, a database and its log together."""
    names = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    below = (name for name in names if name.startswith(f"{directory}/"))
    return Counter(name.rsplit("/", 1)[1].split("-")[0] for name in below)


def test_threads_that_come_and_go_leave_no_connections(works: list[Work], tmp_path: Path) -> None:
    counts: list[Counter[str]] = []
    failures: list[Exception] = []
    together = threading.Barrier(THREADS)

    def churn(turn: int) -> None:
        try:
            together.wait(60)
            for work in works[turn % len(works) :] + works[: turn % len(works)]:
                work(turn)
        except Exception as exc:  # noqa: BLE001 - told below
            failures.append(exc)

    for lap in range(LAPS):
        turns = range(lap * THREADS, (lap + 1) * THREADS)
        threads = [threading.Thread(target=churn, args=(turn,)) for turn in turns]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        counts.append(open_files(tmp_path))
    assert all(number <= MOST_OPEN for count in counts for number in count.values()), counts
    assert not any(name.endswith(".val") or "deleted" in name for name in counts[-1])
