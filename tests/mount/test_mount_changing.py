"""Changing messages in a mount: marked, deleted, restored and purged by programs, and by nothing else."""

import errno
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rcfs.procfs import start_time
from tests.mount.conftest import Mounted, eventually, mounts, run

pytestmark = pytest.mark.mount

ROOMY = tuple(f"--limit={group}=100000" for group in ("auth", "light", "medium"))
READ_STATUS = "user.rcfs.read_status"
CHANGES = ("updateMessage", "patchMessage", "deleteMessage", "deleteMessageByFilter")
SHORT = """
import runpy, rcfs.files, rcfs.files._vanishing as it
it.COMES_BACK_S, rcfs.files.FLUSH_S = 5.0, 1.0
runpy.run_module("rcfs", None, "__main__")
"""
"""The program, but what was removed in part comes back after 5 s, and an unmount waits for 1 s."""


class Box:
    """A mailbox in a mount."""

    def __init__(self, mounted: Mounted, number: str = "101") -> None:
        self.mounted = mounted
        self.server = mounted.server
        self.path = next(mounted.path.glob(f"{number} *"))
        self.trash = self.path / "Trash"

    def messages(self, view: str = "SMS") -> list[Path]:
        """The message directories of a view, oldest month first."""
        return sorted(self.path.glob(f"{view}/*/* [[]*"))

    def sent(self) -> Counter[str]:
        """How often each change was sent."""
        return Counter(str(entry["operation"]) for entry in self.requests())

    def requests(self) -> list[dict[str, Any]]:
        return [entry for entry in self.server.journal() if entry["operation"] in CHANGES]

    def ids(self) -> list[str]:
        """The messages in the paths of the changes that were sent."""
        return [number for each in self.requests() for number in each["path"].rpartition("/")[2].split(",")]

    def record(self, directory: Path) -> dict[str, Any]:
        """The record of a message at the platform; takes 20 ms."""
        number = directory.name[:-1].rpartition("[")[2]
        owner = json.loads((self.path / "extension.json").read_text())["id"]
        found: dict[str, Any] = self.server.api("GET", f"extension/{owner}/message-store/{number}")
        return found

    def flush(self) -> None:
        """Returns when all changes are sent; rcfs waits for 10 s at a time."""
        eventually(self.is_flushed)

    def is_flushed(self) -> bool:
        try:
            self.fsync()
        except TimeoutError:
            return False
        return True

    def fsync(self) -> None:
        """fsync(2) of a directory."""
        descriptor = os.open(self.trash, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def control(self, name: str) -> str:
        return (self.mounted.path / ".rcfs" / name).read_text()


def box_of(mounted: Mounted) -> Box:
    box = Box(mounted)
    assert list(box.path.iterdir())
    mounted.server.reset_journal()
    return box


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    options = ("--read-write", "--allow-purge", "--delete-limit=100000")
    with mounts(tmp_path_factory.mktemp("writable")) as make:
        box = box_of(make("--messages=1800", "--extensions=2", *ROOMY, options=options))
        yield box
        box.flush()
        assert box.server.violations() == []


@pytest.fixture
def box(writable: Box) -> Box:
    writable.flush()
    writable.server.reset_journal()
    return writable


def test_rm_of_500_messages_sends_10_requests(box: Box) -> None:
    victims = box.messages()[-500:]
    assert len(victims) == 500
    begin = time.monotonic()
    box.mounted.tool("rm", "-r", *map(str, victims))
    collected = int(time.monotonic() - begin)  # rcfs sends after each second in which `rm` deletes nothing.
    box.flush()
    assert sorted(box.ids()) == sorted(path.name[:-1].rpartition("[")[2] for path in victims)
    assert 10 <= len(box.requests()) <= 10 + 2 * collected
    assert not any(path.exists() for path in victims)
    assert (box.trash / victims[0].name / "message.json").exists()
    assert box.record(victims[0])["availability"] == "Deleted"


def test_a_deletion_whose_answer_is_lost_is_not_sent_again(box: Box) -> None:
    victim = box.messages("Fax")[-1]
    box.server.fault("status_after", operation="deleteMessage")
    box.mounted.tool("rm", "-r", str(victim))
    eventually(lambda: bool(box.requests()))
    box.flush()
    assert box.sent() == {"deleteMessage": 1}
    assert box.record(victim)["availability"] == "Deleted"
    assert (box.trash / victim.name).exists()


def test_marking_a_month_sends_one_request(box: Box) -> None:
    month = max(box.path.glob("Voicemail/*"), key=lambda path: len(list(path.iterdir())))
    directories = list(month.iterdir())
    assert len(directories) > 3
    for status in ("Unread", "Read"):
        os.setxattr(month, READ_STATUS, status.encode())
        for path in directories:
            assert READ_STATUS in os.listxattr(path)
            assert {os.getxattr(each, READ_STATUS) for each in (path, *path.iterdir())} == {status.encode()}
        box.flush()
    assert 1 <= box.sent().total() <= 2
    os.setxattr(next(directories[0].iterdir()), READ_STATUS, b"Unread")
    link = box.path / "Unread" / directories[0].name
    assert link.is_symlink()
    link.unlink()
    assert not link.is_symlink()
    assert os.getxattr(directories[0], READ_STATUS) == b"Read"
    box.flush()
    assert box.record(directories[0])["readStatus"] == "Read"
    for path, name, value, number in (
        (month, READ_STATUS, b"Seen", errno.EINVAL),
        (month, "user.mine", b"x", errno.EROFS),
        (box.path, READ_STATUS, b"Read", errno.EROFS),
    ):
        with pytest.raises(OSError, match=os.strerror(number)):
            os.setxattr(path, name, value)


def test_rm_of_links_in_unread_marks_all_with_one_request(box: Box) -> None:
    received = [path for path in box.messages("*") if " from " in path.name and not path.is_symlink()][:60]
    assert len(received) == 60  # more than a path of a request holds
    for path in received:
        os.setxattr(path, READ_STATUS, b"Unread")
    box.flush()
    box.server.reset_journal()
    begin = time.monotonic()
    box.mounted.tool("rm", *(str(box.path / "Unread" / path.name) for path in received))
    assert not {path.name for path in received} & {path.name for path in (box.path / "Unread").iterdir()}
    collected = int(time.monotonic() - begin)  # rcfs sends after each second in which `rm` deletes nothing.
    box.flush()
    assert 1 <= box.sent()["updateMessage"] == box.sent().total() <= 1 + collected
    assert {os.getxattr(path, READ_STATUS) for path in received} == {b"Read"}
    assert box.record(received[-1])["readStatus"] == "Read"


def test_messages_go_to_the_trash_and_come_back(box: Box) -> None:
    first, second = box.messages("Fax")[:2]
    names = sorted(path.name for path in first.iterdir())
    tool = box.mounted.tool
    tool("mv", str(first), str(box.trash))
    tool("mv", str(second), str(box.trash / "another name"))
    there = [box.trash / path.name for path in (first, second)]
    assert sorted(path.name for path in there[0].iterdir()) == names
    eventually(lambda: not (box.trash / "another name").exists())
    assert not first.exists()
    box.flush()
    assert [box.record(path)["availability"] for path in there] == ["Deleted", "Deleted"]
    wrong = tool("mv", str(there[0]), str(box.path / "SMS"), check=False)
    assert "Operation not permitted" in wrong.stderr
    tool("mv", str(there[0]), str(first.parent if first.parent.exists() else first.parent.parent))
    tool("mv", str(there[1]), str(box.path / "Fax"))
    assert sorted(path.name for path in first.iterdir()) == names
    assert list(second.iterdir())
    box.flush()
    assert [box.record(path)["availability"] for path in (first, second)] == ["Alive", "Alive"]
    for _again in range(2):  # A shell in the directory meets neither the old nor a dead one.
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=first) as shell:
            tool("mv", str(first), str(box.trash))
            tool("mv", str(there[0]), str(box.path / "Fax"))
            assert sorted(path.name for path in first.iterdir()) == names
            shell.communicate()
    tool("rm", "-r", str(first), str(second))
    tool("rm", "-r", str(there[0]))
    box.flush()
    assert not there[0].exists()
    assert box.record(there[0])["availability"] == "Purged"
    assert box.record(there[1])["availability"] == "Deleted"


