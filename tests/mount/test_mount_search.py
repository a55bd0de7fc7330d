"""Searches as directories: made, looked into, current, renamed, removed; and nothing else can be made."""

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounted, eventually, mounts

pytestmark = pytest.mark.mount

ROOMY = tuple(f"--limit={group}=100000" for group in ("auth", "light", "medium"))


@pytest.fixture(scope="module")
def module_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    with mounts(tmp_path_factory.mktemp("search")) as make:
        mount = make("--messages=400", *ROOMY)
        for number in ("101", "102"):
            assert list(next(mount.path.glob(f"{number} *")).iterdir())
        yield mount


@pytest.fixture
def searches(module_mount: Mounted) -> Iterator[Path]:
    path = module_mount.path / "Search"
    yield path
    for search in path.iterdir():
        search.rmdir()


@pytest.fixture
def arrive(module_mount: Mounted) -> Callable[[str], int]:
    """Lets a message arrive in the first mailbox, and the mount know of it."""
    path = next(module_mount.path.glob("101 *"))
    extension_id = int(path.joinpath("extension.json").read_text().split('"id": ')[1].split(",")[0])

    def arrive(kind: str) -> int:
        message_id = module_mount.server.arrive(extension_id, kind)
        module_mount.rcfs("refresh", str(path))
        return message_id

    return arrive


def said(searches: Path, word: str) -> set[str]:
    """Names of the messages in the mailboxes that were looked into whose text has a word."""
    root = searches.parent
    return {
        text.parent.name
        for number in ("101", "102")
        for view in ("SMS", "Pager")
        for text in root.glob(f"{number} */{view}/*/*/text.txt")
        if word in text.read_text().lower()
    }


def test_a_search_holds_links_to_its_matches(module_mount: Mounted, searches: Path) -> None:
    expected = said(searches, "invoice")
    assert len(expected) > 2
    module_mount.server.reset_journal()
    search = searches / "invoice"
    search.mkdir()
    assert [path.name for path in searches.iterdir()] == ["invoice"]
    links = list(search.iterdir())
    assert {link.name for link in links} >= expected
    for link in links:
        assert link.is_symlink()
        assert link.readlink().parts[:2] == ("..", "..")
        assert (link / "message.json").is_file()
        assert link.resolve().name == link.name
        assert link.resolve().parts[len(searches.parts) - 1][:3] in ("101", "102")
    assert search.stat().st_mode == 0o40700
    assert searches.stat().st_mode == 0o40700
    with pytest.raises(FileNotFoundError):
        (search / next(iter(said(searches, "parking")))).lstat()
    search.rmdir()
    assert list(searches.iterdir()) == []
    assert not search.exists()
    assert module_mount.server.journal(operation="readMessageContent") == []


def test_a_search_is_current_while_a_person_looks(searches: Path, arrive: Callable[[str], int]) -> None:
    arrive("SMS")
    search = searches / "101* OR * a* OR i* OR o* OR t* OR y* OR p* OR r*"
    search.mkdir()
    handle = os.open(search, os.O_RDONLY | os.O_DIRECTORY)
    try:
        before = set(os.listdir(handle))  # noqa: PTH208 - it is the open handle that counts
        times = os.fstat(handle).st_mtime_ns
        message_id = arrive("SMS")
        (new,) = set(os.listdir(handle)) - before  # noqa: PTH208
        assert new.endswith(f"[{message_id}]")
        assert os.fstat(handle).st_mtime_ns > times
    finally:
        os.close(handle)
    assert (search / new / "message.json").is_file()


def test_a_deleted_message_is_no_longer_found(
    module_mount: Mounted, searches: Path, arrive: Callable[[str], int]
) -> None:
    message_id = arrive("Fax")
    path = next(module_mount.path.glob("101 *"))
    home = next(path.glob(f"Fax/*/* [[]{message_id}[]]"))
    party = home.name.split("Z ", 1)[1].removesuffix(f" [{message_id}]").removeprefix("from ")
    search = searches / f'"{party}"'
    search.mkdir()
    link = search / home.name
    assert link.resolve() == home
    extension_id = os.getxattr(home, "user.rcfs.uri").decode().split("/extension/")[1].split("/")[0]
    message = f"extension/{extension_id}/message-store/{message_id}"
    module_mount.server.api("DELETE", message)
    module_mount.rcfs("refresh", str(path))
    assert link.resolve() == path / "Trash" / home.name
    module_mount.server.api("DELETE", message, params={"purge": "true"})
    module_mount.rcfs("refresh", str(searches))
    assert not link.is_symlink()
    assert home.name not in {other.name for other in search.iterdir()}


