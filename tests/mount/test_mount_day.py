"""A scripted day of the simulated office, played at speed, on a mount that is read all the time and killed.

``RCFS_SOAK_S=600`` makes the day last 600 seconds; a few seconds are enough for most runs.
"""

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from tests.fakes.expected_tree import expected
from tests.fakes.kernel import XATTRS, Seen
from tests.fakes.kernel import Path as Names
from tests.fakes.world import difference
from tests.mount.conftest import CALL_VIEWS, COMMAND_S, Mounted, Mounting, eventually

pytestmark = pytest.mark.mount

DAY_S = 86_400.0
LASTS_S = float(os.environ.get("RCFS_SOAK_S", "3"))
"""How long the day lasts, in seconds."""
SETTLED_S = 600.0
"""Account seconds after a day until the last transcript has come."""
LEAST_READ = 5
"""Contents that `cat` must have read in that day, of whichever messages."""
ACCOUNT = (
    # Of fewer than 20 messages none is hostile, and nobody is named in one and nameless in another.
    "--messages=19",
    "--months=2",
    # By-Contact has messages only.
    "--calls=0",
    # Syncs after hints are not limited to one a minute.
    "--without-scope=WebSocket",
    *(f"--limit={group}=100000" for group in ("auth", "light", "medium")),
)
VIEWS = ("SMS", "Voicemail", "Fax", "Pager", "Conversations", "Trash")
TOOLS = ("find", "grep", "cat")
OWN_TEXTS = ("message.json", "extension.json", "conversation.txt")
"""The files that rcfs makes itself."""
LEAST_KILLS = 2
DEAD_S = 0.1
"""Pause of a reader who has met a dead mount, in seconds: the next mount needs the processor, too."""
REFRESH = "import os, sys; open('{}/.rcfs/refresh/{}'.format(*os.path.split(sys.argv[1]))).close()"
COMPLAINT = re.compile(r"(find|cat|grep): ['\u2018]?(?P<path>/.*?)['\u2019]?: No such file or directory")
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8"}


@attrs.define(eq=False)
class Office:
    """A mount of two mailboxes, and what their readers have seen."""

    mount: Mounted
    mailboxes: Mapping[Path, int]
    """Their directories, and whose they are."""
    over: threading.Event = attrs.field(factory=threading.Event)
    read: list[tuple[Path, bytes]] = attrs.field(factory=list)
    """Files, and the digests of what was in them."""
    runs: Counter[str] = attrs.field(factory=Counter)
    """How often a tool has run while the mount was up all the time."""
    asked: int = 0
    """How often somebody wanted to have news at once."""
    _incarnation: int = 0
    """Odd while there is no mount."""

    @property
    def is_up(self) -> bool:
        """Whether there is a mount."""
        return self._incarnation % 2 == 0

    @property
    def is_busy(self) -> bool:
        """Whether each tool has run, and contents were read."""
        contents = [path for path, _digest in self.read if path.name not in OWN_TEXTS]
        return all(self.runs[tool] for tool in TOOLS) and len(contents) >= LEAST_READ

    @property
    def kills(self) -> int:
        """How often the mount was killed."""
        return self._incarnation // 2

    def kill(self) -> None:
        """Kills the mount, and mounts again."""
        (pid,) = (
            int(record.stem)
            for record in (self.mount.state / "mounts").glob("*.json")
            if Path("/proc", record.stem).exists()
        )
        self._incarnation += 1
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{pid}").exists())
        self.mount.mount()
        self._incarnation += 1

    def run(self, *command: str) -> "subprocess.CompletedProcess[bytes] | None":
        """A finished run of a tool, which complained of nothing but of what has moved.

        None when the mount died meanwhile: then the tool may say what it likes, but it must end.
        """
        before, was_up = self._incarnation, self.is_up
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=COMMAND_S,
            check=False,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
        )
        if not was_up or self._incarnation != before:
            self.over.wait(DEAD_S)
            return None
        for line in done.stderr.decode().splitlines():
            complaint = COMPLAINT.fullmatch(line)
            assert complaint is not None, line
            assert self._has_moved(Path(complaint["path"])), f"{line}, but it is where it was"
        self.runs[command[0]] += 1
        return done

    def refresh(self, mailbox: Path) -> "subprocess.CompletedProcess[bytes] | None":
        """Asks for news of a mailbox, and waits for them."""
        self.asked += 1
        return self.run(sys.executable, "-S", "-c", REFRESH, str(mailbox))

    def _has_moved(self, path: Path) -> bool:
        """Whether that of which `path` is, a message or a folder of links, need not be there any more."""
        mailbox = next(mailbox for mailbox in self.mailboxes if path.is_relative_to(mailbox))
        view, *names = path.relative_to(mailbox).parts
        ids = [match[1] for name in names if (match := re.search(r"\[(\d+)\]\Z", name))]
        if not ids:
            return view in ("Conversations", "By-Contact")
        found = self.records(self.mailboxes[mailbox]).get(int(ids[0]), {"availability": "Purged"})
        if view == "Unread" and found.get("readStatus") == "Read":
            return True
        return bool(found["availability"] != ("Deleted" if view == "Trash" else "Alive"))

    def records(self, extension_id: int) -> dict[int, dict[str, Any]]:
        """The messages of a mailbox at the platform."""
        listed = self.mount.server.api(
            "GET",
            f"extension/{extension_id}/message-store",
            params={
                "perPage": "1000",
                "dateFrom": "2000-01-01T00:00:00Z",
                "availability": ["Alive", "Deleted"],
            },
        )
        assert listed["paging"]["totalPages"] == 1
        return {record["id"]: record for record in listed["records"]}


