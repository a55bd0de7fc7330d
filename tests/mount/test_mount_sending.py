"""Sending from a mount: what programs put into Outbox goes out once, when it is complete."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mount.conftest import Mounted, eventually, mounts

pytestmark = pytest.mark.mount

ROOMY = tuple(f"--limit={group}=100000" for group in ("auth", "light", "medium", "heavy"))
OPTIONS = ("--send", "--read-write")
BOB, ANN = "+12125557464", "+13035556830"
WAV = b"RIFF" + (1004).to_bytes(4, "little") + b"WAVE" + bytes(1000)
PDF = b"%PDF-1.4\n1 0 obj << /Type /Page >> endobj\n%%EOF\n"


class Desk:
    """The Outbox of a mount, and what its platform was sent."""

    def __init__(self, mounted: Mounted, elsewhere: Path) -> None:
        self.mounted = mounted
        self.server = mounted.server
        self.home = next(mounted.path.glob("101 *"))
        self.path = self.home / "Outbox"
        self.elsewhere = elsewhere
        self.seen = 0

    def file(self, name: str, data: bytes) -> Path:
        path = self.elsewhere / name
        path.write_bytes(data)
        return path

    def errors(self) -> str:
        return (self.mounted.path / ".rcfs" / "errors").read_text()

    def new(self) -> list[dict[str, Any]]:
        """The messages that were sent since the last call."""
        sent = self.server.sends()
        found, self.seen = sent[self.seen :], len(sent)
        return found


@pytest.fixture(scope="module")
def open_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with mounts(tmp_path_factory.mktemp("sending")) as make:
        mounted = make("--messages=20", "--extensions=3", *ROOMY, options=OPTIONS)
        yield Desk(mounted, elsewhere)
        assert mounted.server.violations() == []


@pytest.fixture
def desk(open_desk: Desk) -> Desk:
    open_desk.new()
    return open_desk


def sent(desk: Desk, count: int) -> list[dict[str, Any]]:
    """The next `count` messages, which are all."""
    found: list[dict[str, Any]] = []

    def is_all() -> bool:
        found.extend(desk.new())
        return len(found) >= count

    eventually(is_all)
    assert len(found) == count, found
    return found


def test_programs_drop_files_and_each_is_sent_once(desk: Desk) -> None:
    """Every way at the same time, since each waits until its file is quiet. Until then it can be read."""
    texts = desk.path / "SMS"
    assert sorted(each.name for each in desk.path.iterdir()) == ["Fax", "Page", "README.txt", "SMS"]
    assert "SENT" in (desk.path / "README.txt").read_text()
    # Programs: cp, mv from another file system, a shell, rsync, an editor, and a file manager.
    desk.mounted.tool("cp", "-p", str(desk.file("cp.txt", b"by cp\n")), str(texts / "+12125550101.txt"))
    moved = desk.file("+12125550102.txt", b"by mv")
    desk.mounted.tool("mv", str(moved), str(texts))
    assert not moved.exists()
    desk.mounted.tool(
        "sh", "-c", f"echo by echo > '{texts}/+12125550103.txt'; echo more >> '{texts}/+12125550103.txt'"
    )
    desk.mounted.tool("rsync", "-a", str(desk.file("+12125550104.txt", b"by rsync")), str(texts))
    editing = texts / ".goutputstream-ABC123"
    editing.write_bytes(b"by an editor")
    editing.rename(texts / "+12125550105.txt")
    desk.mounted.tool(
        "gio", "copy", "-p", str(desk.file("gio.txt", b"by gio")), str(texts / "+12125550106.txt")
    )
    assert (texts / "+12125550106.txt").read_bytes() == b"by gio"
    downloaded = texts / "+12125550107.txt.part"
    downloaded.write_bytes(b"by a browser")
    downloaded.rename(texts / "+12125550107.txt")
    (desk.path / "Page" / "102.txt").write_text("by hand")
    fax = desk.elsewhere / ANN
    fax.mkdir()
    for name in ("b.pdf", "a.pdf"):
        (fax / name).write_bytes(PDF + name.encode())
    desk.mounted.tool("cp", "-r", str(fax), str(desk.path / "Fax"))
    assert (desk.path / "Fax" / ANN / "a.pdf").read_bytes() == PDF + b"a.pdf"
    picture = texts / BOB
    picture.mkdir()
    (picture / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (picture / "words.txt").write_text("look")
    found = sent(desk, 10)
    by_text = {(each["operation"], each["to"][0]): (each["what"], each["files"]) for each in found}
    words = {
        to: what[1] for (operation, to), (what, _files) in by_text.items() if operation == "createSMSMessage"
    }
    assert words == {
        "+12125550101": "by cp",
        "+12125550102": "by mv",
        "+12125550103": "by echo\nmore",
        "+12125550104": "by rsync",
        "+12125550105": "by an editor",
        "+12125550106": "by gio",
        "+12125550107": "by a browser",
    }
    assert len(by_text["createFaxMessage", ANN][1]) == 2
    assert len(by_text["createMMS", BOB][1]) == 1
    assert "look" in str(by_text["createMMS", BOB])
    eventually(lambda: not any(list(each.iterdir()) for each in desk.path.iterdir() if each.is_dir()))
    eventually(lambda: any("12125550101" in str(each) for each in desk.home.glob("SMS/*/*")))


def test_unfinished_files_are_not_sent_and_a_file_that_is_open_waits(desk: Desk) -> None:
    texts = desk.path / "SMS"
    never = [texts / f"{BOB}{end}" for end in (".txt~", ".txt.part", ".tmp", ".txt.swp")]
    never += [texts / f".{BOB}.txt", texts / ".hidden", desk.path / "Fax" / "~$contract.pdf"]
    for path in never:
        path.write_bytes(b"unfinished")
    (texts / "+12125550201.txt").touch()
    with (texts / "+12125550202.txt").open("wb") as file:
        file.write(b"begin, ")
        file.flush()
        (texts / "+12125550203.txt").write_text("a sign that time passes")
        assert sent(desk, 1)[0]["to"] == ["+12125550203"]
        time.sleep(1.0)
        assert desk.new() == []
        file.write(b"and end")
    assert sent(desk, 1)[0]["what"][1] == "begin, and end"
    assert desk.new() == []
    for path in (*never, texts / "+12125550201.txt"):
        assert path.exists()
        path.unlink()


def test_a_refused_message_stays_with_the_reason(desk: Desk) -> None:
    texts = desk.path / "SMS"
    wrong, report = texts / "tomorrow.txt", texts / "tomorrow.txt.FAILED.txt"
    wrong.write_text("to nobody")
    refused = texts / "+12125550301.txt"
    desk.server.fault("status", status=400, operation="createSMSMessage")
    refused.write_text("refused")
    told = texts / "+12125550301.txt.FAILED.txt"
    eventually(lambda: report.exists() and told.exists())
    assert "tomorrow" in report.read_text()
    assert "not sent" in told.read_text()
    assert refused.read_text() == "refused"
    assert wrong.read_text() == "to nobody"
    assert desk.new() == []
    wrong.unlink()
    report.unlink()
    refused.write_text("once more")
    assert sent(desk, 1)[0]["what"][1] == "once more"
    eventually(lambda: list(texts.iterdir()) == [])


def test_only_outbox_can_be_written(desk: Desk) -> None:
    def refused(action: object, *arguments: object) -> None:
        with pytest.raises(OSError):  # noqa: PT011 - the number depends on the place
            action(*arguments)  # type: ignore[operator]

    text = next(desk.home.glob("SMS/*/*/*"))
    for path in (desk.home / "new.txt", desk.path / "new.txt", text.with_name("new.txt"), text):
        refused(path.write_text, "no")
    with pytest.raises(PermissionError):
        (desk.path / "Voicemail").mkdir()
    assert "Fax/+12125557464/contract.pdf or Page/102.txt" in desk.errors()
    refused((desk.path / "SMS").rmdir)
    refused((desk.path / "README.txt").unlink)
    refused(os.truncate, text, 0)
    refused(os.utime, text)
    assert desk.new() == []


def test_a_file_that_is_removed_in_time_is_not_sent(desk: Desk) -> None:
    path = desk.path / "SMS" / "+12125550401.txt"
    path.write_text("no")
    path.unlink()
    folder = desk.path / "Fax" / ANN
    folder.mkdir()
    (folder / "a.pdf").write_bytes(PDF)
    shutil.rmtree(folder)
    assert list(folder.parent.iterdir()) == list(path.parent.iterdir()) == []
    (desk.path / "SMS" / "+12125550402.txt").write_text("yes")
    assert sent(desk, 1)[0]["to"] == ["+12125550402"]


def test_a_file_whose_writer_was_ended_is_not_sent(desk: Desk) -> None:
    path = desk.path / "Fax" / f"{BOB}.pdf"
    command = ["dd", f"of={path}", "bs=4k"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
        assert writer.stdin is not None
        writer.stdin.write(PDF * 1000)
        writer.stdin.flush()
        eventually(lambda: path.exists() and path.stat().st_size > 0)
        writer.terminate()
        assert writer.wait() == -signal.SIGTERM
    report = path.with_name(f"{path.name}.FAILED.txt")
    eventually(report.exists)
    assert "not whole" in report.read_text()
    with path.open("r+b") as file:
        with pytest.raises(OSError, match="too large"):
            file.truncate(51_000_000)
        eventually(lambda: not report.exists())
    eventually(report.exists)
    path.unlink()
    report.unlink()
    assert desk.new() == []


def test_a_sound_that_is_copied_into_a_directory_of_greetings_is_uploaded(desk: Desk) -> None:
    rules, company = desk.home / "Greetings", desk.mounted.path / "Company"
    rule = next(each for each in rules.iterdir() if list(each.glob("Voicemail*")))
    prompts = company / "IVR Prompts"
    desk.mounted.tool("cp", str(desk.file("hello.wav", WAV)), str(rule))
    desk.mounted.tool("cp", "-p", str(desk.file("Unavailable.mp3", b"ID3" + bytes(99))), str(rule))
    welcome = desk.file("welcome.mp3", b"ID3" + bytes(98))
    desk.mounted.tool("cp", str(welcome), str(company / "Greetings" / rule.name))
    desk.mounted.tool("rsync", "-a", str(desk.file("Lunch.mp3", b"ID3" + bytes(97))), str(prompts))
    wrong, report = rule / "text.mp3", rule / "text.mp3.FAILED.txt"
    wrong.write_text("no sound")
    (rule / "hello.wav.part").write_bytes(WAV)
    found = {(each["operation"], str(each["what"])) for each in sent(desk, 4)}
    assert found == {
        ("createCustomUserGreeting", "Voicemail"),
        ("createCustomUserGreeting", "Unavailable"),
        ("createCompanyGreeting", "Company"),
        ("createIVRPrompt", "Lunch.mp3"),
    }
    eventually(report.exists)
    assert "neither a WAV nor an MP3 file" in report.read_text()
    eventually(lambda: any(prompts.glob("Lunch*")) and not (rule / "hello.wav").exists())
    shown = next(rule.glob("Voicemail*"))
    assert shown.read_bytes() == WAV
    # The present greetings stay, and rcfs says where a new one goes.
    with pytest.raises(PermissionError):
        shown.unlink()
    for path in (shown, rules / "hello.wav"):
        with pytest.raises(PermissionError):
            path.write_bytes(WAV)
    assert "copy a WAV or MP3 file" in desk.errors()
    for each in (wrong, report, rule / "hello.wav.part"):
        each.unlink()
    assert desk.new() == []


def test_kill_sends_once_or_not_at_all(desk: Desk) -> None:
    asked, written = "+12125550501", "+12125550502"
    desk.server.reset_journal()
    desk.server.fault("late", delay_s=3.0, operation="createSMSMessage")
    (desk.path / "SMS" / f"{asked}.txt").write_text("asked for")
    eventually(lambda: bool(desk.server.journal(operation="createSMSMessage")))
    (desk.path / "SMS" / f"{written}.txt").write_text("not quiet yet")
    os.kill(desk.mounted.pid, signal.SIGKILL)
    desk.mounted.mount()
    eventually(lambda: any(asked in str(each) for each in desk.home.glob("SMS/*/*")))
    assert [each["to"] for each in desk.server.sends()].count([asked]) == 1
    assert [written] not in [each["to"] for each in desk.server.sends()]
    assert list((desk.path / "SMS").iterdir()) == []
    assert len(list((desk.mounted.state / "outbox").glob("*/*"))) == 2, "those of the mount itself"
    # An orderly end waits for what is complete, and names what cannot be sent.
    (desk.path / "SMS" / f"{written}.txt").write_text("at the end")
    (desk.path / "SMS" / "tomorrow.txt").write_text("to nobody")
    ended = desk.mounted.rcfs("umount", f"--state-dir={desk.mounted.state}", str(desk.mounted.path))
    assert "not sent, and gone from Outbox: SMS/tomorrow.txt" in ended.stderr
    desk.mounted.mount()
    assert [each["to"] for each in desk.server.sends()].count([written]) == 1
    desk.new()


def test_without_the_option_nothing_can_be_put_anywhere(desk: Desk) -> None:
    options = desk.mounted.options
    desk.mounted.options = tuple(each for each in options if each not in OPTIONS)
    desk.mounted.remount()
    try:
        assert not desk.path.exists()
        assert "Outbox" not in [each.name for each in desk.home.iterdir()]
        with pytest.raises(OSError, match="Read-only"):
            desk.path.mkdir()
        assert desk.new() == []
    finally:
        desk.mounted.options = options
        desk.mounted.remount()
