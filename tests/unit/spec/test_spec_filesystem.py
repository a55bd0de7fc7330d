"""Names, bytes, errors and threads of the filesystem, on a small tree without an account."""

import asyncio
import errno
import io
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest

from rcfs.errors import BudgetError, ConfigError, DeadlineError, ForbiddenError, UnreachableError
from rcfs.spec import RcfsFileSystem
from rcfs.spec._entries import Info
from rcfs.spec._errors import translated
from rcfs.spec._paths import Paths
from rcfs.tree import Link, Node
from tests.fakes.fsspec_tree import filesystem

ODD = "100 % #1 ünï [x]? *"
TEXT = bytes(range(256)) * 5000
TREE = {
    "101 Jane Smith": {
        "SMS": {
            "2026-11": {
                "2026-11-03 from Bob [6424569004]": {"text.txt": b"hello", "message.json": b"{}"},
                "2026-11-04 from Bob [6424569005]": {"text.txt": b"bye", "message.json": b"{}"},
            }
        },
        "Unread": {"one": "../SMS/2026-11/2026-11-03 from Bob [6424569004]", "gone": "../SMS/1999-01/x"},
        "Calls": {"2026-10.csv": b"a,b\n1,2\n", "2026-11.csv": TEXT},
        ODD: {"f": b"odd"},
    },
    "Company": {"Calls": {"2026-11.csv": b"a,b\n3,4\n"}},
}
MONTH = "101 Jane Smith/SMS/2026-11"
FIRST = f"{MONTH}/2026-11-03 from Bob [6424569004]"
LONG = "101 Jane Smith/Calls/2026-11.csv"
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def fs() -> Iterator[RcfsFileSystem]:
    with filesystem(TREE) as fs:
        yield fs


@pytest.mark.parametrize(
    "url",
    [
        "rcfs://101 Jane Smith/SMS",
        "rcfs:///101 Jane Smith/SMS/",
        "rcfs::101 Jane Smith/SMS",
        "/101 Jane Smith//SMS/.",
        "101 Jane Smith/Fax/../SMS",
        Path("101 Jane Smith/SMS"),
    ],
)
def test_a_path_has_one_form(url: Any) -> None:
    assert RcfsFileSystem._strip_protocol(url) == "101 Jane Smith/SMS"


def test_the_root_is_the_empty_path(fs: RcfsFileSystem) -> None:
    assert {RcfsFileSystem._strip_protocol(url) for url in ("rcfs://", "rcfs:///", "/", "")} == {""}
    assert fs.ls("rcfs://", detail=False) == ["101 Jane Smith", "Company"]
    assert fs.info("")["type"] == "directory"


def test_odd_characters_of_a_name_mean_nothing(fs: RcfsFileSystem) -> None:
    path = f"101 Jane Smith/{ODD}/f"
    assert fs.cat(f"rcfs://{path}") == b"odd"
    assert fs.glob(path) == [path]
    assert fs.glob(f"101 Jane Smith/{ODD}/*") == [path]


def test_an_entry_is_described(fs: RcfsFileSystem) -> None:
    info = fs.info(f"{FIRST}/text.txt")
    assert info == {
        "name": f"{FIRST}/text.txt",
        "size": 5,
        "type": "file",
        "size_is_exact": True,
        "created": 1.5,
        "mtime": 2.5,
        "islink": False,
    }
    assert fs.ls(FIRST) == [info, fs.info(f"{FIRST}/message.json")]
    assert fs.ls(f"{FIRST}/text.txt") == [info]
    assert fs.created(FIRST) == datetime.fromtimestamp(1.5, UTC)
    assert fs.modified(FIRST) == datetime.fromtimestamp(2.5, UTC)


def test_a_link_is_what_it_leads_to(fs: RcfsFileSystem) -> None:
    info = fs.info("101 Jane Smith/Unread/one")
    assert (info["type"], info["islink"], info["destination"]) == ("directory", True, FIRST)
    assert info in fs.ls("101 Jane Smith/Unread")
    assert fs.cat("101 Jane Smith/Unread/one/text.txt") == b"hello"
    assert fs.glob("101 Jane Smith/Unread/*/text.txt") == ["101 Jane Smith/Unread/one/text.txt"]
    assert fs.info("101 Jane Smith/Unread/gone")["type"] == "link"