def walk(office: Office, mailbox: Path, _dice: Random) -> None:
    office.run("find", str(mailbox), "-ls")


def search(office: Office, mailbox: Path, dice: Random) -> None:
    office.run("grep", "-r", "-c", "Hello", str(mailbox / dice.choice(VIEWS)))


def read(office: Office, mailbox: Path, dice: Random) -> None:
    found = office.run("find", str(mailbox), "-type", "f", "-print0")
    if found is None:
        return
    paths = [Path(os.fsdecode(path)) for path in found.stdout.split(b"\0") if path]
    for path in dice.sample(paths, min(5, len(paths))):
        done = office.run("cat", str(path))
        if done is not None and not done.stderr:
            office.read.append((path, hashlib.sha256(done.stdout).digest()))
            if path.name == "message.json":
                assert json.loads(done.stdout)["id"] == int(path.parent.name[:-1].rpartition("[")[2])


def refresh(office: Office, mailbox: Path, dice: Random) -> None:
    if office.is_up:  # A refresh without a mount must not count.
        office.refresh(mailbox)
    office.over.wait(dice.uniform(0.1, 0.5))


Doing = Callable[[Office, Path, Random], None]


def again_and_again(office: Office, doing: Doing, seed: int) -> None:
    dice = Random(seed)
    try:
        while not office.over.is_set():
            doing(office, dice.choice(list(office.mailboxes)), dice)
    finally:
        office.over.set()  # for everybody, when something is wrong


@pytest.mark.timeout(LASTS_S + 300)
def test_a_day_of_an_office_with_a_mount_that_is_killed(mounting: Mounting) -> None:
    mount = mounting(*ACCOUNT)
    mailboxes = {
        path: int(json.loads((path / "extension.json").read_text())["id"])
        for number in ("101", "102")
        for path in mount.path.glob(f"{number} *")
    }
    office = Office(mount, mailboxes)
    for mailbox in mailboxes:
        list(mailbox.iterdir())
    begun_s = time.monotonic()
    before = len(mount.server.journal(operation="syncMessages"))
    assert mount.server.day(DAY_S / LASTS_S) > 100
    dice = Random(1)
    with ThreadPoolExecutor() as threads:
        readers = [
            threads.submit(again_and_again, office, doing, seed)
            for seed, doing in enumerate((walk, search, read, refresh))
        ]
        try:
            while not office.over.wait(dice.uniform(0.3, 2.0)) and (
                time.monotonic() < begun_s + LASTS_S or office.kills < LEAST_KILLS
            ):
                office.kill()
            eventually(lambda: office.over.is_set() or office.is_busy)
        finally:
            office.over.set()
        for reader in readers:
            reader.result()
    known = {mailbox: dict(seen_below(mailbox)) for mailbox in mailboxes}
    mount.server.day(1.0)
    mount.server.advance(DAY_S + SETTLED_S)  # another day, at once
    for mailbox in mailboxes:
        assert office.refresh(mailbox) is not None
    # First what the kernel remembers: to list a directory would put right what it was not told.
    remembered = {
        mailbox: {path: seen_if_there(mailbox.joinpath(*path)) for path in seen}
        for mailbox, seen in known.items()
    }
    tree = {mailbox: dict(seen_below(mailbox)) for mailbox in mailboxes}
    for mailbox, found in tree.items():
        assert_shows(found, office.records(mailboxes[mailbox]), mailbox)
        stale = {path: seen for path, seen in remembered[mailbox].items() if seen != found.get(path)}
        assert not stale, difference(stale, {path: found.get(path) for path in stale})
    assert_right_bytes(office, tree)

    syncs = Counter(
        next(extension for extension in mailboxes.values() if f"/extension/{extension}/" in entry["path"])
        for entry in mount.server.journal(operation="syncMessages")[before:]
    )
    minutes = (time.monotonic() - begun_s) / 60
    # A mount that is killed may have sent a sync without noting when.
    rounds = 1 + minutes + office.kills
    assert syncs.total() <= office.asked + len(mailboxes) * rounds, "beside those that were asked for"
    print(f"{office.kills} kills, {dict(office.runs)}, {office.asked} refreshes, {syncs.total()} syncs")  # noqa: T201


