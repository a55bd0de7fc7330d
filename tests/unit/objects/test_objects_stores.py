"""One suite for every kind of object store, and the failures of S3."""

import errno
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import structlog
import trio

from rcfs.content._shared_store import PassedOverError, SharedStore
from rcfs.errors import ConfigError
from rcfs.model import AttachmentKey
from rcfs.objects import (
    CLAIM_EXPIRY_S,
    Erasures,
    Granted,
    ObjectClaims,
    ObjectStore,
    ObjectStoreError,
    Verdict,
    open_objects,
    probe_objects,
)
from rcfs.transport import Recorder
from tests.fakes.objects import MemoryObjects
from tests.fakes.s3 import BUCKET, bad_server, bucket, s3_server, write_options

MIB = 1 << 20


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["memory", "directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    if request.param == "memory":
        return MemoryObjects(lambda: 1000.0)
    if request.param == "directory":
        (tmp_path / "shared").mkdir()
        return open_objects(f"{tmp_path}/shared")
    options = write_options(tmp_path / "options.toml", request.getfixturevalue("endpoint"))
    monkeypatch.setattr("rcfs.objects._obstore._READING", {"timeout": "120s"})  # a machine may be slow
    return open_objects(f"s3://{BUCKET}/{tmp_path.name}", options)


def names(store: ObjectStore, prefix: str) -> set[str]:
    return {name for found in store.names(prefix) for name in found}


def get(store: ObjectStore, name: str) -> bytes | None:
    found = store.get(name, 0, 100)
    return None if found is None else found.data


def test_objects_are_put_read_listed_and_removed(store: ObjectStore) -> None:
    assert get(store, "a/b/c") is None
    store.put("a/b/c", [b"12", b"345"], 5)
    found = store.get("a/b/c", 1, 3)
    assert found is not None
    assert (found.data, found.object_bytes) == (b"23", 5)
    assert get(store, "a/b/c") == b"12345"
    store.put("a/b/c", [b"6"], 1)
    store.put("a/d", [b"7"], 1)
    store.put("b/e", [b"8"], 1)
    assert get(store, "a/b/c") == b"6"
    assert names(store, "a/") == {"a/b/c", "a/d"}
    assert names(store, "c/") == set()
    store.delete(["a/b/c", "a/none", "b/e"])
    assert get(store, "a/b/c") is None
    assert names(store, "a/") == {"a/d"}


def test_large_objects_are_put_in_parts(store: ObjectStore) -> None:
    parts = [bytes([number]) * MIB for number in range(20)]
    store.put("large", iter([*parts, b"end"]), 20 * MIB + 3)
    found = store.get("large", 19 * MIB - 1, 20 * MIB + 100)
    assert found is not None
    assert found.object_bytes == 20 * MIB + 3
    assert found.data == bytes([18]) + parts[19] + b"end"


def test_puts_keep_their_conditions(store: ObjectStore) -> None:
    tag = store.create("x", b"1")
    assert tag
    assert store.create("x", b"2") is None
    second = store.replace("x", b"3", tag)
    assert second is not None
    assert store.replace("x", b"4", tag) is None
    assert get(store, "x") == b"3"
    store.delete(["x"])
    assert store.replace("x", b"5", second) is None
    assert get(store, "x") is None
    assert probe_objects(store) == ""
    assert names(store, "clock/") == set()


def test_of_many_machines_one_gets_a_claim(store: ObjectStore) -> None:
    won: list[str] = []

    def claim() -> None:
        claims = ObjectClaims(store, lambda: 0.0)
        won.extend(name for name in "abcde" if isinstance(claims.take(name, ""), Granted))

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list("abcde")


def test_a_claim_whose_answer_was_lost_is_not_waited_for(store: ObjectStore) -> None:
    claims = ObjectClaims(store, lambda: 0.0)
    claims.take("x", "")
    granted = claims.take("x", "")
    assert isinstance(granted, Granted)
    assert claims.renew(granted) is not None


def test_threads_of_one_machine_compare_the_clocks_once(store: ObjectStore) -> None:
    ObjectClaims(store, lambda: 0.0).take("x", "")
    claims = ObjectClaims(store, lambda: 0.0)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _turn: claims.take("x", ""), range(24))) == {Verdict.HELD}
    if isinstance(store, MemoryObjects):
        assert [call for call, name in store.calls if name.startswith("clock/")] == ["put", "get", "delete"]