def rmtree(path: Path) -> None:
    shutil.rmtree(path)


def find_delete(path: Path) -> None:
    run(["find", str(path), "-delete"])


def rm(path: Path) -> None:
    run(["rm", "-r", str(path)])


@pytest.mark.parametrize("delete", [rm, rmtree, find_delete])
def test_a_month_is_deleted_by_any_program(box: Box, delete: Callable[[Path], None]) -> None:
    month = next(path for path in sorted((box.path / "SMS").iterdir()) if len(list(path.iterdir())) > 2)
    victims = list(month.iterdir())
    delete(month)
    assert not month.exists()
    assert month.name not in {path.name for path in month.parent.iterdir()}
    box.flush()
    assert {box.record(path)["availability"] for path in victims} == {"Deleted"}
    box.mounted.tool("mv", str(box.trash / victims[0].name), str(month.parent))
    assert [path.name for path in month.iterdir()] == [victims[0].name]


def test_a_conversation_is_deleted_by_its_id(box: Box) -> None:
    box = Box(box.mounted, "102")  # The platform would purge those of its messages that are in the trash.
    trashed = {conversation_of(path) for path in box.trash.iterdir()}
    message = next(path for path in box.messages() if conversation_of(path) not in {"", *trashed})
    conversation = next(box.path.glob(f"Conversations/*/{glob.escape(message.name)}")).parent
    links = [path.resolve() for path in conversation.iterdir() if path.is_symlink()]
    rm(conversation)
    assert not conversation.exists()
    eventually(lambda: not any(link.exists() for link in links))
    box.flush()
    assert box.sent() == {"deleteMessageByFilter": 1}
    assert {box.record(path)["availability"] for path in links[:2]} == {"Deleted"}


