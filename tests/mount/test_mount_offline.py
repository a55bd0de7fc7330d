"""Without a server, or with --offline: known data is served, all else fails at once, and heals."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.fakes import simulated as simulator
from tests.mount.conftest import COMMAND_S, Mounted, Mounting, attachment_key, eventually, run, sha256

pytestmark = pytest.mark.mount

ROOMY = tuple(f"--limit={group}=100000" for group in ("auth", "light", "medium"))
ACCOUNT = ("--messages=130", "--extensions=4", "--seed=5", *ROOMY)
PAGE_BYTES = 4096


def snapshot(mount: Mounted) -> list[tuple[str, int, int, int]]:
    """(path, mode, size, mtime) of everything below the mount that is not about rcfs itself.

    The sizes of call logs are 0: their lines get the paths of voicemails a while after a mailbox is loaded.
    """
    found = []
    for folder, directories, files in os.walk(mount.path):
        for name in (*directories, *files):
            path = Path(folder, name)
            status = path.lstat()
            size_bytes = 0 if Path(folder).name == "Calls" else status.st_size
            found.append((str(path.relative_to(mount.path)), status.st_mode, size_bytes, status.st_mtime_ns))
    return sorted(found)


def attachments(mount: Mounted) -> list[Path]:
    """Attachment files of one mailbox, whose sizes are only known from reading them."""
    found = sorted(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
    assert len(found) > 8
    return found


def texts(mount: Mounted) -> dict[str, bytes]:
    """The bytes of all files that cost no request."""
    return {str(path): path.read_bytes() for path in sorted(mount.path.glob("101 */**/*.json"))}


def reading(path: Path) -> int:
    """The errno that reading `path` ends with, for a person, who tries one file; 0 for none."""
    # In a session of its own, because this process has read enough files to count as a bulk job.
    done = subprocess.run(
        ["cat", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=COMMAND_S,
        check=False,
        start_new_session=True,
    )
    if not done.returncode:
        return 0
    words = done.stderr.strip().rpartition(": ")[2]
    return next(number for number in errno.errorcode if os.strerror(number) == words)


def status(mount: Mounted) -> str:
    return (mount.path / ".rcfs" / "status").read_text()


@contextmanager
def server_again(mount: Mounted) -> Iterator[simulator.Simulated]:
    """The same account once more, where it was."""
    ports = [url.rpartition(":")[2] for url in (mount.server.platform_url, mount.server.media_url)]
    with simulator.start(*ACCOUNT, f"--port={ports[0]}", f"--media-port={ports[1]}") as server:
        assert server.jwt == mount.server.jwt
        yield server


@pytest.fixture
def used(mounting: Mounting) -> Mounted:
    """A mount of an account that is known, with four contents in the cache."""
    mount = mounting(*ACCOUNT)
    for path in attachments(mount)[:4]:
        path.read_bytes()
    for path in mount.path.iterdir():
        mount.tool("ls", "-R", str(path), check=False)  # one of them is refused
    return mount


def test_a_server_that_dies_and_comes_back(used: Mounted) -> None:
    mount = used
    before, known, cached = snapshot(mount), texts(mount), attachments(mount)[:4]
    sums = [sha256(path) for path in cached]
    mount.server.kill()

    assert snapshot(mount) == before
    assert texts(mount) == known
    assert [sha256(path) for path in cached] == sums
    cold = attachments(mount)[4:]
    # Two connections that fail make an outage; from then on nothing is tried.
    assert reading(cold[0]) == errno.ENETUNREACH
    assert [reading(path) for path in cold[:4]] == [errno.ENETUNREACH] * 4
    mount.rcfs("refresh", str(cold[0].parent), check=False)  # so that the platform is missed as well
    eventually(lambda: "(unreachable)" in status(mount))
    refused = mount.rcfs("refresh", str(cold[0].parent), check=False)
    assert (refused.returncode, refused.stderr.count("Network is unreachable")) == (7, 1)

    with server_again(mount) as server:
        eventually(lambda: "(unreachable)" not in status(mount))
        eventually(lambda: reading(cold[0]) == 0)
        truth = {(entry["message_id"], entry["attachment_id"]): entry["sha256"] for entry in server.truth()}
        for path in cold[:4]:
            key = attachment_key(path)
            assert key is not None
            assert sha256(path) == truth[key]
        # The new server knows none of the old one's tokens: everything is compared, and equal.
        mount.rcfs("refresh", str(mount.path))
        assert {entry[0] for entry in snapshot(mount)} == {entry[0] for entry in before}
        mount.umount()


def test_a_known_account_is_mounted_without_its_server(used: Mounted) -> None:
    mount = used
    before, cached = snapshot(mount), attachments(mount)[:4]
    sums = [sha256(path) for path in cached]
    mount.umount()
    mount.server.kill()
    mount.mount()
    assert [entry[:2] for entry in snapshot(mount)] == [entry[:2] for entry in before]
    assert [sha256(path) for path in cached] == sums
    cold = attachments(mount)[4]
    assert reading(cold) == errno.ENETUNREACH
    with server_again(mount):
        eventually(lambda: reading(cold) == 0)
        mount.umount()


def ask_everything(mount: Mounted) -> set[str]:
    """Asks for all that costs no request, of all that is known below the mount; the paths that answered."""

    def refuse(error: OSError) -> None:
        # One mailbox is refused to everybody, and so is not known.
        if error.errno != errno.ENETUNREACH or Path(error.filename).parent.parent != mount.path:
            raise error

    asked = set()
    for folder, directories, files in os.walk(mount.path, onerror=refuse):
        for name in (*directories, *files):
            path = Path(folder, name)
            size = path.lstat().st_size
            attributes = os.listxattr(path, follow_symlinks=False)
            for attribute in attributes:
                assert os.getxattr(path, attribute, follow_symlinks=False)
            assert path.exists(), "a link leads somewhere"
            if name in files and not path.is_symlink() and "user.rcfs.key" not in attributes:
                assert len(path.read_bytes()) == size
            asked.add(str(path.relative_to(mount.path)))
    return asked


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network namespace")
def test_without_any_network_all_that_is_known_is_there(used: Mounted) -> None:
    mount = used
    cached = attachments(mount)[:4]
    for pattern in ("101 */Fax/*/*/fax *.*", "101 */SMS/*/*/*.jpg"):
        cached += sorted(mount.path.glob(pattern))[:3]
    keys = [attachment_key(path) for path in cached if path.read_bytes()]
    truth = {(entry["message_id"], entry["attachment_id"]): entry["sha256"] for entry in mount.server.truth()}
    before = {entry[0] for entry in snapshot(mount)}
    mount.umount()
    mount.server.reset_journal()
    command = [sys.executable, "-m", "rcfs", "mount", *mount.options, str(mount.path)]
    run(["unshare", "--net", *command], env=mount.environment)
    assert ask_everything(mount) == before
    assert [sha256(path) for path in cached] == [truth[key] for key in keys if key is not None]
    assert len(cached) == 10
    assert mount.server.summary()["requests"] == 0
    mount.umount()


def test_offline_the_server_is_not_asked(used: Mounted) -> None:
    mount = used
    before, cached = snapshot(mount), attachments(mount)[:4]
    mount.umount()
    mount.server.reset_journal()
    mount.options = (*mount.options, "--offline")
    mount.mount()
    assert [entry[:2] for entry in snapshot(mount)] == [entry[:2] for entry in before]
    assert [reading(path) for path in cached] == [0] * 4
    assert [reading(path) for path in attachments(mount)[4:9]] == [errno.ENETUNREACH] * 5
    assert "(offline)" in status(mount)
    assert "errors     none" in status(mount), "it is as it was wanted"
    assert mount.rcfs("refresh", str(mount.path), check=False).returncode == 7
    mount.umount()
    assert mount.server.summary()["requests"] == 0


def test_offline_an_unknown_account_is_one_line(mounting: Mounting) -> None:
    mount = mounting("--messages=10", mount=False)
    done = mount.rcfs("mount", *mount.options, "--offline", str(mount.path), check=False)
    assert done.returncode == 7
    assert done.stderr == (
        "rcfs: offline: rcfs has never seen this account; mount it once without --offline\n"
    )
    assert mount.server.summary()["requests"] == 0


def index_of(mount: Mounted) -> Path:
    return mount.state / "mailboxes.sqlite"


def damage(path: Path) -> None:
    """Overwrites all pages of a database but the first."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(b"\x5a" * (path.stat().st_size - PAGE_BYTES))