def test_a_claim_that_is_not_renewed_is_taken_over_once(store: ObjectStore) -> None:
    now_s = 0.0
    dead, first, second = (ObjectClaims(store, lambda: now_s) for _ in range(3))
    granted = dead.take("x", "")
    assert isinstance(granted, Granted)
    assert first.take("x", "") is second.take("x", "") is Verdict.HELD
    now_s = CLAIM_EXPIRY_S + 1
    taken = first.take("x", "")
    assert isinstance(taken, Granted)
    assert taken.took_over
    assert dead.renew(granted) is None
    dead.give_back(granted)
    renewed = first.renew(taken)
    assert renewed is not None, "what the dead machine did last changed nothing"
    store.put("x", [b"content"], 7)
    assert second.take("x", "") is Verdict.STORED
    first.give_back(renewed)
    assert get(store, "x") == b"content", "a claim that a content replaced is not given back"


def test_what_waits_to_be_erased_is_erased_when_the_store_is_back(tmp_path: Path) -> None:
    store = MemoryObjects(lambda: 0.0, problem="away")
    erasures = Erasures(tmp_path / "erasures", store)
    elsewhere = Erasures(tmp_path / "erasures", MemoryObjects(lambda: 0.0, place="another"))
    elsewhere.add(["y"])
    erasures.add(["a/m/", "x"])
    erasures.add(["x"])
    with pytest.raises(ObjectStoreError):
        erasures.carry_out()
    assert Erasures(tmp_path / "erasures", store).count() == 2
    store.problem = ""
    for name in ("a/m/1", "a/m/2", "a/n/1", "x", "y"):
        store.create(name, b"1")
    erased: list[int] = []
    erasures.carry_out(erased.append)
    assert set(store.objects) == {"a/n/1", "y"}
    assert erased == [2, 1]
    assert (erasures.count(), elsewhere.count()) == (0, 1)
    assert (tmp_path / "erasures").stat().st_mode & 0o777 == 0o600


def test_a_directory_passes_its_permissions_on(tmp_path: Path) -> None:
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o750)
    store = open_objects(str(directory))
    store.put("a/b", [b"1"], 1)
    store.create("a/c", b"1")
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.rglob("*")}
    assert modes == {"a": 0o750, "b": 0o640, "c": 0o640}
    store.delete(["a/b", "a/c"])
    assert list(directory.iterdir()) == []


def test_a_directory_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "nfs").mkdir()
    store = open_objects(str(tmp_path / "nfs"))
    (tmp_path / "nfs").rmdir()
    works: list[Any] = [lambda: store.put("a", [b"1"], 1), lambda: store.get("a", 0, 1)]
    for work in works:
        with pytest.raises(ObjectStoreError, match="No such file"):
            work()
    assert not (tmp_path / "nfs").exists()
    with pytest.raises(ConfigError, match="is not a directory; mount it"):
        open_objects(str(tmp_path / "nfs"))


HEAD = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nLast-Modified: Sun, 29 Nov 2026 10:00:00 GMT\r\n'