def conversation_of(message: Path) -> str:
    """The id of the conversation of a message; empty if it has none."""
    record = json.loads((message / "message.json").read_text())
    return str(record.get("conversation", {}).get("id", ""))


def test_nothing_else_can_be_changed(box: Box, tmp_path: Path) -> None:
    message = box.messages()[0]
    month, file = message.parent, message / "message.json"
    before = file.read_bytes()
    source = tmp_path / "source"
    source.mkdir()
    (source / "new.txt").write_text("x")
    commands: dict[str, list[str]] = {
        "rm": ["rm", str(file)],
        "rm of a link": ["rm", str(next(box.path.glob("By-Contact/*/* [[]*")))],
        "rmdir": ["rmdir", str(message)],
        "rmdir of a month": ["rmdir", str(month)],
        "rmdir of a view": ["rmdir", str(box.path / "SMS")],
        "cp": ["cp", str(source / "new.txt"), str(message)],
        "cp over": ["cp", str(source / "new.txt"), str(file)],
        "mv": ["mv", str(source), str(month)],
        "mv to another name": ["mv", str(message), str(month / "x")],
        "mv of a file": ["mv", str(file), str(box.trash)],
        "mv out": ["mv", str(file), str(tmp_path)],
        "mv of a month": ["mv", str(month), str(box.trash)],
        "mkdir": ["mkdir", str(month / "x")],
        "touch": ["touch", str(message / "x")],
        "sed": ["sed", "-i", "s/a/b/", str(file)],
        "vim": ["vim", "-es", "-c", "normal ax", "-c", "wq!", str(file)],
        "rsync": ["rsync", "-r", "--delete", f"{source}/", str(month)],
        "gio trash": ["gio", "trash", str(message)],
    }
    for what, command in commands.items():
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
        )
        assert done.returncode != 0, what
    assert file.read_bytes() == before
    box.flush()
    assert box.requests() == []
    errors = box.control("errors")
    assert "cannot be deleted alone" in errors
    assert "rsync and similar programs" in errors
    assert box.path.stat().st_mode == 0o40700


# Ends of mounts, and of programs


@pytest.fixture(scope="module")
def short_lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with mounts(tmp_path_factory.mktemp("mortal")) as make:
        mounted = make("--messages=300", "--extensions=2", *ROOMY, mount=False)
        mounted.options = (*mounted.options, "--read-write")
        mount_short(mounted)
        box = box_of(mounted)
        yield box
        assert box.server.violations() == []


@pytest.fixture
def mortal(short_lived: Box) -> Box:
    if not short_lived.mounted.is_mounted:
        mount_short(short_lived.mounted)
    short_lived.flush()
    short_lived.server.reset_journal()
    return short_lived


def mount_short(mounted: Mounted) -> None:
    command = [sys.executable, "-c", SHORT, "mount", *mounted.options, str(mounted.path)]
    run(command, env=mounted.environment)


def test_what_was_removed_in_part_comes_back(mortal: Box) -> None:
    message = mortal.messages()[0]
    names = sorted(path.name for path in message.iterdir())
    (message / names[0]).unlink()
    with pytest.raises(FileNotFoundError):
        (message / names[0]).stat()
    assert [path.name for path in message.iterdir()] == names[1:]
    eventually(lambda: sorted(path.name for path in message.iterdir()) == names)
    assert (message / names[0]).stat().st_size
    assert "1 file was removed, and not the directory" in mortal.control("errors")
    for path in list(message.iterdir()):
        path.unlink()
    kill(mortal)
    mount_short(mortal.mounted)
    assert sorted(path.name for path in message.iterdir()) == names
    assert mortal.requests() == []


