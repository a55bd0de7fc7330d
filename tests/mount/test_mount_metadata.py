"""Names, attributes and listings through a real mount: they cost nothing, and need no server."""

import json
import os
import re
import stat
from pathlib import Path

import pytest

from tests.mount.conftest import UNASKED, Mounted, Mounting, eventually, run

pytestmark = pytest.mark.mount

FAST = ("--limit=medium=100000", "--limit=light=100000", "--limit=heavy=100000")
LIST = ("ls", "-lR", "--ignore=Calls")
FIND_SMALL = ("find", ".", "-name", "Calls", "-prune", "-o", "-type", "f", "-size", "-4k", "-print")
"""The lines of call logs get the paths of voicemails a while after a mailbox is loaded."""
REFUSED = ("Permission denied", "Network is unreachable")
"""The errors of a refused mailbox while the platform is away: rcfs remembers the refusal for a minute."""


def test_listings_of_a_known_account_need_no_server(mounting: Mounting) -> None:
    mount = mounting("--messages=300", "--calls=40", *FAST)
    first = mount.tool(*LIST, check=False).stdout
    assert len(first.splitlines()) > 1000
    mount.server.reset_journal()

    again = mount.tool(*LIST, check=False)
    small = mount.tool(*FIND_SMALL, check=False)
    assert {entry["operation"] for entry in mount.server.journal()} <= {"syncMessages", *UNASKED}
    mount.server.kill()
    assert mount.tool(*FIND_SMALL, check=False).stdout == small.stdout
    offline = mount.tool(*LIST, check=False)
    assert offline.stdout == again.stdout

    assert small.stdout.count("message.json") > 100
    refused = [line for line in offline.stderr.splitlines() if line.endswith(REFUSED)]
    assert refused, "the views of the mailbox that is refused"
    assert all("/104 Alex Kim/" in line for line in refused)


