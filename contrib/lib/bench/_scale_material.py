"""What a large account is made of: an index that was filled once, and a platform that tells changes.

The messages are those of the simulator's account. They come into the index as the pages of a list do that a
mount has read, but not through HTTP: a million records take the simulator two minutes, which say nothing of
rcfs. The filled index is kept, as filling it takes minutes.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from warnings import warn

import attrs

import rcfs
from bench._material import ACCOUNT_ID, PAGE, Json, Material, pages
from rcfs.mailbox import Intake, Shelving
from rcfs.model import extension_from
from rcfs.platform import Credentials
from rcfs.simulator import AccountSpec, SimAccount
from rcfs.store import Login, MailboxIndex
from rcfs.tree import name_folder, shelve

INDEX = "mailboxes.sqlite"
"""What rcfs calls it in its state folder."""
_TOKEN = "t"  # noqa: S105 - of a sync, and nginx looks at none
_ORIGIN = "http://127.0.0.1:1"
"""Where the contents of the messages are: nobody fetches one."""
_CREATED_PER_MAILBOX, _CHANGED_PER_MAILBOX = 3, 2
"""Of five changes in a mailbox: messages that came, and ones that were read or thrown away."""
CHANGES_PER_MAILBOX = _CREATED_PER_MAILBOX + _CHANGED_PER_MAILBOX
_DECIDE = ("store/_index*.py", "mailbox/_intake.py", "model/_codec.py", "tree/*.py")
"""Modules of rcfs that decide what an index is, and how long it takes to fill it."""
_RARE = 3
"""So many messages at most have the rare word."""


@attrs.frozen
class Filled:
    """A filled index."""

    folder: Path
    """Where it lies."""
    mailboxes: Mapping[str, int]
    """Messages by the decimal id of the extension."""
    seconds: float
    """How long it took to fill it, without making the messages."""
    cpu_s: float
    """The same in seconds of CPU time."""
    common: str
    """The word that most messages have."""
    rare: str
    """A word that hardly one has."""

    def copy_to(self, state: Path, login: str, records: tuple[str, ...]) -> None:
        """Makes `state` the state folder of a mount that was used a moment ago by `login`."""
        state.mkdir(parents=True)
        shutil.copyfile(self.folder / INDEX, state / INDEX)
        with closing(MailboxIndex.open(state / INDEX, warn)) as index:
            index.writer.save_login(login, Login(str(ACCOUNT_ID), "Scale", records))
            for record in map(json.loads, records):
                mailbox = index.reader.mailbox(str(ACCOUNT_ID), record["id"])
                if mailbox is not None:
                    index.writer.synced(mailbox.number, _TOKEN, time.time())


def account_of(messages: int, mailboxes: int) -> SimAccount:
    """The account with so many messages."""
    return SimAccount(AccountSpec(messages=messages, extensions=mailboxes))


def filled(account: SimAccount, kept: Path) -> Filled:
    """The index of `account` in a folder of `kept`, filled now unless the same code has done it before."""
    digest = blake2b(digest_size=6)
    for pattern in _DECIDE:
        for path in sorted(Path(rcfs.__file__).parent.glob(pattern)):
            digest.update(path.read_bytes())
    folder = kept / f"{account.account_id}-{digest.hexdigest()}"
    told = folder / "filled.json"
    if not told.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        figures = _fill(account, folder / INDEX)
        told.write_text(json.dumps(figures), encoding="utf-8")
    return Filled(folder, **json.loads(told.read_text(encoding="utf-8")))


def _fill(account: SimAccount, path: Path) -> Json:
    seconds = cpu_s = 0.0
    messages: dict[str, int] = {}
    with closing(MailboxIndex.open(path, warn)) as index:
        intake = Intake(index, Shelving(shelve, name_folder), time.time)
        for extension in account.extensions:
            mailbox, generation = index.writer.begin(str(ACCOUNT_ID), extension.id)
            for page in _pages(account, extension.id):
                began_s, began_cpu_s = time.perf_counter(), time.process_time()
                intake.take(mailbox, page, generation)
                seconds += time.perf_counter() - began_s
                cpu_s += time.process_time() - began_cpu_s
                messages[str(extension.id)] = messages.get(str(extension.id), 0) + len(page)
            index.writer.synced(mailbox, _TOKEN, time.time())
    common, rare = _words(path)
    return {"mailboxes": messages, "seconds": seconds, "cpu_s": cpu_s, "common": common, "rare": rare}


def _pages(account: SimAccount, extension_id: int) -> Iterator[list[Json]]:
    """The records of a mailbox, newest first, by the page."""
    page: list[Json] = []
    for message in account.mailbox(extension_id).newest_first():
        page.append(account.record(message, _ORIGIN, _ORIGIN))
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def _words(path: Path) -> tuple[str, str]:
    """The commonest word of an index, and a rare one; both as people write them."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, words, row)")
        letters = "FROM vocabulary WHERE term GLOB '[a-z][a-z][a-z][a-z]*' AND length(term) < 16"
        ((common,),) = connection.execute(f"SELECT term {letters} ORDER BY doc DESC LIMIT 1")
        ((rare,),) = connection.execute(f"SELECT term {letters} AND doc <= ? ORDER BY term LIMIT 1", (_RARE,))
    return common, rare


def write_platform(account: SimAccount, material: Material, name: str, origin: str) -> tuple[str, ...]:
    """Writes to the folder `name` of `material` what a platform at `origin` answers; the extensions' records.

    Every mailbox has the same few changes to tell, whenever it is asked.
    """
    folder = material.folder / name
    folder.mkdir(parents=True)
    records = [account.extension_record(extension.id, origin) for extension in account.extensions]
    _write(folder / "account.json", {**account.account_record(origin), "id": ACCOUNT_ID})
    _write(folder / "own.json", records[0])
    for number, page in pages("/restapi/v1.0/account/~/extension", records, origin):
        _write(folder / f"extensions-{number}.json", page)
    for extension in account.extensions:
        told = {"records": list(_changes(account, extension.id)), "syncInfo": {"syncToken": _TOKEN}}
        _write(folder / f"sync-{extension.id}.json", told)
    found = (extension_from(record) for record in records)
    return tuple(extension.raw for extension in found if extension is not None)


def _changes(account: SimAccount, extension_id: int) -> Iterator[Json]:
    """What happened in a mailbox."""
    newest = account.mailbox(extension_id).newest_first()
    alive = (message for message in newest if message.availability == "Alive")
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}"
    read, thrown = next(alive), next(alive)
    record = account.record(read, _ORIGIN, _ORIGIN)
    yield {**record, "lastModifiedTime": now, "readStatus": "Unread"}
    yield {"id": thrown.id, "availability": "Deleted"}
    for number in range(1, _CREATED_PER_MAILBOX + 1):
        yield {**record, "id": read.id + number, "creationTime": now, "lastModifiedTime": now}


def login_of(client_id: str, jwt: str, origin: str) -> str:
    """What rcfs calls the login at `origin`."""
    return Credentials(client_id, "", jwt).identity(origin)


def _write(path: Path, document: Json) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
