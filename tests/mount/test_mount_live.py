"""Changes at the platform show in the mount without remounting."""

import errno
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mount.conftest import COMMAND_S, Mounted, Mounting, eventually, mounts

pytestmark = pytest.mark.mount

ROOMY = tuple(f"--limit={group}=100000" for group in ("auth", "light", "medium"))


@pytest.fixture(scope="module")
def module_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    with mounts(tmp_path_factory.mktemp("live")) as make:
        yield make("--messages=400", *ROOMY)


class Mailbox:
    """The mailbox of extension 101 in a mount, and as its user has it at another device."""

    def __init__(self, mount: Mounted) -> None:
        self.mount = mount
        self.path = next(mount.path.glob("101 *"))
        self.extension_id = int(json.loads((self.path / "extension.json").read_text())["id"])
        list(self.path.iterdir())

    def refresh(self) -> str:
        """Output of ``rcfs refresh``."""
        return self.mount.rcfs("refresh", str(self.path)).stdout

    def arrive(self, kind: str) -> int:
        return self.mount.server.arrive(self.extension_id, kind)

    def change(self, message_id: int, **fields: str) -> None:
        """Changes a message's ``readStatus`` or ``availability``."""
        self._message("PATCH", message_id, json=fields)

    def delete(self, message_id: int, *, purge: bool = False) -> None:
        self._message("DELETE", message_id, params={"purge": "true"} if purge else {})

    def _message(self, method: str, message_id: int, **options: object) -> None:
        path = f"extension/{self.extension_id}/message-store/{message_id}"
        self.mount.server.api(method, path, **options)

    def find(self, message_id: int, view: str = "*") -> list[Path]:
        """Where a message is shown."""
        return sorted(
            [
                *self.path.glob(f"{view}/* [[]{message_id}[]]"),
                *self.path.glob(f"{view}/*/* [[]{message_id}[]]"),
            ]
        )

    def only(self, message_id: int, view: str) -> Path:
        (path,) = self.find(message_id, view)
        return path


@pytest.fixture
def mailbox(module_mount: Mounted) -> Mailbox:
    return Mailbox(module_mount)


def test_a_second_look_shows_a_new_message(mailbox: Mailbox) -> None:
    earlier = mailbox.arrive("SMS")
    mailbox.refresh()
    month = mailbox.only(earlier, "SMS").parent
    handle = os.open(month, os.O_RDONLY | os.O_DIRECTORY)
    try:
        before = set(os.listdir(handle))  # noqa: PTH208 - it is the open handle that counts
        times = os.fstat(handle).st_mtime_ns
        message_id = mailbox.arrive("SMS")
        assert mailbox.refresh().startswith(f"{mailbox.path}: refreshed 1 mailbox")
        (new,) = set(os.listdir(handle)) - before  # noqa: PTH208
        assert new.endswith(f"[{message_id}]")
        assert os.fstat(handle).st_mtime_ns > times
    finally:
        os.close(handle)
    path = month / new
    assert path.is_dir()
    assert json.loads((path / "message.json").read_text())["id"] == message_id
    views = {found.relative_to(mailbox.path).parts[0] for found in mailbox.find(message_id)}
    assert views == {"SMS", "Conversations", "By-Contact", "Unread"}
    for found in mailbox.find(message_id):
        assert found.resolve() == path


def test_a_message_comes_when_the_platform_hints_at_it(mounting: Mounting) -> None:
    """Polling would bring it after a quarter of an hour, a look after a minute."""
    mailbox = Mailbox(mounting("--messages=50"))
    mount = mailbox.mount

    def hints() -> str:
        return str(json.loads((mount.path / ".rcfs/status.json").read_text())["hints"]["state"])

    eventually(lambda: hints() == "on")
    # After the load, a second sync fetches the messages that arrived before the hints began.
    eventually(lambda: len(mount.server.journal(operation="syncMessages")) == 2)
    message_id = mailbox.arrive("SMS")
    eventually(lambda: bool(mailbox.find(message_id, "SMS")))
    assert len(mount.server.journal(operation="syncMessages")) == 3
    assert len(mount.server.journal(operation="authWsToken")) == 1