def test_extended_attributes_are_those_of_the_records(shared_mount: Mounted) -> None:
    mount = shared_mount
    folder = next(mount.path.glob("101 */SMS/2026-11/* from +12125557464* [[]6424569004[]]"), None)
    folder = folder or next(mount.path.glob("101 */SMS/2026-11/*6424569004*"))
    record = json.loads((folder / "message.json").read_text())
    assert folder.name.startswith("2026-11-03T17.27.05Z from ")
    assert (folder / "text.txt").read_text() == record["subject"]

    status = folder.stat()
    assert stat.S_ISDIR(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o700
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
    text = (folder / "text.txt").stat()
    assert stat.S_IMODE(text.st_mode) == 0o600
    assert text.st_size == len(record["subject"].encode())
    assert text.st_blocks == 1
    assert int(text.st_mtime) == 1793726825, "creationTime, 2026-11-03T17:27:05Z"

    attributes = {name: os.getxattr(folder, name).decode() for name in os.listxattr(folder)}
    assert attributes["user.rcfs.message_id"] == "6424569004"
    assert attributes["user.rcfs.direction"] == "Inbound"
    assert attributes["user.rcfs.type"] == "SMS"
    assert attributes["user.rcfs.from"] == record["from"]["phoneNumber"]
    assert attributes["user.rcfs.read_status"] == record["readStatus"]
    assert "user.rcfs.cached" not in attributes, "what changes by itself is told to those who ask"
    assert os.getxattr(folder, "user.rcfs.cached") == b"yes", "it has no attachment but its text"


def test_cached_attribute_follows_the_cache(mounting: Mounting) -> None:
    mount = mounting("--messages=100", *FAST)
    file = next(mount.path.glob("101 */Voicemail/*/*/voicemail *.*"))
    assert os.getxattr(file, "user.rcfs.cached") == b"no"
    estimate = file.stat().st_size
    assert estimate >= 1 << 20
    size = len(file.read_bytes())
    assert file.stat().st_size == size <= estimate
    assert os.getxattr(file, "user.rcfs.cached") == b"yes"
    mount.remount()
    list((mount.path / file.relative_to(mount.path).parts[0]).iterdir())
    assert file.stat().st_size == size, "learned sizes are kept"


def test_every_name_is_safe_and_can_be_looked_up(shared_mount: Mounted) -> None:
    forbidden = re.compile(
        "[\\x00-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u061c\\u202a-\\u202e\\u2066-\\u2069\\u2028\\u2029]"
    )
    names = 0
    for folder, directories, files in os.walk(shared_mount.path):
        folded = [name.casefold() for name in (*directories, *files)]
        assert len(set(folded)) == len(folded), folder
        for name in (*directories, *files):
            assert len(os.fsencode(name)) <= 255
            assert not forbidden.search(name), ascii(name)
            assert not name.startswith(".") or Path(folder) == shared_mount.path
            assert os.lstat(Path(folder, name))
            names += 1
    assert names > 1500


def test_conversation_links_lead_to_the_message_directories(shared_mount: Mounted) -> None:
    links = [path for path in shared_mount.path.glob("101 */Conversations/*/*") if path.is_symlink()]
    assert len(links) > 50
    for link in links:
        assert (link / "message.json").is_file()
        assert link.readlink().name == link.name


def test_the_mount_is_read_only_and_cannot_be_executed(shared_mount: Mounted) -> None:
    options = next(
        line.split()[3]
        for line in Path("/proc/self/mounts").read_text().splitlines()
        if line.split()[1] == str(shared_mount.path)
    ).split(",")
    assert {"nosuid", "nodev", "noexec", "default_permissions"} <= set(options)
    with pytest.raises(OSError, match="Read-only"):
        (shared_mount.path / "new").write_text("x")
    live = shared_mount.path / ".rcfs"
    assert {path.name for path in live.iterdir()} == {
        "status",
        "status.json",
        "quota",
        "queue",
        "errors",
        "log",
    }
    assert all(path.read_text() for path in live.iterdir() if path.name not in ("errors", "queue"))
    document = json.loads((live / "status.json").read_text())
    assert document["mountpoint"] == str(shared_mount.path)
    assert json.loads(shared_mount.rcfs("status", "--json", f"--state-dir={shared_mount.state}").stdout)


def test_the_files_about_the_mount_are_there_and_not_listed(shared_mount: Mounted) -> None:
    names = [path.name for path in shared_mount.path.iterdir()]
    assert ".rcfs" not in names
    assert "Search" in names
    assert ".rcfs" not in shared_mount.tool("find", ".", "-maxdepth", "1").stdout
    (shared_mount.path / ".rcfs").stat()


def test_a_standard_user_sees_the_own_extension(mounting: Mounting) -> None:
    mount = mounting("--messages=100", "--standard-user", *FAST)
    extensions = [path.name for path in mount.path.iterdir() if path.name != "Search"]
    assert len(extensions) == 1
    assert any((mount.path / extensions[0]).glob("SMS/*/*/message.json"))


def test_a_refused_mailbox_is_refused_on_entering_only(shared_mount: Mounted) -> None:
    refused = []
    for view in shared_mount.path.glob("*/SMS"):
        try:
            list(view.iterdir())
        except PermissionError:
            refused.append(view.parent)
    assert len(refused) == 1
    assert (refused[0] / "extension.json").read_text().startswith("{")


def test_a_name_that_is_no_text_leads_nowhere(shared_mount: Mounted) -> None:
    for folder in ("", "101 Jane Smith", "101 Jane Smith/SMS", "101 Jane Smith/Trash", "Search"):
        with pytest.raises(FileNotFoundError):
            os.stat(os.fsencode(shared_mount.path / folder) + b"/\xff")  # noqa: PTH116 - it is no text
    assert "lookup" not in (shared_mount.path / ".rcfs" / "errors").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make the kernel forget")
def test_the_mount_forgets_inodes_that_the_kernel_forgets(shared_mount: Mounted) -> None:
    def held() -> int:
        usage = os.statvfs(shared_mount.path)
        return usage.f_files - usage.f_ffree

    searches = shared_mount.path / "Search"
    for number in range(20):
        (searches / f"word{number}").mkdir()
        (searches / f"word{number}").rmdir()
    files = list(shared_mount.attachments().values())
    for path in files[:20]:
        path.read_bytes()
    assert held() > len(files)
    # Remounting drops what the kernel has of names that nobody uses, and with them their inodes.
    run(["mount", "-i", "-o", "remount", str(shared_mount.path)])
    eventually(lambda: held() < 10)
