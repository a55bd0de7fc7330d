"""The commands that change messages: wrong usage, and against a simulator, without a mount."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from click.testing import Result

from rcfs.cli._retention import refusal_of
from rcfs.errors import ForbiddenError, PlatformError, ServerError
from rcfs.filenames import StateFiles
from rcfs.model import Outgoing, Send, SendKind, SendState, send_to_json
from rcfs.store import Intent, OutboxBook
from tests.fakes.commands import run_rcfs
from tests.fakes.simulated import Simulated, start

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (["mark", "101"], "'101' is not one of 'read', 'unread'"),
        (["mark", "read"], "Missing argument 'PATH...'"),
        (["trash"], "Missing argument 'PATH...'"),
        (["trash", ""], "'' is the whole account"),
        (["mark", "read", "101", "."], "'.' is the whole account"),
        (["purge", "--yes", "101/../.."], "'101/../..' is the whole account"),
        (["purge", "101/Trash"], "give --yes to delete them"),
        (["retention", "6"], "6 is not in the range 7<=x<=90"),
        (["retention", "30"], "give --yes to set it"),
    ],
)
@pytest.mark.usefixtures("home", "credentials")
def test_wrong_usage(run: Run, arguments: list[str], because: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert because in result.output


@pytest.mark.usefixtures("home", "credentials")
def test_an_account_that_was_never_seen_has_no_changes(run: Run) -> None:
    assert run("outbox").output == "Nothing waits.\n"
    assert run("flush").output == "No change waits.\n"
    assert json.loads(run("outbox", "--json").output) == []
    assert run("outbox", "--drop").output == "Forgot 0 deletions.\n"


@pytest.mark.parametrize(
    ("error", "because"),
    [
        (ForbiddenError("no", code="ACT-340"), "HIPAA"),
        (ForbiddenError("no", code="CMN-401"), "the app lacks the scope EditAccounts"),
        (ForbiddenError("no", code="CMN-408"), "only administrators"),
        (ServerError("down"), ""),
    ],
)
def test_a_refused_retention_is_explained(error: PlatformError, because: str) -> None:
    assert because in refusal_of(error)
    assert bool(refusal_of(error)) == bool(because)


def keep(state: Path, send: Send) -> None:
    """Puts a message into the outbox of the only account in a state directory."""
    with (
        closing(OutboxBook.open(StateFiles(state), pytest.fail)) as book,
        closing(sqlite3.connect(state / "mailboxes.sqlite")) as index,
    ):
        ((account_id,),) = index.execute("SELECT DISTINCT account_id FROM mailboxes").fetchall()
        body = json.dumps(send_to_json(send))
        book.add([Intent(send.id, account_id, "send", send.state.value, send.created_s, send.since_s, body)])


def _rcfs(simulated: Simulated, directory: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    return attrs.astuple(run_rcfs(simulated, directory, *arguments, **more))


@pytest.mark.usefixtures("home")
def test_changes_are_made_held_and_confirmed(tmp_path: Path) -> None:
    with start("--messages=20", "--extensions=1", "--calls=0", "--limit=auth=100") as simulated:
        # The answer is lost, so the process reads the messages: in its worker threads, unlike the scenarios.
        simulated.fault("status_after", operation="updateMessage")
        code, out, err = _rcfs(simulated, tmp_path, "mark", "--json", "unread", "*/Fax", "*/SMS")
        assert code == 0
        assert "rcfs: an answer was lost; in 5 s rcfs looks whether the messages have changed\n" in err
        assert len(simulated.journal(operation="updateMessage")) == 1
        marked = json.loads(out)
        assert marked["messages"] > 0
        assert (marked["refused"], marked["left"]) == (0, 0)
        again = _rcfs(simulated, tmp_path, "mark", "unread", "*/Fax", "*/SMS")
        count = marked["messages"] + marked["already"]
        assert again == (0, f"{count} messages are unread already.\n", "")
        code, out, err = _rcfs(simulated, tmp_path, "restore", "*/Fax")
        assert (code, out) == (2, "")
        assert "none of these messages is in the trash" in err
        # The second path names the same messages as the first.
        code, out, err = _rcfs(simulated, tmp_path, "trash", "*/Fax", "*/Fax/", RCFS_DELETE_LIMIT="0")
        assert (code, out) == (8, "")
        assert re.search(r"\d deletions? held: more than 0 deletions in an hour; `rcfs flush --confirm`", err)
        assert simulated.journal(operation="deleteMessage") == []
        code, out, err = _rcfs(simulated, tmp_path, "outbox")
        assert re.match(r"trash  \d+ messages? of 101 Jane Smith, held since ", out)
        assert "held; `rcfs flush --confirm` sends them, `rcfs outbox --drop` forgets them\n" in out
        code, out, err = _rcfs(simulated, tmp_path, "flush", "--confirm")
        assert (code, err) == (0, "")
        assert out.startswith("Sent the changes of ")
        assert len(simulated.journal(operation="deleteMessage")) == 1
        code, out, err = _rcfs(simulated, tmp_path, "purge", "--yes", "*/Trash", "*/SMS")
        assert (code, out) == (2, "")
        assert "is not in the trash" in err
        assert _rcfs(simulated, tmp_path, "purge", "--yes", "*/Trash")[1].endswith(" for good.\n")
        assert _rcfs(simulated, tmp_path, "purge", "--yes", "*/Trash") == (
            0,
            "Nothing to do: there is no message.\n",
            "",
        )
        code, out, err = _rcfs(simulated, tmp_path, "retention", "30", "--yes")
        assert (code, out) == (0, "RingCentral keeps faxes and voicemails for 30 days.\n")
        simulated.fault("status", operation="readMessageStoreConfiguration", status=403, code="CMN-408")
        code, out, err = _rcfs(simulated, tmp_path, "retention")
        assert (code, out) == (3, "")
        assert "rcfs: only administrators may do this" in err
        numbers = simulated.api("GET", "extension/~/phone-number")["records"]
        # The commands share a session; the other login is the test's own.
        assert len(simulated.journal(operation="getToken")) == 2
        own = next(each["phoneNumber"] for each in numbers if "SmsSender" in each["features"])
        text = Outgoing(SendKind.SMS, ("+12125557464",), own, "hi")
        unknown = Send("5e4d", text, SendState.UNKNOWN, 5.0, 6.0, problem="two look like it")
        keep(tmp_path / "state", unknown)
        code, out, err = _rcfs(simulated, tmp_path, "outbox")
        assert (code, err) == (0, "")
        assert "send  5e4d  a text to +12125557464: unknown whether it was sent: two look like it" in out
        assert out.endswith("give `rcfs outbox --again ID`, or --forget ID.\n")
        code, out, err = _rcfs(simulated, tmp_path, "flush")
        assert (code, out) == (0, "No change waits. 1 message to send: `rcfs outbox` says how far.\n")
        code, out, err = _rcfs(simulated, tmp_path, "outbox")
        assert "send  5e4d  a text to +12125557464: unknown whether it was sent: two look like it" in out
        (row,) = json.loads(_rcfs(simulated, tmp_path, "outbox", "--json")[1])
        assert (row["state"], row["kind"], row["to"]) == ("Unknown", "sms", ["+12125557464"])
        code, out, err = _rcfs(simulated, tmp_path, "outbox", "--again", "5e4d", "--json")
        assert (code, err) == (0, "")
        assert len(simulated.sends()) == 1
        code, out, err = _rcfs(simulated, tmp_path, "outbox", "--forget", "5e4d")
        assert code == 2
        assert "the outbox has no message 5e4d" in err
        keep(tmp_path / "state", attrs.evolve(unknown, id="6f"))
        assert _rcfs(simulated, tmp_path, "outbox", "--forget", "6f") == (0, "Forgot message 6f.\n", "")
        assert json.loads(_rcfs(simulated, tmp_path, "outbox", "--json")[1]) == []
        assert simulated.violations() == []
