"""``rcfs://`` beside a real mount: shared contents and records, threads, forks, and programs that use it."""

import csv
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rcfs.errors import ConfigError
from rcfs.quota._opens import ELSEWHERE_OPENS, OPENS_WINDOW_S, PERSON_OPENS
from rcfs.spec import RcfsFileSystem
from tests.mount.conftest import Mounted, eventually, mounts, run

pytestmark = pytest.mark.mount

MONTH = "2026-11"
LIMITS = ("--limit=medium=100000", "--limit=light=100000", "--limit=heavy=10/1/1")


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount with 24 recordings, of which the platform gives ten in a second."""
    with mounts(tmp_path_factory.mktemp("fsspec")) as make:
        yield make("--messages=100", "--calls-per-day=12", "--call-days=2", *LIMITS)


@pytest.fixture(scope="module")
def options(mount: Mounted) -> dict[str, Any]:
    """Storage options for the account of the mount, with its directories."""
    config, server = mount.path.parent / "config.toml", mount.server
    config.touch(0o600)
    config.write_text(
        f'[credentials]\nserver_url = "{server.platform_url}"\nmedia_url = "{server.media_url}"\n'
        f'client_id = "{server.client_id}"\nclient_secret = "{server.client_secret}"\njwt = "{server.jwt}"\n'
    )
    return {"config": str(config), "state_dir": str(mount.state), "cache_dir": str(mount.cache)}


@pytest.fixture(scope="module")
def fs(options: dict[str, Any]) -> Iterator[RcfsFileSystem]:
    fs = RcfsFileSystem(**options)
    yield fs
    fs.close()


@pytest.fixture(autouse=True)
def _never_too_many(mount: Mounted) -> Iterator[None]:
    """However the processes are arranged, no request exceeds the limit, and no content is fetched twice."""
    mount.server.reset_journal()
    yield
    summary = mount.server.summary()
    assert (summary["limited"], summary["violations"]) == (0, 0)
    assert summary["content_requests"] == summary["distinct_contents"]


def contents(mount: Mounted) -> int:
    """Requests for contents since the test began."""
    return int(mount.server.summary()["content_requests"])


def program(text: str, *arguments: str) -> Any:
    """The last line that a Python program prints, which is JSON."""
    done = run([sys.executable, "-c", text, *arguments], env=os.environ | {"PYTHONWARNINGS": "default"})
    return json.loads(done.stdout.splitlines()[-1])


def test_it_shows_what_the_mount_shows(mount: Mounted, fs: RcfsFileSystem) -> None:
    jane = next(mount.path.glob("101 *"))
    found = fs.find(jane.name, detail=True)  # It also loads the calls.
    shown = {
        str(Path(folder, name).relative_to(mount.path)): Path(folder, name).stat().st_size
        for folder, _directories, files in os.walk(jane)
        for name in files
        if not Path(folder, name).is_symlink()
    }
    assert {path: info["size"] for path, info in found.items()} == shown
    linked = next(jane.glob("Conversations/*/*/text.txt"))
    assert fs.cat(str(linked.relative_to(mount.path))) == linked.read_bytes()


def test_what_either_has_fetched_the_other_reads_without_a_request(
    mount: Mounted, fs: RcfsFileSystem
) -> None:
    jane = next(mount.path.glob("101 *"))
    extension = json.loads((jane / "extension.json").read_text())
    arrived = [mount.server.arrive(int(extension["id"]), "VoiceMail") for _ in range(2)]
    mount.rcfs("refresh", str(jane))
    one, two = (
        str(next(jane.glob(f"Voicemail/*/*[[]{each}[]]/*.wav")).relative_to(mount.path)) for each in arrived
    )
    estimate = fs.info(one)
    assert not estimate["size_is_exact"]
    before = fs.ukey(one)
    assert fs.cat(one) == (mount.path / one).read_bytes()
    assert (mount.path / two).read_bytes() == fs.cat(two)
    assert contents(mount) == 2
    info = fs.info(one)
    assert (info["size_is_exact"], info["size"]) == (True, (mount.path / one).stat().st_size)
    assert info["size"] < estimate["size"]
    assert fs.ukey(one) == before != fs.ukey(two)


def test_a_message_that_the_mount_hears_of_is_listed(mount: Mounted, fs: RcfsFileSystem) -> None:
    jane = next(mount.path.glob("101 *"))
    extension = json.loads(fs.cat(f"{jane.name}/extension.json"))
    text = mount.server.arrive(int(extension["id"]), "SMS")
    eventually(lambda: fs.glob(f"{jane.name}/SMS/*/*[[]{text}[]]/text.txt") != [])


def test_the_files_of_the_control_directory_tell_about_this_process(fs: RcfsFileSystem) -> None:
    status = fs.cat("rcfs:///.rcfs/status").decode()
    assert status.startswith("rcfs ")
    assert f"process    {os.getpid()}," in status
    assert ".rcfs" not in fs.ls("", detail=False)
    with fs.open(".rcfs/quota") as file:
        assert file.size == len(file.read()) > 0


def test_a_mailbox_that_is_not_permitted_is_an_error(fs: RcfsFileSystem) -> None:
    with pytest.raises(PermissionError, match="CMN-419"):
        fs.ls("104 Alex Kim/SMS")
    with pytest.raises(PermissionError):
        fs.find("104 Alex Kim/SMS")
    assert fs.glob("104*/SMS/*") == []


def test_threads_share_one_request_for_each_file(mount: Mounted, fs: RcfsFileSystem) -> None:
    faxes = fs.glob("*/Fax/*/*/*.pdf")[:5]
    assert len(faxes) == 5
    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(fs.cat_file, faxes * 8))
    assert contents(mount) == 5
    assert read == read[:5] * 8
    truth = {row["sha256"] for row in mount.server.truth()}
    assert {hashlib.sha256(data).hexdigest() for data in read} <= truth


def test_many_files_of_a_process_are_bulk(fs: RcfsFileSystem) -> None:
    fs.cat(fs.glob("*/Voicemail/*/*/*.wav"))
    lines = [line for line in fs.cat(".rcfs/log").decode().splitlines() if "content requested" in line]
    assert len(lines) > PERSON_OPENS + ELSEWHERE_OPENS
    persons = [number for number, line in enumerate(lines) if "priority=person" in line]
    assert set(range(PERSON_OPENS)) <= set(persons)
    first, last = (datetime.fromisoformat(lines[number].split()[0]) for number in (0, -1))
    windows = 1 + (last - first) // timedelta(seconds=OPENS_WINDOW_S)
    assert len(persons) <= (PERSON_OPENS + ELSEWHERE_OPENS) * windows


def test_other_options_for_the_same_directory_are_refused(
    fs: RcfsFileSystem, options: dict[str, Any]
) -> None:
    fs.ls("")
    with pytest.raises(ConfigError, match="other options already"):
        RcfsFileSystem(**options, offline=True).ls("")


FORK = """
import json, os, sys
import fsspec