SECRET = b"Connection: close\r\nContent-Length: 9\r\n\r\n<secret/>"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 503 Slow Down\r\n" + SECRET, "503"),
        (b"HTTP/1.1 403 Forbidden\r\n" + SECRET, "403"),
        (b"", "error"),
        (b"nonsense\r\n\r\n", "error"),
        (HEAD + b"Content-Length: 100\r\n\r\nshort", "error"),
    ],
    ids=["503", "403", "reset", "no HTTP", "truncated"],
)
def test_failures_of_s3_are_one_line_without_secrets(tmp_path: Path, reply: bytes, reason: str) -> None:
    with bad_server(reply) as endpoint:
        store = open_objects(f"s3://{BUCKET}", write_options(tmp_path / "options.toml", endpoint))
        works: list[Any] = [lambda: store.get("a", 0, 100)]
        if b"200 OK" not in reply:
            works += [lambda: store.create("a", b"1"), lambda: store.replace("a", b"1", "1")]
            works += [lambda: store.put("a", [b"1"], 1), lambda: names(store, "a/")]
        for work in works:
            with pytest.raises(ObjectStoreError, match=reason) as caught:
                work()
            assert "\n" not in str(caught.value)
            assert "secret" not in str(caught.value)
            assert "s3cret" not in str(caught.value)
            assert len(str(caught.value)) < 300


def test_a_directory_without_hard_links_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "hardlink_to", Mock(side_effect=PermissionError(errno.EPERM, "not permitted")))
    with pytest.raises(ObjectStoreError, match=f"{tmp_path} is on a disk without hard links"):
        probe_objects(open_objects(str(tmp_path)))


def test_a_store_without_puts_under_a_condition_is_one_line() -> None:
    with pytest.raises(ObjectStoreError, match=r"^http://127\.0\.0\.1:1/x: .*not yet implemented") as caught:
        probe_objects(open_objects("http://127.0.0.1:1/x"))
    assert "\n" not in str(caught.value)


def test_a_bucket_that_vanishes_is_a_failure(tmp_path: Path, endpoint: str) -> None:
    bucket(endpoint, "PUT", "gone")
    store = open_objects("s3://gone", write_options(tmp_path / "options.toml", endpoint))
    assert probe_objects(store) == ""
    bucket(endpoint, "DELETE", "gone")
    with pytest.raises(ObjectStoreError, match="404"):
        store.create("a", b"1")


async def test_a_store_that_does_not_answer_is_passed_over_after_a_second(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    with bad_server(None) as endpoint:
        objects = open_objects(f"s3://{BUCKET}", write_options(tmp_path / "options.toml", endpoint))
        recorder = Recorder(structlog.testing.CapturingLogger())
        async with trio.open_nursery() as nursery:
            claims = ObjectClaims(objects, lambda: 0.0)
            store = SharedStore(objects, claims, "https://platform", recorder, nursery, answer_s=1.0)
            begun_s = trio.current_time()
            for _ in range(3):
                with pytest.raises(PassedOverError):
                    await store.look(AttachmentKey("1", 2, 3, 4))
            assert await store.claim(AttachmentKey("1", 2, 3, 4)) is None
            assert trio.current_time() - begun_s == 1.0
            assert store.problem == "the store does not answer in time"
            nursery.cancel_scope.cancel()
    assert [fault.event for fault in recorder.faults] == ["shared"]


def test_options_that_others_may_read_are_refused(tmp_path: Path) -> None:
    options = write_options(tmp_path / "options.toml", "http://127.0.0.1:1")
    options.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read it; run: chmod 600"):
        open_objects("s3://b", options)


@pytest.mark.parametrize(
    ("place", "text", "reason"),
    [
        ("s3://b", "aws_secret_access_key = 's3cret'\nnonsense = 's3cret'", "cannot be opened"),
        ("s3://b", "aws_secret_access_key = 5", "must be a text in quotes"),
        ("s3://b", "s3cret", "is not TOML"),
        ("nosuch://b", "", "cannot be opened"),
        ("az://b", "", "az://b cannot be opened: .*Account must be specified"),
    ],
)
def test_wrong_settings_are_one_line_without_secrets(
    tmp_path: Path, place: str, text: str, reason: str
) -> None:
    options = tmp_path / "options.toml"
    options.write_text(text)
    options.chmod(0o600)
    with pytest.raises(ConfigError, match=reason) as caught:
        open_objects(place, options)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rcfs.objects._obstore", None)
    with pytest.raises(ConfigError, match=r"needs the package obstore; run: .+ -m pip install 'obstore>="):
        open_objects("s3://b")
