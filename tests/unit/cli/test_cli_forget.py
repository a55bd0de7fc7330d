"""`rcfs forget`: nothing of a forgotten account is left on the disk, and nothing of another one is lost."""

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from rcfs.config import Credentials
from rcfs.filenames import StateFiles
from rcfs.host import Registry
from rcfs.model import (
    AttachmentKey,
    CompanyGreetingKey,
    ContentKey,
    Export,
    ExportKind,
    ExportQuery,
    ExportState,
    GreetingKey,
    PromptKey,
    RecordingKey,
    call_from,
    extension_from,
    message_from,
)
from rcfs.store import (
    ContentCache,
    ExportBook,
    FetchHistory,
    FetchRecord,
    Intent,
    Login,
    MailboxIndex,
    OutboxBook,
    Refusal,
    SizeIndex,
)
from rcfs.tree import name_folder, shelve, shelve_call, shown_extensions

Run = Callable[..., Result]

MESSAGES = 200
"""Enough rows that deleting them leaves whole pages behind."""
ACCOUNTS = {"1111": "alpha", "2222": "beta"}
"""Accounts, and the word that all their texts hold."""


def fill(state_dir: Path, cache_dir: Path, account: str, word: str) -> None:
    """All that a mount of `account` leaves behind; every text and name of it holds `word`."""
    extension = json.dumps({"id": 5, "extensionNumber": "101", "name": f"Jane {word}"})
    records = [
        {
            "id": number,
            "type": "SMS",
            "subject": f"{word} secret {number} " * 20,
            "creationTime": "2026-11-03T17:27:05Z",
            "from": {"name": f"Bob {word}"},
            "attachments": [{"id": number, "type": "AudioTranscription"}],
        }
        for number in range(1, MESSAGES)
    ]
    key = AttachmentKey(account, 5, 1, 1)
    with closing(MailboxIndex.open(StateFiles(state_dir).mailboxes, pytest.fail)) as index:
        index.writer.save_login(f"login-of-{word}", Login(account, f"{word} Ltd", (extension,)))
        mailbox, listing = index.writer.begin(account, 5)
        found = [shelve(message) for message in map(message_from, records) if message is not None]
        index.writer.put(mailbox, [each for each in found if each], name_folder, listing=listing)
        index.writer.put_transcript(mailbox, 1, f"{word} spoken")
        index.writer.synced(mailbox, "token", 5.0)
        index.writer.note(f"retention login-of-{word}", f"{word} noted", 5.0)
        index.writer.note(f"mailbox {account}/5 used", f"{word} noted", 5.0)
        index.writer.save_search(account, f"{word} searched", 5.0)
        index.archive.keep(account, 5, {number: json.dumps(record) for number, record in enumerate(records)})
    with closing(SizeIndex.open(StateFiles(state_dir).sizes, pytest.fail)) as sizes:
        sizes.record(key, 42)
    with closing(FetchHistory.open(state_dir / "history.sqlite", pytest.fail)) as history:
        history.add(FetchRecord(key, 5.0, "cat", "person", 1, 42))
        history.refuse(Refusal(key, 5.0, "tumblerd"))
    with closing(ExportBook.open(StateFiles(state_dir), pytest.fail)) as exports:
        query = ExportQuery.of_days(ExportKind.MESSAGES, "2026-01-01", "2026-01-02")
        exports.add(account, Export(f"of {word}", query, word, ExportState.FAILED, 5.0, 5.0, 0.0))
        exports.add_duration(account, ExportKind.MESSAGES, 1.0, 5.0)
        with exports.turn(account):
            pass
    with closing(OutboxBook.open(StateFiles(state_dir), pytest.fail)) as outbox:
        outbox.add([Intent(f"of {word}", account, "send", "waiting", 5.0, 5.0, word)])
        with outbox.turn(account, "send"):
            pass
        letter = outbox.outgoing(account) / word / "letter.txt"
        letter.parent.mkdir(parents=True)
        letter.write_text(word)
    with closing(ContentCache.open(cache_dir, size_limit_bytes=1 << 30, warn=pytest.fail)) as cache:
        for number in (1, 2):
            chunk = cache.put_chunk(AttachmentKey(account, 5, number, 1), 0, f"{word} bytes".encode() * 100)
            assert chunk is not None
            chunk.close()
        cache.pin([key])


@pytest.fixture
def dirs(home: Path, state_dir: Path) -> tuple[Path, Path]:
    """State and cache directory with two accounts in them, and a log."""
    cache_dir = home / ".cache" / "rcfs"
    for account, word in ACCOUNTS.items():
        fill(state_dir, cache_dir, account, word)
    log = state_dir / "log" / "old-1234.log"
    log.parent.mkdir()
    log.write_text("alpha and beta")
    return state_dir, cache_dir


