"""`rcfs send` and `rcfs greeting`: wrong usage, and the commands against a simulator."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from rcfs.cli._mount import _tell_unsent
from rcfs.cli._send_run import _check
from rcfs.errors import ForbiddenError, PlatformError, RcfsError, UndecidedError
from rcfs.model import Outgoing, Send, SendKind, SendState
from rcfs.simulator.account._failing import FAILING_SMS
from tests.fakes.commands import Done, run_rcfs
from tests.fakes.simulated import Simulated, start

BOB = "212-555-7464"

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (
            ["sms", "--to", BOB, "--text", "hi"],
            "stdin is not a terminal, so rcfs cannot ask; give --yes to send",
        ),
        (["fax", "--to", BOB, "--file", "none.pdf", "--yes"], "none.pdf does not exist"),
        (["fax", "--to", BOB, "--file", "film.mp4", "--yes"], "a fax takes no such file"),
        (["mms", "--to", BOB, "--file", "letter.pdf", "--yes"], "a text takes no such file"),
        (["fax", "--to", BOB, "--at", "2020-12-01T09:30", "--yes"], "is in the past; leave --at out"),
        (["fax", "--to", BOB, "--at", "soon", "--yes"], "'soon' is no time; write 2026-12-01T09:30Z"),
        (["fax", "--resend", "this one", "--yes"], "'this one' is no fax"),
        (["fax", "--cover", "1", "--cover", "2", "--yes"], "--cover takes one number and one text"),
    ],
)
@pytest.mark.usefixtures("home", "credentials")
def test_wrong_usage(
    run: Run, arguments: list[str], because: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("film.mp4", "letter.pdf"):
        Path(name).write_text("x")
    result = run("send", *arguments)
    assert result.exit_code == 2
    assert because in result.output


SMS = Outgoing(SendKind.SMS, ("+12125557464",), "+13035556830", "hi")


@pytest.mark.parametrize(
    ("state", "problem", "refusal", "error", "exit_code"),
    [
        (SendState.UNKNOWN, "messages 1, 2 look like it", "", UndecidedError, 9),
        (SendState.REFUSED, "HTTP 400", "", PlatformError, 7),
        (SendState.REFUSED, "no such scope", "the app may send no texts", ForbiddenError, 3),
        (SendState.WAITING, "no network", "", PlatformError, 7),
        (SendState.ASKED, "", "", PlatformError, 7),
    ],
)
def test_errors(state: SendState, problem: str, refusal: str, error: type[RcfsError], exit_code: int) -> None:
    with pytest.raises(error, match=problem or "it is kept") as caught:
        _check(Send("a", SMS, state, 0.0, 0.0, problem=problem), refusal)
    assert type(caught.value).exit_code == exit_code


def test_umount_tells_what_is_not_sent(capsys: pytest.CaptureFixture[str]) -> None:
    states = (SendState.WAITING, SendState.ASKED, SendState.UNKNOWN, SendState.REFUSED)
    _tell_unsent([Send(state.value, SMS, state, 0.0, 0.0) for state in states])
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in told] == [
        "rcfs: warning: 2 messages are not confirmed as sent yet",
        "rcfs: warning: 1 message may have been sent or not",
    ]
    _tell_unsent([])
    assert capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulated]:
    with start("--messages=5", "--calls=0", "--limit=auth=100") as running:
        yield running


@pytest.fixture(scope="module")
def rcfs(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Done]:
    """Runs a command in a process of its own."""
    directory = tmp_path_factory.mktemp("home")
    return partial(run_rcfs, simulated, directory)


def test_a_text_from_stdin(rcfs: Callable[..., Done], simulated: Simulated) -> None:
    done = rcfs("send", "sms", "--to", BOB, "--text", "-", "--yes", "--json", typed="I am late\n")
    assert done.returncode == 0, done.stderr
    assert "a text from +1" in done.stderr
    assert "to +12125557464: one request" in done.stderr
    sent = json.loads(done.stdout)
    record = simulated.api("GET", f"extension/~/message-store/{sent['message_id']}")
    assert (record["subject"], record["to"][0]["phoneNumber"]) == ("I am late", "+12125557464")
    assert sent["state"] == "Sent"
    assert "/SMS/" in sent["path"]
    assert sent["path"].endswith(f"[{sent['message_id']}]")


def test_a_failure_in_words(rcfs: Callable[..., Done]) -> None:
    number, code = next((number, code) for number, code in FAILING_SMS.items() if code == "SMS-RC-413")
    done = rcfs("send", "sms", "--to", number, "--text", "hi", "--yes", "--wait")
    assert done.returncode == 7
    assert (
        f"not delivered: the recipient has opted out, and can reply START to receive messages again ({code})"
        in (done.stderr)
    )


def test_a_fax_with_files_and_a_cover(
    rcfs: Callable[..., Done], simulated: Simulated, tmp_path: Path
) -> None:
    (tmp_path / "R&D.txt").write_text("hello")
    done = rcfs(
        *("send", "fax", "--to", BOB, "--to", "+13035556830", "--file", str(tmp_path / "R&D.txt")),
        *("--cover", "2", "--cover", "For Bob", "--at", "2030-01-01T09:00+01:00", "--yes", "--json"),
    )
    assert done.returncode == 0, done.stderr
    assert "R_D.txt (5 B)" in done.stderr
    assert "at 2030-01-01T08:00:00" in done.stderr
    sent = json.loads(done.stdout)
    record = simulated.api("GET", f"extension/~/message-store/{sent['message_id']}")
    assert (record["coverIndex"], record["coverPageText"], record["messageStatus"]) == (
        2,
        "For Bob",
        "Queued",
    )
    again = rcfs("send", "fax", "--resend", f"101 Jane Smith/Fax/… [{sent['message_id']}]", "--yes")
    assert again.returncode == 0, again.stderr


def test_a_greeting_is_set(rcfs: Callable[..., Done], simulated: Simulated, tmp_path: Path) -> None:
    path = tmp_path / "hello.mp3"
    path.write_bytes(b"\xff\xfb" + b"\0" * 1000)
    done = rcfs("greeting", "set", "business hours", str(path))
    assert done.returncode == 0, done.stderr
    greeting_id = done.stdout.split()[1]
    record = simulated.api("GET", f"extension/~/greeting/{greeting_id}")
    assert (record["type"], record["contentType"]) == ("Voicemail", "audio/mpeg")
    wrong = rcfs("greeting", "set", "no such rule", str(path))
    assert wrong.returncode == 2
    assert "no rule is called 'no such rule'; there are '" in wrong.stderr
    prompt = rcfs("greeting", "add-prompt", str(path), "--name", "Main menu")
    assert prompt.returncode == 0, prompt.stderr
    assert [
        len(simulated.journal(operation=each)) for each in ("createCustomUserGreeting", "createIVRPrompt")
    ] == [1, 1]