def test_a_record_shows_its_present_version(mailbox: Mailbox) -> None:
    message_id = mailbox.arrive("SMS")
    mailbox.refresh()
    record = mailbox.only(message_id, "SMS") / "message.json"
    before = record.read_bytes()
    assert json.loads(before)["readStatus"] == "Unread"
    # Somebody who keeps it open, so that the kernel keeps its pages.
    with record.open("rb", buffering=0):
        mailbox.change(message_id, readStatus="Read")
        mailbox.refresh()
        after = record.read_bytes()
        assert json.loads(after)["readStatus"] == "Read"
        assert record.stat().st_size == len(after)
        assert os.getxattr(record.parent, "user.rcfs.read_status") == b"Read"
        for status in ("Unread", "Read"):
            mailbox.change(message_id, readStatus=status)
        mailbox.refresh()
        again = record.read_bytes()
        assert len(again) == len(after), "so that nothing but its bytes tells that it has changed"
        assert json.loads(again)["lastModifiedTime"] > json.loads(after)["lastModifiedTime"]


def test_unread_shrinks_when_a_message_is_read(mailbox: Mailbox) -> None:
    message_id = mailbox.arrive("Fax")
    mailbox.refresh()
    assert mailbox.find(message_id, "Unread")
    mailbox.change(message_id, readStatus="Read")
    mailbox.refresh()
    assert not mailbox.find(message_id, "Unread")
    assert mailbox.find(message_id, "Fax")


def test_a_conversation_shows_its_present_text(mailbox: Mailbox) -> None:
    folder = next(
        folder
        for folder in (mailbox.path / "Conversations").iterdir()
        if sum(entry.is_symlink() for entry in folder.iterdir()) > 2
    )
    # The first one: what comes back at the end is merely added.
    message_id = int(os.getxattr(min(folder.glob("* [[]*[]]")), "user.rcfs.message_id"))
    text = folder / "conversation.txt"
    before = text.read_bytes()
    assert text.stat().st_size == len(before)
    mailbox.delete(message_id)
    mailbox.refresh()
    shorter = text.read_bytes()
    assert text.stat().st_size == len(shorter) < len(before)
    with text.open("rb", buffering=0) as early:
        mailbox.change(message_id, availability="Alive")
        mailbox.refresh()
        assert text.stat().st_size == len(before)
        with text.open("rb", buffering=0) as late:
            with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
                early.read(1)  # It would be of another version than what it may have read before.
            assert late.read() == before
    assert text.read_bytes() == before


def test_a_deleted_message_is_in_the_trash_and_open_files_of_it_go_on(mailbox: Mailbox) -> None:
    message_id = mailbox.arrive("VoiceMail")
    mailbox.refresh()
    home = mailbox.only(message_id, "Voicemail")
    name = next(path.name for path in home.iterdir() if path.name.startswith("voicemail"))
    with (home / name).open("rb") as file:
        head = file.read(100)
        mailbox.delete(message_id)
        mailbox.refresh()
        assert not (home / name).exists()
        with pytest.raises(FileNotFoundError):
            home.stat()
        rest = file.read()
    mailbox.mount.server.reset_journal()
    (thrown,) = mailbox.find(message_id)
    assert thrown.parent.name == "Trash"
    assert (thrown / name).read_bytes() == head + rest
    assert mailbox.mount.server.journal(operation="readMessageContent") == [], "it is the same content"
    mailbox.change(message_id, availability="Alive")
    mailbox.refresh()
    assert (home / name).read_bytes() == head + rest
    mailbox.delete(message_id, purge=True)
    mailbox.refresh()
    assert mailbox.find(message_id) == []