def traces(directories: tuple[Path, Path], word: str) -> list[str]:
    """The files below `directories` whose name or bytes hold `word`."""
    files = [path for directory in directories for path in directory.rglob("*") if path.is_file()]
    return [path.name for path in files if word.encode() in os.fsencode(path.name) + path.read_bytes()]


def test_one_account_is_erased_to_the_last_byte_and_the_other_stays(
    run: Run, dirs: tuple[Path, Path]
) -> None:
    state_dir, cache_dir = dirs
    assert {"mailboxes.sqlite", "archive.sqlite", "exports.sqlite", "outbox.sqlite"} <= set(
        traces(dirs, "alpha")
    )
    result = run("forget", "--account", "alpha Ltd", "--yes", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["accounts"] == ["1111"]
    assert json.loads(result.stdout)["freed_bytes"] > 0
    assert traces(dirs, "alpha") == traces(dirs, "1111/5/") == []
    kept = AttachmentKey("2222", 5, 1, 1)
    with closing(MailboxIndex.open(StateFiles(state_dir).mailboxes, pytest.fail)) as index:
        assert set(index.reader.logins()) == {"login-of-beta"}
        assert index.reader.counts("2222") == {5: MESSAGES - 1}
        assert index.archive.count("2222") == MESSAGES - 1
        note = index.reader.noted("retention login-of-beta")
        assert note is not None
        assert note.text == "beta noted"
        assert [row.name for row in index.reader.searches("2222", 0, 9)] == ["beta searched"]
    with closing(SizeIndex.open(StateFiles(state_dir).sizes, pytest.fail)) as sizes:
        assert sizes.size(kept) == 42
        assert sizes.size(AttachmentKey("1111", 5, 1, 1)) is None
    with closing(FetchHistory.open(state_dir / "history.sqlite", pytest.fail)) as history:
        assert set(history.fetches([kept])) == set(history.refusals([kept])) == {kept}
    with closing(ContentCache.open(cache_dir, size_limit_bytes=1 << 30, warn=pytest.fail)) as cache:
        assert cache.pins() == {kept}
        assert cache.stats().contents == 2
    assert run("search", "spoken").exit_code == 0


def fill_calls(state_dir: Path, cache_dir: Path, account: str, word: str) -> None:
    """A call with its recording, a greeting, a prompt, and what rcfs has noted of them."""
    party = {"phoneNumber": "+15550100199", "name": f"Zoe {word}"}
    recording = {"id": f"77{word}", "type": "Automatic", "contentUri": f"https://media.example.com/{word}"}
    record = {"id": word, "startTime": "2026-11-04T10:00:00Z", "from": party, "recording": recording}
    call = call_from(record | {"extension": {"id": 5}})
    extension = extension_from({"id": 5, "extensionNumber": "101", "name": f"Jane {word}"})
    assert call is not None
    assert extension is not None
    context = shown_extensions([extension], lambda _extension_id, _message_id: None)
    with closing(MailboxIndex.open(StateFiles(state_dir).mailboxes, pytest.fail)) as index:
        writer = index.writer.calls
        listing = writer.begin(account, 5, "2026-11")
        writer.put(account, [shelve_call(call, context)], name_folder, listing=listing)
        writer.finish(account, 5, "2026-11", listing, 5.0, name_folder)
        for topic in ("calls/company", "greetings/5", "prompts/company", "clock"):
            index.writer.note(f"{topic} login-of-{word}", f"{word} noted", 5.0)
    with closing(ContentCache.open(cache_dir, size_limit_bytes=1 << 30, warn=pytest.fail)) as cache:
        cache.pin(media_of(account, word))
    with (
        closing(ContentCache.open(cache_dir, size_limit_bytes=1 << 30, warn=pytest.fail)) as cache,
        closing(SizeIndex.open(StateFiles(state_dir).sizes, pytest.fail)) as sizes,
        closing(FetchHistory.open(state_dir / "history.sqlite", pytest.fail)) as history,
    ):
        for key in media_of(account, word):
            chunk = cache.put_chunk(key, 0, f"{word} sounds".encode() * 100)
            assert chunk is not None
            chunk.close()
            sizes.record(key, 42)
            history.add(FetchRecord(key, 5.0, "cat", "person", 1, 42))


def media_of(account: str, word: str) -> list[ContentKey]:
    return [
        RecordingKey(account, f"77{word}"),
        GreetingKey(account, 5, f"78{word}"),
        CompanyGreetingKey(account, f"79{word}"),
        PromptKey(account, f"80{word}"),
    ]


def test_calls_recordings_greetings_and_prompts_are_erased(run: Run, dirs: tuple[Path, Path]) -> None:
    state_dir, cache_dir = dirs
    for account, word in ACCOUNTS.items():
        fill_calls(state_dir, cache_dir, account, word)
    assert run("forget", "--account", "1111", "--yes").exit_code == 0
    assert traces(dirs, "alpha") == traces(dirs, "1111/") == []
    kept, gone = media_of("2222", "beta"), media_of("1111", "alpha")
    with closing(MailboxIndex.open(StateFiles(state_dir).mailboxes, pytest.fail)) as index:
        assert list(index.reader.calls.months("2222", 5)) == ["2026-11"]
        assert not index.reader.calls.months("1111", 5)
        assert index.reader.noted("clock login-of-beta") is not None
        assert index.reader.noted("clock login-of-alpha") is None
    with closing(SizeIndex.open(StateFiles(state_dir).sizes, pytest.fail)) as sizes:
        assert [sizes.size(key) for key in kept + gone] == [42] * 4 + [None] * 4
    with closing(FetchHistory.open(state_dir / "history.sqlite", pytest.fail)) as history:
        assert history.fetches(kept + gone).keys() == set(kept)
    with closing(ContentCache.open(cache_dir, size_limit_bytes=1 << 30, warn=pytest.fail)) as cache:
        assert cache.pins() == {AttachmentKey("2222", 5, 1, 1), *kept}
        assert cache.stats().contents == 2 + len(kept)


def test_everything_is_erased_but_the_ledger_and_foreign_files(run: Run, dirs: tuple[Path, Path]) -> None:
    state_dir, cache_dir = dirs
    (state_dir / "ledger.sqlite").write_bytes(b"counts")
    (state_dir / "mailboxes.sqlite.damaged").write_bytes(b"alpha, unreadable")
    (cache_dir / "mine.txt").write_text("not of rcfs")
    result = run("forget", "--yes")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Erased ")
    assert traces(dirs, "alpha") == traces(dirs, "beta") == []
    left = {path.name for directory in dirs for path in directory.rglob("*") if path.is_file()}
    assert left == {"ledger.sqlite", "mine.txt"}
    assert run("search", "spoken").exit_code == 2
    assert run("forget", "--yes").exit_code == 0, "there is nothing to forget any more"


def test_the_question_tells_what_will_be_erased(
    run: Run, dirs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rcfs.cli._output.is_interactive", lambda: True)
    result = run("forget", typed="n\n")
    assert result.exit_code == 0
    assert f"{2 * (MESSAGES - 1)} messages of alpha Ltd (1111) and beta Ltd (2222)" in result.stderr
    assert f"RingCentral has purged {2 * (MESSAGES - 1)} of them" in result.stderr
    assert traces(dirs, "alpha"), "the answer was no"


@pytest.mark.usefixtures("dirs")
def test_a_script_must_say_yes(run: Run, state_dir: Path) -> None:
    result = run("forget")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert StateFiles(state_dir).mailboxes.exists()


@pytest.mark.usefixtures("dirs")
def test_an_unknown_account_is_refused_with_a_list_of_accounts(run: Run) -> None:
    result = run("forget", "--account", "gamma", "--yes")
    assert result.exit_code == 2
    assert "alpha Ltd (1111), beta Ltd (2222)" in result.stderr


def test_a_mount_is_to_be_unmounted_first(run: Run, dirs: tuple[Path, Path]) -> None:
    state_dir, cache_dir = dirs
    Registry(state_dir).add(
        Path("/mnt/alpha"), "https://a", cache_dir=cache_dir, state_dir=state_dir, login="login-of-alpha"
    )
    for arguments in ((), ("--account", "1111")):
        result = run("forget", "--yes", *arguments)
        assert result.exit_code == 4
        assert "rcfs umount /mnt/alpha" in result.stderr
    assert traces(dirs, "alpha")
    assert run("forget", "--account", "2222", "--yes").exit_code == 0, "that one is not mounted"


def test_forget_creates_no_directory(run: Run, state_dir: Path) -> None:
    result = run("forget", "--yes")
    assert (result.exit_code, result.stdout) == (0, "rcfs keeps nothing on this disk.\n")
    assert not state_dir.exists()


@pytest.mark.parametrize(("word", "other"), [("alpha", "beta"), ("beta", "alpha")])
def test_logout_erases_the_account_that_it_logs_out_of(
    run: Run, dirs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, word: str, other: str
) -> None:
    monkeypatch.setattr(Credentials, "identity", f"login-of-{word}")
    run("login", "--file", typed="\nthe-app\ns3cret\njwt\n")
    result = run("logout", "--forget")
    assert result.exit_code == 0, result.output
    assert traces(dirs, word) == []
    assert "mailboxes.sqlite" in traces(dirs, other)


def test_logout_erases_no_other_account(run: Run, dirs: tuple[Path, Path]) -> None:
    for typed in ("\nthe-app\ns3cret\njwt\n", ""):
        if typed:
            run("login", "--file", typed=typed)
        result = run("logout", "--forget")
        assert result.exit_code == 0, result.output
        assert "`rcfs forget --account ACCOUNT` erases one" in result.stderr
        assert "mailboxes.sqlite" in traces(dirs, "alpha")
        assert "mailboxes.sqlite" in traces(dirs, "beta")