def test_a_link_whose_target_cannot_be_read_hides_nothing(
    fs: RcfsFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = Paths._followed

    async def refuse(paths: Paths, node: Node, parts: tuple[str, ...]) -> Any:
        if isinstance(node, Link):
            raise ForbiddenError("no right")
        return await followed(paths, node, parts)

    monkeypatch.setattr(Paths, "_followed", refuse)
    assert [info["type"] for info in fs.ls("101 Jane Smith/Unread")] == ["link", "link"]
    with pytest.raises(PermissionError):
        fs.cat("101 Jane Smith/Unread/one/text.txt")


def test_find_and_walk_give_each_file_once(fs: RcfsFileSystem) -> None:
    found = fs.find("101 Jane Smith")
    assert len(found) == 7
    walked = [f"{path}/{name}" for path, _directories, files in fs.walk("101 Jane Smith") for name in files]
    assert sorted(walked) == sorted([*found, "101 Jane Smith/Unread/gone"])
    assert fs.du("101 Jane Smith") == sum(fs.info(path)["size"] for path in found)
    assert fs.find(f"{FIRST}/text.txt") == [f"{FIRST}/text.txt"]
    assert fs.find("101 Jane Smith", maxdepth=1) == []
    assert fs.find("101 Jane Smith/nothing") == []


def test_walk_lets_its_caller_choose_where_to_go(fs: RcfsFileSystem) -> None:
    seen = []
    for path, directories, _files in fs.walk(""):
        seen.append(path)
        directories[:] = [name for name in directories if name == "Company"]
    assert seen == ["", "Company"]
    assert [path for path, *_ in fs.walk("Company", topdown=False)] == ["Company/Calls", "Company"]


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("*/Calls/2026-11.csv", 2),
        ("rcfs://*/Calls/2026-*.csv", 3),
        (f"{MONTH}/*/text.txt", 2),
        (f"{FIRST}/*.txt", 1),
        (f"{MONTH}/*[[]642456900[45]]/text.txt", 2),
        ("**/text.txt", 2),
        ("**/Bob/x", 0),
        ("*/", 2),
        ("*/*.csv", 0),
        (f"{LONG}/*", 0),
    ],
)
def test_glob(fs: RcfsFileSystem, pattern: str, count: int) -> None:
    assert len(fs.glob(pattern)) == count


def test_a_glob_looks_only_where_its_pattern_leads(
    fs: RcfsFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = []
    listing = Paths.listing

    async def listening(paths: Paths, path: str) -> list[Info]:
        listed.append(path)
        return await listing(paths, path)

    monkeypatch.setattr(Paths, "listing", listening)
    assert len(fs.glob("*/Calls/*.csv")) == 3
    assert listed == ["", "101 Jane Smith/Calls", "Company/Calls"]


def test_a_range_is_a_slice(fs: RcfsFileSystem) -> None:
    for start, stop in (
        (None, None),
        (0, 10),
        (300, 1 << 21),
        (-7, None),
        (-20, -5),
        (5, 2),
        (1 << 30, None),
    ):
        assert fs.cat_file(LONG, start, stop) == TEXT[start:stop]
    assert fs.cat_ranges([LONG, LONG], [0, 5], [3, 9]) == [TEXT[:3], TEXT[5:9]]
    assert fs.head(LONG, 4) == TEXT[:4]
    assert fs.tail(LONG, 4) == TEXT[-4:]


def test_several_files_at_a_time(fs: RcfsFileSystem) -> None:
    assert fs.cat(f"{MONTH}/*/text.txt") == {
        f"{FIRST}/text.txt": b"hello",
        f"{MONTH}/2026-11-04 from Bob [6424569005]/text.txt": b"bye",
    }
    assert set(fs.cat(FIRST, recursive=True, on_error="omit")) == set(fs.find(FIRST))


@pytest.mark.parametrize("cache_type", ["readahead", "none", "all", "blockcache"])
def test_a_file_reads_and_seeks(fs: RcfsFileSystem, cache_type: str) -> None:
    with fs.open(LONG, cache_type=cache_type) as file:
        assert file.size == len(TEXT)
        assert file.read(5) == TEXT[:5]
        file.seek(-3, io.SEEK_END)
        assert file.read() == TEXT[-3:]
        assert file.read() == b""
        file.seek(1000)
        assert file.readline() == TEXT[1000 : TEXT.index(b"\n", 1000) + 1]
    with fs.open("Company/Calls/2026-11.csv", "r") as lines:
        assert lines.readlines() == ["a,b\n", "3,4\n"]


def test_a_name_with_brackets_is_copied_as_itself(fs: RcfsFileSystem, tmp_path: Path) -> None:
    fs.get(f"{FIRST}/text.txt", str(tmp_path / "a"))
    fs.get(f"{FIRST}/text.txt", f"{tmp_path}/")
    fs.get(FIRST, str(tmp_path / "b"), recursive=True)
    fs.get(FIRST, f"{tmp_path}/", recursive=True)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.txt")}
    assert names == {"text.txt", "b/text.txt", "2026-11-03 from Bob [6424569004]/text.txt"}
    assert (tmp_path / "a").read_bytes() == b"hello"
    buffer = io.BytesIO()
    fs.get_file(f"{FIRST}/text.txt", buffer)
    assert buffer.getvalue() == b"hello"


def test_errors_are_pythons(fs: RcfsFileSystem) -> None:
    with pytest.raises(FileNotFoundError, match="101 Jane Smith/nothing"):
        fs.info("101 Jane Smith/nothing")
    with pytest.raises(FileNotFoundError):
        fs.cat("*/nothing*")
    with pytest.raises(NotADirectoryError):
        fs.ls(f"{LONG}/below")
    with pytest.raises(IsADirectoryError):
        fs.open(FIRST)
    assert not fs.exists("nothing")
    assert not fs.exists(f"{LONG}/below")
    assert not fs.isfile(FIRST)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ForbiddenError("no right"), PermissionError),
        (DeadlineError("too long"), TimeoutError),
        (BudgetError("busy"), OSError),
        (UnreachableError("no network"), OSError),
    ],
)
def test_an_error_keeps_its_words(error: Exception, kind: type[Exception]) -> None:
    said = translated(error, "a/b")
    assert type(said) is kind
    assert (str(error) in str(said), said.filename) == (True, "a/b")  # type: ignore[attr-defined]
    assert said.__cause__ is error


