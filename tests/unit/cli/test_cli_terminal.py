"""Text from outside cannot control a terminal."""

import io
import logging
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from rcfs.cli._doctor import _print
from rcfs.cli._findings import Finding, State
from rcfs.cli._main import rcfs
from rcfs.cli._output import error_line, say, say_json, say_marked, tell, warn
from rcfs.cli._why import _lines
from rcfs.errors import PlatformError
from rcfs.host.logs import EventLog, log_to_terminal
from rcfs.status import ErrorStatus, render_errors
from rcfs.transport import Recorder

ACTS = (
    "\x1b\x07\x08\t\r\v\f\x1c\x7f\x85\x9b\x9d\u2028\u2029\u200e\u202e\u2066\u200b\ufeff\U000e0067\ud83d\udc80"
)
"""Characters that must not arrive: C0, DEL, C1, line separators, invisible ones, surrogates."""
HOSTILE = f"a{'b'.join(ACTS)}]0;title\x07\x1b[2J\nrcfs: mounted"
READABLE = "\u05d3\u05d5\u05d3 \u00e9 \U0001f469\u200d\U0001f680 \u2764\ufe0f"


def check(shown: str, lines: int = 1) -> None:
    assert not set(shown) & set(ACTS)
    assert shown.count("\n") == lines
    assert "]0;title" in shown


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    tell(HOSTILE)
    warn(HOSTILE)
    check(capsys.readouterr().err, 2)
    say(HOSTILE)
    check(capsys.readouterr().out, 2)  # a result may have several lines
    say_marked([(False, HOSTILE), (True, HOSTILE)])
    check(capsys.readouterr().out)
    say_json(f'"{READABLE}\x9b\u202e"')
    assert capsys.readouterr().out == f'"{READABLE}\\u009b\\u202e"\n'
    say(READABLE)
    assert capsys.readouterr().out == f"{READABLE}\n"


def test_errors_of_the_platform() -> None:
    error = PlatformError(HOSTILE)
    error.request_id = HOSTILE
    check(error_line(error) + "\n")


def test_what_a_reader_called_itself(capsys: pytest.CaptureFixture[str]) -> None:
    fetch = {
        "at": "now",
        "program": HOSTILE,
        "class": HOSTILE,
        "requests": 1,
        "size_bytes": 1,
        "remark": HOSTILE,
    }
    refused = {"at": "now", "program": HOSTILE}
    for line in _lines({"path": HOSTILE, "fetches": [fetch], "refused": refused, "cached": HOSTILE}):
        say(line)
    assert not set(capsys.readouterr().out) & set(ACTS)


def test_what_doctor_finds(capsys: pytest.CaptureFixture[str]) -> None:
    _print([Finding("server", State.PROBLEM, HOSTILE, HOSTILE)])
    check(capsys.readouterr().out, 2)


@pytest.mark.parametrize(
    "words",
    [
        [HOSTILE],
        [f"--{HOSTILE}"],
        ["mount", f"--{HOSTILE}"],
        ["status", HOSTILE],
        ["pull", "--since", HOSTILE],
    ],
)
def test_what_somebody_typed(words: list[str]) -> None:
    result = CliRunner().invoke(rcfs, words)
    assert result.exit_code == 2
    assert not set(result.output.replace("\u2026", "")) & set(ACTS)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    log_to_terminal("debug")
    yield shown
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


def test_what_is_logged(terminal: io.StringIO) -> None:
    # The handlers of pytest would put half characters into its report, which no worker can send.
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if getattr(handler, "stream", None) is terminal]
    log = EventLog()
    log.info(HOSTILE, **{HOSTILE: HOSTILE, "many": [HOSTILE], "error": ValueError(HOSTILE)})
    logging.getLogger("library").warning("from a library: %s", HOSTILE)
    check(terminal.getvalue(), 2)
    try:
        raise ValueError(HOSTILE)
    except ValueError as exc:
        log.error("crash", exc_info=exc)
    assert not set(terminal.getvalue()) & set(ACTS)
    assert "ValueError" in terminal.getvalue()


@pytest.mark.usefixtures("terminal")
def test_what_a_mount_tells_of_itself() -> None:
    recorder = Recorder(EventLog())
    recorder.note(HOSTILE, group=HOSTILE)
    recorder.fault(HOSTILE, HOSTILE, key=HOSTILE)
    recorder.request("read", HOSTILE, 200)
    for line in recorder.lines:
        check(line + "\n")
    check(render_errors([ErrorStatus("now", fault.event, fault.detail) for fault in recorder.faults]))