def test_a_file_manager_makes_a_directory_and_then_names_it(searches: Path) -> None:
    for name in ("New Folder", "Untitled Folder", "New folder (2)"):
        (searches / name).mkdir()
        (searches / name).rename(searches / "door code")
        assert [path.name for path in searches.iterdir()] == ["door code"]
        assert {link.name for link in (searches / "door code").iterdir()} >= said(searches, "door code")
        (searches / "door code").rmdir()


def test_a_search_is_made_again_while_a_shell_is_in_the_old_one(searches: Path) -> None:
    first = searches / "invoice"
    first.mkdir()
    script = "echo ready; read; ls | wc -l"
    with subprocess.Popen(
        ["bash", "-c", script], cwd=first, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == "ready\n"
        first.rename(searches / "parking")
        first.mkdir()
        assert {path.name for path in searches.iterdir()} == {"parking", "invoice"}
        assert {link.name for link in first.iterdir()} >= said(searches, "invoice")
        assert {link.name for link in (searches / "parking").iterdir()} >= said(searches, "parking")
        output, _errors = shell.communicate("\n", timeout=COMMAND_S)
    assert int(output) >= len(said(searches, "parking")), "it has become what the directory is now"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (".hidden", errno.EROFS),
        (".Trash-1000", errno.EROFS),
        ("-spam", errno.EINVAL),
        ("invoice OR", errno.EINVAL),
        ('"not closed', errno.EINVAL),
        ("...?", errno.EROFS),
        ("?", errno.EINVAL),
        ("two\nlines", errno.EINVAL),
        ("x\udcff", errno.EINVAL),
        ("x" * 256, errno.ENAMETOOLONG),
    ],
)
def test_names_that_are_no_query(searches: Path, name: str, number: int) -> None:
    (searches / "fine").mkdir()
    for attempt in ((searches / name).mkdir, lambda: (searches / "fine").rename(searches / name)):
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            attempt()
        assert caught.value.errno == number
    assert [path.name for path in searches.iterdir()] == ["fine"]


def test_a_query_works_as_typed_and_is_listed_as_every_disk_takes_it(
    module_mount: Mounted, searches: Path, tmp_path: Path
) -> None:
    typed, listed = searches / '"parking" OR invoice*', searches / "\uff02parking\uff02 OR invoice\uff0a"
    module_mount.tool("mkdir", str(typed))
    assert [path.name for path in searches.iterdir()] == [listed.name]
    found = {link.name for link in typed.iterdir()}
    assert found >= said(searches, "parking") | said(searches, "invoice")
    assert {link.name for link in listed.iterdir()} == found
    module_mount.tool("cp", "-r", "--no-dereference", str(searches), str(tmp_path))
    assert {link.name for link in (tmp_path / "Search" / listed.name).iterdir()} == found
    for equal in (listed, searches / '"PARKING" or INVOICE*'):
        with pytest.raises(FileExistsError):
            equal.mkdir()
    typed.rename(searches / "con")
    assert [path.name for path in searches.iterdir()] == ["\uff02con\uff02"]
    eventually(lambda: not typed.exists())
    eventually(lambda: not listed.exists())
    (searches / "con").rmdir()
    assert list(searches.iterdir()) == []
    eventually(lambda: not (searches / '"con"').exists())


def test_nothing_else_can_be_changed(module_mount: Mounted, searches: Path) -> None:
    search, other = searches / "invoice", searches / "parking"
    search.mkdir()
    other.mkdir()
    record = next(search.iterdir()) / "message.json"
    extension = next(module_mount.path.glob("101 *"))
    attempts: dict[str, Callable[[], object]] = {
        "mkdir in the root": (module_mount.path / "new").mkdir,
        "mkdir in a mailbox": (extension / "new").mkdir,
        "mkdir in a search": (search / "new").mkdir,
        "rmdir in the root": searches.rmdir,
        "rmdir in a mailbox": (extension / "SMS").rmdir,
        "rename from a mailbox": lambda: (extension / "SMS").rename(searches / "SMS"),
        "rename into a mailbox": lambda: search.rename(extension / "new"),
        "rename into a search": lambda: search.rename(other / "new"),
        "unlink a file": record.unlink,
        "symlink": lambda: (searches / "new").symlink_to("x"),
        "link": lambda: (searches / "new").hardlink_to(record),
        "mknod": lambda: os.mknod(searches / "new"),
        "create": lambda: (searches / "new").write_text("x"),
        "write": lambda: record.write_text("x"),
        "truncate": lambda: os.truncate(record, 0),
        "open and truncate": lambda: os.open(record, os.O_RDONLY | os.O_TRUNC),
        "chmod": lambda: record.chmod(0o777),
        "chmod of a search": lambda: search.chmod(0o777),
        "times": lambda: os.utime(record),
        "chown": lambda: os.chown(record, 1, 1),
        "setxattr": lambda: os.setxattr(record, "user.x", b"x"),
        "removexattr": lambda: os.removexattr(record, "user.rcfs.type"),
    }
    before = record.read_bytes()
    for what, attempt in attempts.items():
        with pytest.raises(OSError, match="Read-only file system") as caught:
            attempt()
        assert caught.value.errno == errno.EROFS, what
    assert record.read_bytes() == before
    for attempt in (search.mkdir, lambda: search.rename(other)):
        with pytest.raises(FileExistsError):
            attempt()
    with pytest.raises(FileNotFoundError):
        (searches / "nothing").rmdir()


