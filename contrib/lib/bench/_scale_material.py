"""The data of a large account: an index that was filled once, and a platform that answers syncs.

The messages are those of the simulator's account. The bench puts them into the index in pages, as a mount
does with the pages of a list, but without HTTP: the simulator takes two minutes for a million records, which
would say nothing about rcfs. The bench keeps the filled index, because filling it takes minutes.
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
from rcfs.store import RESHELVED, Login, MailboxIndex
from rcfs.tree import SHELVING_EDITION, name_folder, shelve

INDEX = "mailboxes.sqlite"
"""Its file name in the state folder of rcfs."""
_TOKEN = "t"  # noqa: S105 - of a sync, and nginx looks at none
_ORIGIN = "http://127.0.0.1:1"
"""The server of the contents; nothing fetches one."""
_CREATED_PER_MAILBOX, _CHANGED_PER_MAILBOX = 3, 2
"""Of five changes in a mailbox: new messages, and messages that were read or deleted."""
CHANGES_PER_MAILBOX = _CREATED_PER_MAILBOX + _CHANGED_PER_MAILBOX
_DECIDE = ("store/_index*.py", "mailbox/_intake.py", "model/_codec.py", "tree/*.py")
"""Modules of rcfs that determine the contents of an index and the time to fill it."""
_RARE = 3
"""Messages with the rare word, at most."""


@attrs.frozen
class Filled:
    """A filled index."""

    folder: Path
    """Its folder."""
    mailboxes: Mapping[str, int]
    """Messages by the decimal id of the extension."""
    seconds: float
    """Time to fill it, without making the messages."""
    cpu_s: float
    """The same in seconds of CPU time."""
    common: str
    """The word that most messages have."""
    rare: str
    """A word that very few messages have."""

    def copy_to(self, state: Path, login: str, records: tuple[str, ...]) -> None:
        """Makes `state` the state folder of a login that used a mount a moment ago."""
        state.mkdir(parents=True)
        shutil.copyfile(self.folder / INDEX, state / INDEX)
        with closing(MailboxIndex.open(state / INDEX, warn)) as index:
            index.writer.save_login(login, Login(str(ACCOUNT_ID), "Scale", records))
            index.writer.note(RESHELVED, SHELVING_EDITION, time.time())
            for record in map(json.loads, records):
                mailbox = index.reader.mailbox(str(ACCOUNT_ID), record["id"])
                if mailbox is not None:
                    index.writer.synced(mailbox.number, _TOKEN, time.time())


def account_of(messages: int, mailboxes: int) -> SimAccount:
    """The simulator's account with this number of messages and mailboxes."""
    return SimAccount(AccountSpec(messages=messages, extensions=mailboxes))


def filled(account: SimAccount, kept: Path) -> Filled:
    """The index of `account` in a folder of `kept`; fills it unless the same code has done so before."""
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
    """The pages of records of a mailbox, newest first."""
    page: list[Json] = []
    for message in account.mailbox(extension_id).newest_first():
        page.append(account.record(message, _ORIGIN, _ORIGIN))
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def _words(path: Path) -> tuple[str, str]:
    """The most common word of an index, and a rare one."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, words, row)")
        letters = "FROM vocabulary WHERE term GLOB '[a-z][a-z][a-z][a-z]*' AND length(term) < 16"
        ((common,),) = connection.execute(f"SELECT term {letters} ORDER BY doc DESC LIMIT 1")
        ((rare,),) = connection.execute(f"SELECT term {letters} AND doc <= ? ORDER BY term LIMIT 1", (_RARE,))
    return common, rare


def write_platform(
    account: SimAccount, material: Material, name: str, origin: str, *, changes: bool
) -> tuple[str, ...]:
    """Writes the answers of a platform at `origin` to the folder `name` of `material`.

    Every sync of a mailbox brings the same few changes, or none without `changes`.

    Returns:
        The records of the extensions.
    """
    folder = material.folder / name
    folder.mkdir(parents=True)
    records = [account.extension_record(extension.id, origin) for extension in account.extensions]
    _write(folder / "account.json", {**account.account_record(origin), "id": ACCOUNT_ID})
    _write(folder / "own.json", records[0])
    for number, page in pages("/restapi/v1.0/account/~/extension", records, origin):
        _write(folder / f"extensions-{number}.json", page)
    _write(folder / "sync.json", {"records": [], "syncInfo": {"syncToken": _TOKEN}})
    for extension in account.extensions if changes else ():
        answer = {"records": list(_changes(account, extension.id)), "syncInfo": {"syncToken": _TOKEN}}
        _write(folder / f"sync-{extension.id}.json", answer)
    found = (extension_from(record) for record in records)
    return tuple(extension.raw for extension in found if extension is not None)


def _changes(account: SimAccount, extension_id: int) -> Iterator[Json]:
    """The changes in a mailbox."""
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
    """The name of the login at `origin` in the index."""
    return Credentials(client_id, "", jwt).identity(origin)


def _write(path: Path, document: Json) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