def test_a_transcript_appears_when_it_is_there(mailbox: Mailbox) -> None:
    message_id = mailbox.arrive("VoiceMail")
    mailbox.refresh()
    home = mailbox.only(message_id, "Voicemail")
    assert not (home / "transcript.txt").exists()
    mailbox.mount.server.advance(600)
    mailbox.refresh()
    assert (home / "transcript.txt").read_text()


def test_a_shell_stays_where_it_stands(mailbox: Mailbox) -> None:
    first = mailbox.arrive("SMS")
    mailbox.refresh()
    month = mailbox.only(first, "SMS").parent
    # As the kernel has it: bash remembers where it is, and pwd finds its way back.
    script = "echo ready; read; readlink /proc/self/cwd; ls; stat -c %F ."
    with subprocess.Popen(
        ["bash", "-c", script], cwd=month, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == "ready\n"
        second = mailbox.arrive("SMS")
        mailbox.delete(first)
        mailbox.refresh()
        output, _errors = shell.communicate("\n", timeout=COMMAND_S)
    lines = output.splitlines()
    assert lines[0] == str(month)
    assert lines[-1] == "directory"
    assert any(line.endswith(f"[{second}]") for line in lines)
    assert not any(line.endswith(f"[{first}]") for line in lines)
    assert month.is_dir()


def test_tokens_that_are_refused_lose_nothing(mailbox: Mailbox) -> None:
    gone, stays = mailbox.arrive("SMS"), mailbox.arrive("SMS")
    mailbox.refresh()
    mailbox.delete(gone, purge=True)
    new = mailbox.arrive("SMS")
    mailbox.mount.server.expire_sync_tokens()
    mailbox.refresh()
    assert not mailbox.find(gone)
    assert mailbox.find(stays, "SMS")
    assert mailbox.find(new, "SMS")


def test_refresh_reports_its_result(mailbox: Mailbox, tmp_path: Path) -> None:
    mount = mailbox.mount
    done = mount.rcfs("refresh", f"--state-dir={mount.state}")
    loaded = (mount.path / ".rcfs" / "status").read_text().partition(" loaded, ")[0].rsplit(maxsplit=3)[1]
    words = f"{loaded} mailbox" if loaded == "1" else f"{loaded} mailboxes"
    assert done.stdout.startswith(f"{mount.path}: refreshed {words}")
    message = mailbox.path / "extension.json"
    assert mount.rcfs("refresh", str(message.parent / "SMS")).stdout.startswith(
        f"{message.parent}/SMS: refreshed 1 mailbox"
    )
    absent, control = mount.path / "no such", mount.path / ".rcfs"
    for elsewhere, code, said in (
        (tmp_path, 4, f"{tmp_path} is not in a mount of rcfs"),
        (control, 2, f"{control} is not in a mailbox"),
        (absent, 2, f"{absent} does not exist; check the path"),
    ):
        done = mount.rcfs("refresh", f"--state-dir={mount.state}", str(elsewhere), check=False)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr
    assert "user.rcfs.refresh" not in os.listxattr(mailbox.path), "nobody asks for it by the way"
    assert control / "refresh" not in control.iterdir()
    assert not any((control / "refresh").iterdir())


def test_refresh_of_a_mailbox_that_is_refused(mailbox: Mailbox) -> None:
    for path in mailbox.mount.path.glob("1*"):
        try:
            list((path / "SMS").iterdir())
        except PermissionError:
            with pytest.raises(OSError, match="denied") as caught:
                (mailbox.mount.path / ".rcfs/refresh" / path.name).read_text()
            assert caught.value.errno == errno.EACCES
            return
    raise AssertionError("every mailbox may be read")


def test_a_refresh_without_a_mount(mounting: Mounting) -> None:
    mount = mounting("--messages=10", mount=False)
    done = mount.rcfs("refresh", f"--state-dir={mount.state}", check=False)
    assert (done.returncode, done.stderr) == (4, "rcfs: no mount of rcfs is up; first run `rcfs mount`\n")


@contextmanager
def following(option: str, *paths: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """tail(1), which shows what comes after the end of these files."""
    process = subprocess.Popen(
        ["tail", "-q", "-s", "0.1", "-n", "0", option, *map(str, paths)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    os.set_blocking(process.stdout.fileno(), False)
    # From the end on: it has read what is there when it has opened the last file.
    eventually(lambda: any(_leads_to(link, paths[-1]) for link in Path(f"/proc/{process.pid}/fd").iterdir()))
    try:
        yield process
    finally:
        process.kill()
        process.wait(COMMAND_S)
        process.stdout.close()
        process.stderr.close()


def _leads_to(link: Path, path: Path) -> bool:
    try:
        return link.readlink() == path
    except FileNotFoundError:
        return False


def shown(process: "subprocess.Popen[bytes]", text: str) -> str:
    """The output of `process` up to and including `text`."""
    assert process.stdout is not None
    stdout, parts = process.stdout, [b""]

    def has_come() -> bool:
        parts.append(stdout.read() or b"")
        return text.encode() in b"".join(parts)

    eventually(has_come)
    return b"".join(parts).decode()


def test_tail_follows_conversations(mailbox: Mailbox) -> None:
    texts = sorted(mailbox.path.glob("Conversations/*/conversation.txt"))
    before = {path: path.read_text() for path in texts}
    with following("-f", *texts) as tail:
        for _again in range(2):
            arrived = mailbox.arrive("SMS")
            mailbox.refresh()
            (home,) = mailbox.find(arrived, "SMS")
            (link,) = mailbox.find(arrived, "Conversations")
            *_others, last = (home / "text.txt").read_text().rstrip().splitlines()
            # All of what was read, and what came after it, is the file as it is now.
            text = link.parent / "conversation.txt"
            before[text] += shown(tail, f" {last}\n")
            assert text.read_text() == before[text]


@pytest.mark.parametrize("option", ["-f", "-F"])
def test_tail_of_a_conversation_that_loses_a_message_reports_it(mailbox: Mailbox, option: str) -> None:
    text = max(mailbox.path.glob("Conversations/*/conversation.txt"), key=lambda path: path.stat().st_size)
    links = sorted(path for path in text.parent.iterdir() if path.is_symlink())
    first, last = (int(link.name.rpartition("[")[2][:-1]) for link in (links[0], links[-1]))
    with following(option, text) as tail, text.open() as opened:
        before = opened.read()
        inode = text.stat().st_ino
        mailbox.delete(first)
        mailbox.refresh()
        now = text.read_text()
        assert before.endswith(now)
        assert now != before
        assert text.stat().st_ino != inode
        with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
            os.fstat(opened.fileno())
        if option == "-f":
            tail.wait(COMMAND_S)
            assert tail.stderr is not None
            assert os.strerror(errno.ESTALE) in tail.stderr.read().decode()
        else:
            # It opens the new version, and says all of it.
            assert shown(tail, now) == now
    # Nobody has it open, so it gets no further inode; its first one returns when the kernel forgets all.
    moved = text.stat().st_ino
    mailbox.delete(last)
    mailbox.refresh()
    assert text.read_text() != now
    assert text.stat().st_ino in (inode, moved)


def test_many_readers_that_follow_a_conversation_read_no_zeros(mailbox: Mailbox) -> None:
    """One of them learns of the new size while another reads the page in which it was before."""
    arrived = mailbox.arrive("SMS")
    mailbox.refresh()
    (link,) = mailbox.find(arrived, "Conversations")
    text = link.parent / "conversation.txt"
    ended = threading.Event()

    def follow(read_bytes: int) -> bytes:
        parts = []
        with text.open("rb", buffering=0) as file:
            while not ended.wait(0.001) or os.fstat(file.fileno()).st_size > file.tell():
                parts.append(file.read(read_bytes))
        return b"".join(parts)

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(follow, size) for size in (100, 4096, 65536)]
        try:
            for _message in range(8):
                mailbox.arrive("SMS")
                mailbox.refresh()
        finally:
            ended.set()
        for reader in readers:
            assert reader.result(COMMAND_S) == text.read_bytes()