def seen_below(top: Path) -> Iterator[tuple[Names, Seen]]:
    """Everything below a mailbox that comes from messages, as programs see it."""
    for folder, directories, files in os.walk(top):
        if Path(folder) == top:
            directories[:] = [name for name in directories if name not in CALL_VIEWS]
        for name in (*directories, *files):
            path = Path(folder, name)
            yield path.relative_to(top).parts, seen_at(path)


def seen_if_there(path: Path) -> Seen | None:
    """The file at a path as a program sees it; None if the path does not exist."""
    try:
        return seen_at(path)
    except FileNotFoundError:
        return None


def seen_at(path: Path) -> Seen:
    """The file at a path as a program sees it."""
    attributes = path.lstat()
    names = {name.removeprefix("user.rcfs.") for name in os.listxattr(path, follow_symlinks=False)}
    size = attributes.st_size
    what: Any = None
    if stat.S_ISLNK(attributes.st_mode):
        what = str(path.readlink())
    elif "attachment_id" in names:
        size, what = -1, tuple(int(xattr(path, name)) for name in ("message_id", "attachment_id"))
    elif stat.S_ISREG(attributes.st_mode):
        what = path.read_bytes()
    is_message = stat.S_ISDIR(attributes.st_mode) and "message_id" in names
    return Seen(
        attributes.st_mode,
        size,
        attributes.st_mtime_ns,
        attributes.st_ctime_ns,
        what,
        tuple((name, xattr(path, name)) for name in XATTRS if name in names) if is_message else (),
    )


def xattr(path: Path, name: str) -> str:
    """An extended attribute of ours."""
    return os.fsdecode(os.getxattr(path, f"user.rcfs.{name}", follow_symlinks=False))


def assert_shows(found: Mapping[Names, Seen], records: Mapping[int, Any], mailbox: Path) -> None:
    """Asserts that the files `found` in a mailbox are those of the platform."""
    own = found["extension.json",]
    for path, seen in found.items():
        if path[0] == "Trash" and path[-1] == "message.json":
            # A sync tells that a message is in the trash, and not what has become of it there or before.
            shown = json.loads(seen.what)
            changing = ("readStatus", "lastModifiedTime", "attachments", "vmTranscriptionStatus")
            same = {k: v for k, v in shown.items() if k not in changing}
            assert same == {k: v for k, v in records[shown["id"]].items() if k not in changing}
            records = {**records, shown["id"]: shown}
    wanted = expected(records.values(), json.loads(own.what), fallback_s=own.mtime_ns / 1e9)
    assert found == wanted, f"{mailbox}: {difference(found, wanted)}"


def assert_right_bytes(office: Office, tree: Mapping[Path, Mapping[Names, Seen]]) -> None:
    """Every attachment is the platform's, and so was what readers got."""
    truth = {(row["message_id"], row["attachment_id"]): row["sha256"] for row in office.mount.server.truth()}
    right: dict[tuple[str, ...], str] = {}
    for mailbox, found in tree.items():
        for path, seen in found.items():
            if isinstance(seen.what, tuple):
                right[path[-2:]] = hashlib.sha256(Path(mailbox, *path).read_bytes()).hexdigest()
                assert right[path[-2:]] == truth[seen.what], path
            elif path[-1] == "text.txt":
                right[path[-2:]] = hashlib.sha256(seen.what).hexdigest()
    compared = 0
    for file, digest in office.read:
        if file.parts[-2:] in right:
            assert digest.hex() == right[file.parts[-2:]], file
            compared += 1
    assert compared