fs = fsspec.filesystem("rcfs", **json.loads(sys.argv[1]))
one, two, three = fs.glob("*/Fax/*/*/*.pdf")[:3]
data = fs.cat(one)
file = fs.open(one)
told, tell = os.pipe()
asked, ask = os.pipe()
child = os.fork()
if child == 0:
    code = 1
    try:
        assert fs.cat(two) and file.read() == data
        os.write(tell, b".")
        os.read(asked, 1)  # The parent has closed its engine.
        assert fs.cat(three)
        fs.close()
        code = 0
    finally:
        os._exit(code)
os.read(told, 1)
fs.close()
logs = [name for name in os.listdir(json.loads(sys.argv[1])["state_dir"]) if name.endswith("-wal")]
os.write(ask, b".")
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "mailboxes.sqlite-wal" in logs]))
"""


def test_a_forked_process_has_an_engine_of_its_own(
    mount: Mounted, fs: RcfsFileSystem, options: dict[str, Any], tmp_path: Path
) -> None:
    # In directories of its own, so that no mount keeps the logs of the databases.
    alone = options | {"state_dir": str(tmp_path / "state"), "cache_dir": str(tmp_path / "cache")}
    assert program(FORK, json.dumps(alone)) == [0, True]
    assert contents(mount) == 3


ANALYSES = """
import json, sys
import duckdb, fsspec, pandas, pyarrow.dataset

options, month = json.loads(sys.argv[1]), sys.argv[2]
calls = pandas.read_csv(f"rcfs://Company/Calls/{month}.csv", storage_options=options)
fs = fsspec.filesystem("rcfs", **options)
duckdb.register_filesystem(fs)
((lines, people),) = duckdb.sql(
    f"SELECT count(*), count(DISTINCT filename)"
    f" FROM read_json('rcfs://1*/Calls/{month}.jsonl', filename=true)"
).fetchall()
table = pyarrow.dataset.dataset(fs.glob(f"*/Calls/{month}.csv"), format="csv", filesystem=fs).to_table()
print(json.dumps([len(calls), int(calls["seconds"].sum()), lines, people, table.num_rows]))
"""


def test_pandas_duckdb_and_pyarrow_read_the_calls(mount: Mounted, options: dict[str, Any]) -> None:
    def rows(path: Path) -> list[dict[str, str]]:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    company = rows(mount.path / "Company" / "Calls" / f"{MONTH}.csv")
    everybody = sum(len(rows(path)) for path in mount.path.glob(f"*/Calls/{MONTH}.csv"))
    records = [path.read_bytes().count(b"\n") for path in mount.path.glob(f"1*/Calls/{MONTH}.jsonl")]
    assert program(ANALYSES, json.dumps(options), MONTH) == [
        len(company),
        sum(int(row["seconds"]) for row in company),
        sum(records),
        sum(count > 0 for count in records),
        everybody,
    ]
    assert contents(mount) == 0


DASK = """
import hashlib, json, os, sys
import fsspec
from dask.distributed import Client, LocalCluster

def digest(file):
    with file as opened:
        return hashlib.sha256(opened.read()).hexdigest(), os.getpid()

if __name__ == "__main__":
    files = fsspec.open_files("rcfs://*/Recordings/*/*.mp3", **json.loads(sys.argv[1]))
    with LocalCluster(n_workers=4, threads_per_worker=2, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            print(json.dumps(client.gather(client.map(digest, files))))
"""


def test_four_dask_workers_read_all_recordings_with_one_request_each(
    mount: Mounted, options: dict[str, Any]
) -> None:
    expected = Counter(row["sha256"] for row in mount.server.media_truth("Recording"))
    read = program(DASK, json.dumps(options))
    assert Counter(digest for digest, _process in read) == expected
    assert len({process for _digest, process in read}) == 4
    assert contents(mount) == len(read) == 24
    assert mount.server.journal(operation="readAccountInfo") == []