@pytest.mark.parametrize(
    "change",
    [
        lambda fs, _local: fs.mkdir("Search/x"),
        lambda fs, _local: fs.makedirs("Search/x"),
        lambda fs, _local: fs.rmdir("Company"),
        lambda fs, _local: fs.rm(LONG),
        lambda fs, _local: fs.rm_file(LONG),
        lambda fs, _local: fs.cp_file(LONG, "x"),
        lambda fs, _local: fs.copy(LONG, "x"),
        lambda fs, _local: fs.mv(LONG, "x"),
        lambda fs, _local: fs.pipe("x", b"y"),
        lambda fs, _local: fs.pipe_file("x", b"y"),
        lambda fs, local: fs.put(local, "x"),
        lambda fs, local: fs.put_file(local, "x"),
        lambda fs, _local: fs.touch(LONG),
        lambda fs, _local: fs.write_text("x", "y"),
        lambda fs, _local: fs.open(LONG, "ab"),
        lambda fs, _local: fs.open(LONG, "r+b"),
        lambda fs, _local: fs.open(LONG, "xb"),
    ],
)
def test_nothing_can_be_changed(
    fs: RcfsFileSystem, change: Callable[[RcfsFileSystem, str], None], tmp_path: Path
) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"x")
    with pytest.raises(OSError, match="read-only") as caught:
        change(fs, str(local))
    assert caught.value.errno == errno.EROFS


def test_many_threads_read_at_the_same_time(fs: RcfsFileSystem) -> None:
    wrong: list[int] = []

    def read(number: int) -> None:
        for _ in range(5):
            with fs.open(LONG) as file:
                file.seek(number * 1000)
                if file.read(1000) != TEXT[number * 1000 : number * 1000 + 1000]:
                    wrong.append(number)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    assert (wrong, any(thread.is_alive() for thread in threads)) == ([], False)


def test_an_instance_and_an_open_file_survive_pickling(fs: RcfsFileSystem) -> None:
    again = pickle.loads(pickle.dumps(fs))
    assert again.storage_options == fs.storage_options
    assert again.cat(f"{FIRST}/text.txt") == b"hello"
    with fs.open(LONG) as file:
        file.seek(77)
        with pickle.loads(pickle.dumps(file)) as copy:
            assert copy.read(9) == file.read(9) == TEXT[77:86]


def test_a_program_with_a_loop_of_its_own_awaits() -> None:
    async def main(fs: RcfsFileSystem) -> None:
        assert (await fs._info(LONG))["size"] == len(TEXT)
        assert await fs._cat_file(LONG, 0, 3) == TEXT[:3]
        assert [path async for path, *_ in fs._walk("Company")] == ["Company", "Company/Calls"]
        assert await asyncio.gather(*(fs._cat_file(LONG, at, at + 1) for at in range(300))) == [
            TEXT[at : at + 1] for at in range(300)
        ]
        async with await fs.open_async(LONG) as file:
            file.seek(10)
            assert await file.read(5) == TEXT[10:15]

    with filesystem(TREE, asynchronous=True) as fs:
        asyncio.run(main(fs))


def test_a_call_that_is_cancelled_ends(fs: RcfsFileSystem) -> None:
    ended, begun = threading.Event(), threading.Event()

    async def wait(_paths: Any) -> None:
        import trio

        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    call = fs.engine().submit("x", wait)
    assert begun.wait(WITHIN_S)
    call.cancel()
    assert ended.wait(WITHIN_S)


def test_calls_end_when_the_filesystem_is_closed() -> None:
    async def wait(_paths: Any) -> None:
        import trio

        begun.set()
        await trio.sleep_forever()

    begun = threading.Event()
    with filesystem(TREE) as fs:
        engine = fs.engine()
        call = engine.submit("x", wait)
        assert begun.wait(WITHIN_S)
        fs.close()
        with pytest.raises(OSError, match="closed"):
            call.result(WITHIN_S)
        with pytest.raises(OSError, match="closed"):
            engine.call("x", wait)


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="no option state_directory"):
        RcfsFileSystem(state_directory="/x")


def test_a_missing_login_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("RC_", "RCFS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    config = tmp_path / "config.toml"
    config.touch()
    fs = RcfsFileSystem(config=config, state_dir=tmp_path / "state")
    with pytest.raises(ConfigError, match="run `rcfs login`"):
        fs.ls("")
    with pytest.raises(ConfigError, match="there is no file"):
        RcfsFileSystem(config=tmp_path / "nothing").isdir("")
    assert not (tmp_path / "state").exists()


def test_fsspec_finds_it_by_its_name() -> None:
    assert fsspec.get_filesystem_class("rcfs") is RcfsFileSystem