def test_an_index_that_is_damaged_while_it_is_used(used: Mounted) -> None:
    mount = used
    before, cached = snapshot(mount), attachments(mount)[:4]
    mount.server.reset_journal()
    damage(index_of(mount))
    aside = index_of(mount).with_name("mailboxes.sqlite.damaged")
    # The first reader of the damage gets an error, and no reader gets wrong data.
    mount.tool("ls", "-lR", check=False)
    eventually(aside.exists)
    eventually(lambda: mount.tool("ls", check=False).returncode == 0)
    mount.tool("ls", "-lR", check=False)
    assert {entry[:2] for entry in snapshot(mount)} == {entry[:2] for entry in before}
    assert [reading(path) for path in cached] == [0] * 4
    assert mount.server.journal(operation="readMessageContent") == []
    assert "is unusable (" in status(mount)


def test_an_index_that_was_damaged_in_a_crash(used: Mounted) -> None:
    mount = used
    before, cached = snapshot(mount), attachments(mount)[:4]
    os.kill(mount.pid, signal.SIGKILL)
    damage(index_of(mount))
    mount.server.reset_journal()
    mount.mount()
    mount.tool("ls", "-lR", check=False)
    assert {entry[:2] for entry in snapshot(mount)} == {entry[:2] for entry in before}
    assert [reading(path) for path in cached] == [0] * 4
    assert mount.server.journal(operation="readMessageContent") == []
