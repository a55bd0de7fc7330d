"""A cache and what belongs to it hold contents of every kind, as they hold attachments."""

from contextlib import closing
from pathlib import Path

import pytest

from rcfs.model import AttachmentKey, ContentKey, GreetingKey, RecordingKey, ReportKey
from rcfs.store import Claims, ContentCache, ContentInfo, FetchHistory, FetchRecord, Refusal, SizeIndex

ATTACHMENT = AttachmentKey("1", 101, 7, 1)
OTHERS: list[ContentKey] = [RecordingKey("1", "7"), GreetingKey("1", 101, "7"), ReportKey("1", "a/b", 1)]
KEYS = [ATTACHMENT, *OTHERS]
STRANGER = RecordingKey("11", "7")


@pytest.fixture
def cache(tmp_path: Path) -> ContentCache:
    return ContentCache.open(tmp_path / "cache", free_floor_bytes=0, warn=pytest.fail)


def put(cache: ContentCache, *keys: ContentKey) -> None:
    for key in keys:
        data = str(key).encode()
        chunk = cache.put_chunk(key, 0, data, ContentInfo(len(data)))
        assert chunk is not None
        chunk.close()


def read(cache: ContentCache, key: ContentKey) -> bytes | None:
    stored = cache.load(key)
    if stored is None:
        return None
    with closing(stored):
        return stored.chunks[0].pread(0, 1000)


def test_each_is_found_under_its_own_key_also_after_the_database_is_made_anew(
    cache: ContentCache, tmp_path: Path
) -> None:
    put(cache, *KEYS)
    assert [read(cache, key) for key in KEYS] == [str(key).encode() for key in KEYS]
    cache.close()
    for path in (tmp_path / "cache").glob("cache.db*"):
        path.unlink()
    with closing(ContentCache.open(tmp_path / "cache", warn=lambda _line: None)) as again:
        assert [read(again, key) for key in KEYS] == [str(key).encode() for key in KEYS]


def test_a_purged_message_takes_only_its_own(cache: ContentCache) -> None:
    put(cache, *KEYS)
    cache.discard_messages("1", 101, [7])
    assert [cache.contains(key) for key in KEYS] == ["no", "yes", "yes", "yes"]
    cache.close()


def test_pins(cache: ContentCache) -> None:
    assert cache.pin(KEYS) == len(KEYS)
    assert cache.pins() == set(KEYS)
    put(cache, *KEYS)
    cache.clear()
    assert [cache.contains(key) for key in KEYS] == ["yes"] * len(KEYS)
    assert cache.unpin(OTHERS) == len(OTHERS)
    assert cache.pins() == {ATTACHMENT}
    cache.close()


def test_claims(tmp_path: Path) -> None:
    with closing(Claims.open(tmp_path)) as claims:
        marks = [claims.mark(key) for key in KEYS]
        assert all(claims.take(key) for key in KEYS)
        claims.give_back(OTHERS[0])
        assert [claims.mark(key) == mark for key, mark in zip(KEYS, marks, strict=True)] == [
            key != OTHERS[0] for key in KEYS
        ]


def test_sizes_fetches_and_refusals_and_an_account_that_is_forgotten(
    cache: ContentCache, tmp_path: Path
) -> None:
    put(cache, *KEYS, STRANGER)
    with (
        closing(SizeIndex.open(tmp_path / "sizes.sqlite", pytest.fail)) as sizes,
        closing(FetchHistory.open(tmp_path / "history.sqlite", pytest.fail)) as history,
    ):
        fetches = {key: [FetchRecord(key, 5.0, "cp", "bulk", 1, 9)] for key in (*KEYS, STRANGER)}
        for number, (key, records) in enumerate(fetches.items()):
            sizes.record(key, number)
            history.add(records[0])
            history.refuse(Refusal(key, 6.0, "clamd"))
        assert [sizes.size(key) for key in fetches] == [0, 1, 2, 3, 4]
        assert sizes.total("1")[0] == 6
        assert history.fetches(fetches) == fetches
        for store in (sizes, history, cache):
            store.forget_account("1")
        assert [sizes.size(key) for key in fetches] == [None] * 4 + [4]
        assert list(history.fetches(fetches)) == list(history.refusals(fetches)) == [STRANGER]
        assert [cache.contains(key) for key in fetches] == ["no"] * 4 + ["yes"]
    cache.close()