def test_tools_that_walk_the_mount_do_not_follow(module_mount: Mounted, searches: Path) -> None:
    plain = module_mount.tool("find", ".", "-name", "message.json", check=False).stdout
    (searches / "a* OR b*").mkdir()
    assert module_mount.tool("find", ".", "-name", "message.json", check=False).stdout == plain
    listed = module_mount.tool("ls", "-lR", "Search").stdout
    assert listed.count(" -> ../../") > 100


def test_searches_are_there_after_a_remount(module_mount: Mounted, searches: Path) -> None:
    (searches / "invoice").mkdir()
    found = {link.name for link in (searches / "invoice").iterdir()}
    made_s = (searches / "invoice").stat().st_mtime
    module_mount.remount()
    assert [path.name for path in searches.iterdir()] == ["invoice"]
    assert {link.name for link in (searches / "invoice").iterdir()} == found
    assert (searches / "invoice").stat().st_mtime == pytest.approx(made_s, abs=5.0)


def test_words_of_a_voicemail_are_found_after_its_transcript_was_read(
    module_mount: Mounted, searches: Path
) -> None:
    transcript = next(module_mount.path.glob("101 *")).glob("Voicemail/*/*/transcript.txt")
    home = next(transcript).parent
    words = home.joinpath("transcript.txt").read_text()
    search = searches / '"{}"'.format(" ".join(words.split()[:6]).replace('"', ""))
    search.mkdir()
    eventually((search / home.name).exists)
    done = module_mount.rcfs("search", f"--state-dir={module_mount.state}", search.name)
    assert str(home) in done.stdout


def test_the_command_finds_the_same(module_mount: Mounted, searches: Path) -> None:
    (searches / "invoice").mkdir()
    module_mount.server.reset_journal()
    done = module_mount.rcfs("search", f"--state-dir={module_mount.state}", "--json", "invoice")
    paths = {Path(found["path"]) for found in json.loads(done.stdout)}
    assert paths == {link.resolve() for link in (searches / "invoice").iterdir()}
    within = module_mount.rcfs(
        "search", f"--state-dir={module_mount.state}", "--in", str(searches.parent), "invoice"
    )
    assert len(within.stdout.splitlines()) == len(paths)
    assert module_mount.server.journal(operation="readMessageContent") == []


def test_a_pull_of_a_search_copies_its_matches(module_mount: Mounted, searches: Path, tmp_path: Path) -> None:
    (searches / "invoice").mkdir()
    links = {link.name: link.resolve() for link in (searches / "invoice").iterdir()}
    copy = tmp_path / "copy"
    module_mount.rcfs("pull", *module_mount.engine_options, "--to", str(copy), str(searches / "invoice"))
    assert {link.name for link in (copy / "Search" / "invoice").iterdir()} == set(links)
    for name, home in links.items():
        assert (copy / "Search" / "invoice" / name / "message.json").is_file()
        assert (copy / home.relative_to(searches.parent) / "message.json").is_file()


def test_a_search_can_be_removed_with_all_that_it_shows(module_mount: Mounted, searches: Path) -> None:
    search = searches / "2*"
    search.mkdir()
    shown = sorted(search.iterdir())
    assert len(shown) > 32, "more than one page of a listing"
    homes = {link.resolve() for link in shown}
    shown[0].unlink()
    assert set(shown) - set(search.iterdir()) == {shown[0]}
    with pytest.raises(FileNotFoundError):
        shown[0].lstat()
    module_mount.tool("rm", "-r", "Search/2*")
    assert not search.exists()
    assert all(home.is_file() or (home / "message.json").exists() for home in homes)
    # A search that is made again shows all links again; mailboxes that were loaded meanwhile may add more.
    search.mkdir()
    assert set(shown) <= set(search.iterdir())


def test_nothing_is_lost_with_a_file_that_cannot_be_removed(module_mount: Mounted, searches: Path) -> None:
    mailbox = next(module_mount.path.glob("101 *"))
    links = next(mailbox.glob("Conversations/*"))
    assert list(mailbox.rglob("*"))  # which loads the calls, and their links beside the messages
    before = sorted(map(str, mailbox.rglob("*")))
    for path in (links, mailbox / "SMS", mailbox / "extension.json", searches):
        done = module_mount.tool("rm", "-rf", str(path), check=False)
        assert done.returncode == 1
        assert os.strerror(errno.EROFS) in done.stderr
    assert sorted(map(str, mailbox.rglob("*"))) == before
