"""Exports through a mount: asked for by mkdir, read as archives, looked into, and forgotten by rm -r."""

import errno
import hashlib
import os
import shutil
import zipfile
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ringcentral import SDK

from rcfs.model import ContentKey
from tests.mount.conftest import Mounted, eventually, mounts, run, sha256

pytestmark = pytest.mark.mount

ROOMY = tuple(f"--limit={group}=100000" for group in ("auth", "light", "medium", "heavy"))
CONTENTS = ("messageStoreReportArchiveContent", "dataExportDataset")


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A mount of an account whose exports take a second, and have archives of up to 500 kB."""
    with mounts(tmp_path_factory.mktemp("exports")) as make:
        yield make("--messages=24", "--export-time=1", "--archive-bytes=500000", *ROOMY)


@pytest.fixture
def exports(mount: Mounted) -> tuple[Path, Path]:
    """A report on messages and an export of team messaging, whose archives are there."""
    today = datetime.now(UTC).date().isoformat()
    report = mount.path / "Exports" / "Messages" / f"2020-01-01 to {today}"
    team = mount.path / "Exports" / "Team Messaging" / f"{today} to {today}"
    absent = [path for path in (report, team) if not path.exists()]
    for path in absent:
        mount.tool("mkdir", str(path))
        assert [each.name for each in path.iterdir()] == ["status.txt"]
        status = path / "status.txt"
        eventually(lambda status=status: "\nstate      Accepted\n" in status.read_text())  # type: ignore[misc]
        assert status.stat().st_size == len(status.read_bytes())
        with pytest.raises(FileExistsError):
            path.mkdir()
    for path in absent:
        status = path / "status.txt"
        eventually(lambda status=status: not status.exists())  # type: ignore[misc]
        assert {each.suffix for each in path.iterdir()} == {".zip"}
    mount.server.reset_journal()
    return report, team


def archives(mount: Mounted) -> dict[str, Path]:
    """The archives of all exports by the paths of their contents."""
    found = mount.path.glob("Exports/*/*/*.zip")
    return {ContentKey.parse(os.getxattr(path, "user.rcfs.key").decode()).resource: path for path in found}


def content_requests(mount: Mounted) -> list[str]:
    """The paths of the requests for archives, sorted."""
    return sorted(entry["path"] for entry in mount.server.journal() if entry["operation"] in CONTENTS)


def members(archive: Path) -> dict[str, bytes]:
    """The members of an archive, as zipfile reads them."""
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def below(directory: Path) -> dict[str, bytes]:
    """All files below a directory by their paths in it."""
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_archives_are_contents_and_can_be_looked_into(
    mount: Mounted, exports: tuple[Path, Path], tmp_path: Path
) -> None:
    report, team = exports
    mount.empty_cache()
    mount.server.reset_journal()
    # Looking costs nothing, and a thumbnailer gets nothing.
    for command in (
        ["ls", "-lR", "Exports"],
        ["du", "-s", "Exports"],
        ["find", "Exports", "-name", "*.zip", "-ls"],
    ):
        mount.tool(*command)
    found = archives(mount)
    assert len(found) > len(list(report.iterdir())) > 2, "both kinds, and several archives"
    crawler = shutil.copy(shutil.which("cat") or "cat", str(tmp_path / "tumblerd"))
    done = run([crawler, *map(str, found.values())], check=False)
    assert done.stderr.count("Device or resource busy") == len(found)
    assert not list(report.glob("archive-0")), "it is not in the cache"
    for name in ("task_id", "archive_id", "key"):
        assert os.getxattr(report / "archive-1.zip", f"user.rcfs.{name}")
    assert os.getxattr(report / "archive-1.zip", "user.rcfs.archive_id") == b"1"
    assert os.getxattr(team / "archive-0.zip", "user.rcfs.dataset_id")
    assert os.getxattr(team / "archive-0.zip", "user.rcfs.cached") == b"no"
    sizes = {path: path.stat().st_size for path in found.values()}
    assert content_requests(mount) == []

    # Each is fetched once, by whichever program, and resumed where a connection broke.
    mount.server.fault("reset_body", operation=CONTENTS[0])
    for path in found.values():
        run(["unzip", "-tqq", str(path)])
    (resumed,) = (entry for entry in mount.server.journal(operation=CONTENTS[0]) if entry["range"])
    assert resumed["status"] == 206
    assert content_requests(mount) == sorted([*found, resumed["path"]])
    digests = {resource: sha256(path) for resource, path in found.items()}
    assert {path: path.stat().st_size for path in found.values()} == sizes
    assert content_requests(mount) == sorted([*found, resumed["path"]])

    # Looking inside costs nothing.
    mount.server.reset_journal()
    for path in found.values():
        inside = path.with_suffix("")
        assert below(inside) == members(path)
        assert {each.stat().st_size for each in inside.rglob("*") if each.is_file()}
    word = next(iter(members(report / "archive-0.zip").values())).split(b'"id": ')[1].split(b",")[0].decode()
    grep = ["grep", "-rl", word, str(report / "archive-0")]
    assert run(grep).stdout.splitlines()[0].endswith("/message-store.json")
    run(["cp", "-r", str(report), str(tmp_path / "copy")])
    run(["diff", "-r", str(report), str(tmp_path / "copy")])
    mount.remount()
    assert {resource: sha256(path) for resource, path in archives(mount).items()} == digests
    assert below(report / "archive-1") == members(report / "archive-1.zip")
    assert mount.server.journal(operation=CONTENTS[0]) == []
    assert mount.server.journal(operation=CONTENTS[1]) == []
    for resource, path in found.items():
        assert mount.server.download(resource) == path.read_bytes()


def test_pull_copies_archives_from_the_cache(
    mount: Mounted, exports: tuple[Path, Path], tmp_path: Path
) -> None:
    _report, team = exports
    for path in archives(mount).values():
        assert path.read_bytes()
    mount.server.reset_journal()
    mount.rcfs("pull", *mount.engine_options, f"--to={tmp_path}", "Exports/Team Messaging")
    assert below(tmp_path / "Exports") == {
        f"Team Messaging/{team.name}/archive-0.zip": (team / "archive-0.zip").read_bytes()
    }
    assert content_requests(mount) == []


def test_the_official_package_gets_the_same_bytes(mount: Mounted, exports: tuple[Path, Path]) -> None:
    report, team = exports
    server = mount.server
    platform = SDK(server.client_id, server.client_secret, server.platform_url).platform()
    platform.login(jwt=server.jwt)

    def digests(url: str, records: str) -> list[str]:
        """The SHA-256 of each archive in the list at `url`, whose sizes are right."""
        found = []
        for each in platform.get(url).json_dict()[records]:
            body = platform.get(each["uri"]).body()
            assert len(body) == each["size"]
            found.append(hashlib.sha256(body).hexdigest())
        return found

    def ours(directory: Path) -> list[str]:
        paths = {int(path.stem.partition("-")[2]): path for path in directory.glob("*.zip")}
        return [sha256(paths[number]) for number in sorted(paths)]

    reports, tasks = "/account/~/message-store-report", "/team-messaging/v1/data-export"
    own = platform.post(reports, {"dateFrom": "2020-01-01T00:00:00Z"}).json_dict()
    poll = f"{reports}/{own['id']}"
    eventually(lambda: platform.get(poll).json_dict()["status"] == "Completed")
    task_id, team_id = (os.getxattr(each / "archive-0.zip", "user.rcfs.task_id").decode() for each in exports)
    for url in (poll, f"{reports}/{task_id}"):
        assert digests(f"{url}/archive", "records") == ours(report)
    assert team_id in [each["id"] for each in platform.get(tasks).json_dict()["tasks"]]
    assert digests(f"{tasks}/{team_id}", "datasets") == ours(team)


def test_names_rmdir_and_rm(mount: Mounted, exports: tuple[Path, Path]) -> None:
    report, team = exports
    for name, number in [
        ("last year", errno.EINVAL),
        ("2026-03-31 to 2026-01-01", errno.EINVAL),
        ("2026-13-01 to 2026-13-31", errno.EINVAL),
        ("2999-01-01 to 2999-01-02", errno.EINVAL),
        (".Trash-1000", errno.EROFS),
        ("x" * 256, errno.ENAMETOOLONG),
    ]:
        with pytest.raises(OSError, match=os.strerror(number)):
            (report.parent / name).mkdir()
    errors = (mount.path / ".rcfs" / "errors").read_text()
    assert errors.count("no export has this name: ") == 4
    assert "the period begins in the future" in errors
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        (mount.path / "Exports" / "Faxes").mkdir()
    for path in (report, team):
        assert (path / "archive-0.zip").read_bytes()  # so that there is a directory
    for command in (["rm", "archive-0.zip"], ["rmdir", "archive-0"]):
        done = run(command, cwd=report, check=False)
        assert "Operation not permitted" in done.stderr
    assert [path.name for path in report.parent.iterdir()] == [report.name]
    with (report / "archive-0.zip").open("rb") as file:
        report.rmdir()
        assert file.read(4) == b"PK\3\4"
    assert list(report.parent.iterdir()) == []
    assert not report.exists()
    assert not (report / "archive-0.zip").exists()

    # The month's end stands for today, and both names for the export.
    today = datetime.now(UTC).date()
    end = today.replace(day=monthrange(today.year, today.month)[1])
    asked, listed = (report.parent / f"{today} to {each}" for each in (end, today))
    asked.mkdir()
    assert [path.name for path in report.parent.iterdir()] == [listed.name]
    with pytest.raises(FileExistsError):
        asked.mkdir()
    assert [path.name for path in asked.iterdir()] == ["status.txt"]
    errors = (mount.path / ".rcfs" / "errors").read_text()
    assert (f"{asked.name} ends in the future, so the export ends today" in errors) == (end > today)
    asked.rmdir()
    assert not asked.exists()
    eventually(lambda: not listed.exists())  # it had two names

    # With what is in it, also in the archives, and a new one shows all that it has.
    assert (team / "archive-0").is_dir()
    mount.tool("rm", "-r", str(team))
    assert list(team.parent.iterdir()) == []
    team.mkdir()
    assert [path.name for path in team.iterdir()] == ["status.txt"]
    mount.tool("rm", "-r", str(team))
    assert not team.exists()
