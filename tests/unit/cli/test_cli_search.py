"""`rcfs search`, over indices that tests fill; no server, no mount, no credentials."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from rcfs.cli._main import rcfs
from rcfs.filenames import StateFiles
from rcfs.host import Registry
from rcfs.model import call_from, extension_from, message_from
from rcfs.store import Login, MailboxIndex
from rcfs.tree import name_folder, shelve, shelve_call, shown_extensions

EXTENSIONS = (
    '{"id":5,"extensionNumber":"101","name":"Jane Smith"}',
    '{"id":6,"extensionNumber":"102","name":"Bob Ray"}',
    '{"id":7,"extensionNumber":"103","name":"Never Seen"}',
)
FAX = "101 Jane Smith/Fax/2026-11/2026-11-03T17.27.03Z from Ann Lee [3]"
OTHER = "102 Bob Ray/SMS/2026-11/2026-11-03T17.27.02Z from Ann Lee [2]"
HOME = "101 Jane Smith/SMS/2026-11/2026-11-03T17.27.01Z from Ann Lee [1]"


def record(number: int, text: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "SMS",
        "direction": "Inbound",
        "subject": text,
        "creationTime": f"2026-11-03T17:27:{number:02d}Z",
        "from": {"name": "Ann Lee", "phoneNumber": "+15550100123"},
        "to": [{"name": "Jane Smith", "extensionNumber": "101"}],
    } | fields


def fill(state_dir: Path, login: str, account: str, mailboxes: dict[int, list[dict[str, Any]]]) -> None:
    """Makes an index as a mount leaves it."""
    with closing(MailboxIndex.open(StateFiles(state_dir).mailboxes, pytest.fail)) as index:
        index.writer.save_login(login, Login(account, "Example Ltd", EXTENSIONS))
        for extension, records in mailboxes.items():
            mailbox, listing = index.writer.begin(account, extension)
            found = [shelve(message) for message in map(message_from, records) if message is not None]
            index.writer.put(mailbox, [each for each in found if each], name_folder, listing=listing)
            index.writer.synced(mailbox, "token", 5.0)


@pytest.fixture
def known(state_dir: Path) -> Path:
    """The state directory of an account of which two mailboxes are known."""
    fax = record(3, "", type="Fax", attachments=[{"id": 1, "type": "X", "fileName": "invoice 4711.pdf"}])
    fill(
        state_dir,
        "me",
        "1",
        {
            5: [
                record(1, "the invoice\nis \x1b[31m due", readStatus="Unread", conversationId="77"),
                fax,
            ],
            6: [record(2, "an invoice, too", to=[])],
        },
    )
    return state_dir


Run = Callable[..., Result]


@pytest.mark.usefixtures("known")
def test_the_newest_come_first_each_on_a_line(run: Run) -> None:
    result = run("search", "invoice")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"2026-11-03 17:27:03Z  Fax from Ann Lee  invoice 4711.pdf  {FAX}",
        f"2026-11-03 17:27:02Z  SMS from Ann Lee  an invoice, too  {OTHER}",
        f"2026-11-03 17:27:01Z  SMS from Ann Lee  the invoice is  [31m due  {HOME}",
    ]
    assert result.stderr == ""


@pytest.mark.usefixtures("known")
def test_matches_are_emphasised_on_a_terminal() -> None:
    result = CliRunner().invoke(rcfs, ["search", "due"], color=True)
    assert f"is  [31m {click.style('due', bold=True)}  101" in result.stdout


@pytest.mark.usefixtures("known")
def test_json_for_programs(run: Run) -> None:
    result = run("search", "--json", "due")
    assert json.loads(result.stdout) == [
        {
            "path": HOME,
            "id": 1,
            "type": "SMS",
            "direction": "Inbound",
            "time": "2026-11-03T17:27:01Z",
            "people": ["Ann Lee +15550100123", "Jane Smith 101"],
            "snippet": "the invoice is  [31m due",
        }
    ]
    nothing = run("search", "--json", "nothing")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (1, "[]\n", "")


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["invoice"], [3, 2, 1]),
        (["invoice", "ann"], [3, 2, 1]),
        (["invoice -too"], [3, 1]),
        (["(555) 010-0123"], [3, 2, 1]),
        (["--type", "fax", "invoice"], [3]),
        (["--type", "fax", "--type", "sms", "invoice"], [3, 2, 1]),
        (["--since", "2026-11-03T17:27:02Z", "invoice"], [3, 2]),
        (["--in", "101 Jane Smith", "invoice"], [3, 1]),
        (["--in", "102", "invoice"], [2]),
        (["--in", "* Jane *", "invoice"], [3, 1]),
        (["--in", "101/SMS", "invoice"], [1]),
        (["--in", "101 Jane Smith/Fax/2026-11/", "invoice"], [3]),
        (["--in", ".", "invoice"], [3, 2, 1]),
        (["--limit", "2", "invoice"], [3, 2]),
        (["--until", "2026-11-03T17:27:03Z", "invoice"], [2, 1]),
        (["--direction", "out", "invoice"], []),
        (["--direction", "in", "--type", "sms", "invoice"], [2, 1]),
        (["--with", "ann", "--unread", "invoice"], [1]),
        (["--with", "(555) 010-0123", "invoice"], [3, 2, 1]),
        (["--with", "Jane", "invoice"], []),
        (["--conversation", "77", "invoice"], [1]),
        (["--trash", "invoice"], []),
        (["--unread", "--limit", "2", "invoice"], [1]),
    ],
)
def test_what_is_found(run: Run, arguments: list[str], ids: list[int]) -> None:
    result = run("search", "--json", *arguments)
    limit = 2 if "--limit" in arguments else 50
    assert [each["id"] for each in json.loads(result.stdout)] == ids
    assert result.stderr == (
        "rcfs: only the newest 2 matches are shown; --limit shows more\n" if len(ids) == 2 == limit else ""
    )


def test_paths_are_those_of_the_mount_that_shows_the_account(
    run: Run, known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other-state"
    fill(other, "demo", "9", {5: [record(9, "an invoice of the demo")]})
    fill(other, "an earlier demo", "8", {5: [record(8, "an invoice of another account")]})
    registry = Registry(known)
    registry.add(tmp_path / "demo", "http://127.0.0.1:1", state_dir=other, login="demo")
    result = run("search", "--json", "invoice")
    paths = [each["path"] for each in json.loads(result.stdout)]
    assert paths[0] == f"{tmp_path}/demo/101 Jane Smith/SMS/2026-11/2026-11-03T17.27.09Z from Ann Lee [9]"
    assert paths[-1] == HOME, "whose account is not mounted"
    assert len(paths) == 4, "and nothing of what else was once in that directory"
    within = run("search", "--json", "--in", f"{tmp_path}/demo/101 Jane Smith", "invoice")
    assert [each["id"] for each in json.loads(within.stdout)] == [9]
    monkeypatch.chdir(tmp_path)
    assert run("search", "--in", "demo/102 Bob Ray", "invoice").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-h ello", "x"], "No such option"),
        (["invoice OR"], "Invalid value for QUERY: write OR between two words to search for"),
        (['"not closed'], 'a quotation mark (") is not closed; write one after the phrase, too'),
        (["!?"], "Invalid value for QUERY: the query has no word to search for; write one"),
        ([], "Missing argument 'QUERY'"),
        (["--since", "yesterday", "x"], "Invalid value for '--since'"),
        (["--limit", "0", "x"], "Invalid value for '--limit'"),
        (["--in", "999", "x"], "rcfs: '999' is not in the local index"),
        (["--in", "101/SMS/2026-11/x", "x"], "rcfs: '101/SMS/2026-11/x' is not in the local index"),
        (
            ["--in", "103", "x"],
            "rcfs: no message of '103' is in the local index yet; list a mailbox in a mount",
        ),
        (["--in", "/nowhere", "x"], "rcfs: /nowhere is not in a mount of rcfs that is up"),
    ],
)
@pytest.mark.usefixtures("known")
def test_wrong_searches_are_refused(run: Run, arguments: list[str], reason: str) -> None:
    result = run("search", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr.splitlines()[-1].removeprefix("Error: ")


def test_an_account_that_was_never_loaded(run: Run, state_dir: Path) -> None:
    line = "rcfs: no mailbox is in the local index yet; list a mailbox in a mount, or run `rcfs pull`\n"
    result = run("search", "invoice")
    assert (result.exit_code, result.output) == (2, line)
    assert not StateFiles(state_dir).mailboxes.exists(), "a question leaves nothing behind"
    fill(state_dir, "me", "1", {})
    assert run("search", "invoice").output == line


def test_an_index_can_be_searched_while_it_is_written(run: Run, known: Path) -> None:
    with closing(sqlite3.connect(StateFiles(known).mailboxes, isolation_level=None)) as connection:
        connection.execute("UPDATE messages SET generation = 0")
        assert run("search", "invoice").exit_code == 0


@pytest.mark.usefixtures("known")
def test_recordings_and_calls_are_found(run: Run, state_dir: Path) -> None:
    party = {"phoneNumber": "+15550100199", "name": "Zoe"}
    whole = {"direction": "Inbound", "from": party, "extension": {"id": 5}, "result": "Accepted"}
    recording = {"id": "77", "type": "Automatic", "contentUri": "https://media.example.com/77"}
    records = [
        {"id": "a", "startTime": "2026-11-04T10:00:00Z", "duration": 90, "recording": recording} | whole,
        {"id": "b", "startTime": "2026-11-05T10:00:00Z", "duration": 5} | whole,
    ]
    extensions = [each for each in map(extension_from, map(json.loads, EXTENSIONS)) if each is not None]
    context = shown_extensions(extensions, lambda _extension_id, _message_id: None)
    with closing(MailboxIndex.open(StateFiles(state_dir).mailboxes, pytest.fail)) as index:
        writer = index.writer.calls
        listing = writer.begin("1", 5, "2026-11")
        calls = [call for call in map(call_from, records) if call is not None]
        writer.put("1", [shelve_call(call, context) for call in calls], name_folder, listing=listing)
        writer.finish("1", 5, "2026-11", listing, 5.0, name_folder)

    def found(*arguments: str) -> list[tuple[str, str, str]]:
        matches = json.loads(run("search", "--json", *arguments, "zoe").stdout)
        return [(each["id"], each["type"], each["path"]) for each in matches]

    log = ("b", "Call", "101 Jane Smith/Calls/2026-11.csv")
    (audio,) = found("--type", "recording")
    assert audio[:2] == ("a", "Recording")
    assert audio[2].startswith("101 Jane Smith/Recordings/2026-11/2026-11-04T10.00.00Z from +15550100199 Zoe")
    assert found() == [log, audio]
    assert found("--type", "calls", "--until", "2026-11-05") == [audio]
    assert found("--min-duration", "1m") == [audio]
    assert found("--type", "sms") == found("--unread") == found("--with", "Bob") == []
    lines = run("search", "zoe").stdout.splitlines()
    assert lines[0] == f"2026-11-05 10:00:00Z  Call from Zoe  {log[2]}"