def test_a_deletion_survives_a_kill_and_an_outage(mortal: Box) -> None:
    first, second, third = mortal.messages()[:3]
    shutil.rmtree(first)
    kill(mortal)
    mount_short(mortal.mounted)
    assert not first.exists()
    mortal.flush()
    assert mortal.record(first)["availability"] == "Deleted"
    os.kill(mortal.server.process.pid, signal.SIGSTOP)
    try:
        shutil.rmtree(second)
        ended = mortal.mounted.rcfs("umount", f"--state-dir={mortal.mounted.state}", str(mortal.mounted.path))
    finally:
        os.kill(mortal.server.process.pid, signal.SIGCONT)
    assert "1 change not sent or not confirmed; `rcfs mount --read-write`" in ended.stderr
    mount_short(mortal.mounted)
    assert not second.exists()
    eventually(lambda: mortal.record(second)["availability"] == "Deleted")
    shutil.rmtree(third)
    kill(mortal, signal.SIGTERM)  # At once: a second later it would be sent anyway.
    assert third.name.endswith(f"[{mortal.ids()[-1]}]")


def kill(box: Box, number: int = signal.SIGKILL) -> None:
    """Ends the mount with a signal."""
    pids = (int(path.stem) for path in (box.mounted.state / "mounts").glob("*.json"))
    (pid,) = (each for each in pids if start_time(each) is not None)
    os.kill(pid, number)
    eventually(lambda: start_time(pid) is None)


# Without permission


def test_rm_of_the_whole_mount_deletes_at_most_as_many_as_the_limit(tmp_path: Path) -> None:
    with mounts(tmp_path) as make:
        box = box_of(make("--messages=400", "--extensions=1", *ROOMY, options=("--read-write",)))
        victims = [path for path in box.messages("*") if path.is_dir() and not path.is_symlink()]
        assert len(victims) > 300
        done = box.mounted.tool("rm", "-rf", str(box.mounted.path), check=False)
        assert done.returncode == 1
        assert not any(path.exists() for path in victims)
        with pytest.raises(TimeoutError):
            box.fsync()
        deleted = box.ids()
        assert len(deleted) <= 100  # None, unless the machine is so slow that some go before the others come.
        assert f"{len(victims) - len(deleted)} held" in box.control("status")
        assert "rcfs flush --confirm" in box.control("errors")
        assert "--allow-purge" in box.control("errors")
        assert box.server.violations() == []


def test_without_read_write_nothing_is_sent(tmp_path: Path) -> None:
    with mounts(tmp_path) as make:
        box = box_of(make("--messages=100", "--extensions=1", *ROOMY))
        message = box.messages()[0]
        trashed, link = next(box.trash.iterdir()), next(box.path.glob("Unread/*"))
        file, conversation = message / "message.json", next((box.path / "Conversations").iterdir())
        os.listdir(message)  # noqa: PTH208 - a program that lists it could delete it
        attempts: dict[str, Callable[[], object]] = {
            "unlink": file.unlink,
            "unlink in Unread": link.unlink,
            "unlink in a conversation": next(conversation.iterdir()).unlink,
            "rmdir": message.rmdir,
            "rmdir of a month": message.parent.rmdir,
            "to the trash": lambda: message.rename(box.trash / message.name),
            "out of the trash": lambda: trashed.rename(box.path / "SMS" / trashed.name),
            "mark": lambda: os.setxattr(message, READ_STATUS, b"Read"),
            "mark a month": lambda: os.setxattr(message.parent, READ_STATUS, b"Read"),
            "removexattr": lambda: os.removexattr(message, READ_STATUS),
            "mkdir": (message / "x").mkdir,
            "create": lambda: (message / "x").write_text("x"),
            "write": lambda: file.write_text("x"),
        }
        for what, attempt in attempts.items():
            with pytest.raises(OSError, match="Read-only file system"):
                attempt()
            assert what
        for victim in (message, trashed, conversation, box.mounted.path):
            assert box.mounted.tool("rm", "-rf", str(victim), check=False).returncode == 1
        box.flush()
        box.mounted.umount()
        assert box.requests() == []
        others = [each["path"] for each in box.server.journal() if each["method"] != "GET"]
        assert all("/oauth/" in path or "/subscription" in path for path in others)
