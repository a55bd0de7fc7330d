"""The command as a process whose standard streams are closed or full, or that is interrupted at once."""

import signal
import subprocess
import sys
import time

import pytest

RCFS = f"{sys.executable} -m rcfs"


@pytest.mark.parametrize(
    ("redirections", "code", "said"),
    [
        (">&-", 1, "rcfs: the output cannot be written: Bad file descriptor; the result is incomplete\n"),
        (
            ">/dev/full",
            1,
            "rcfs: the output cannot be written: No space left on device; the result is incomplete\n",
        ),
        (">/dev/full 2>/dev/full", 1, ""),
        ("<&- >&- 2>&-", 1, ""),
        ("2>&-", 0, ""),
        ("<&-", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(redirections: str, code: int, said: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{{ {RCFS} status {redirections}; }}"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (code, said)


def test_a_mistake_keeps_its_exit_code_when_nobody_can_be_told() -> None:
    for redirections in ("2>&-", "2>/dev/full"):
        done = subprocess.run(["sh", "-c", f"{RCFS} nonsense {redirections}"], check=False)
        assert done.returncode == 2


def test_a_reader_that_does_not_read() -> None:
    done = subprocess.run(["bash", "-c", f"{RCFS} --help | true"], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_an_interrupt_at_any_moment_shows_no_trace() -> None:
    """From the first line of rcfs on; what Python loads before is out of its reach."""
    program = "import os, signal; import rcfs.__main__; os.kill(os.getpid(), signal.SIGINT); print('alive')"
    help_text = (
        "import os, signal, sys, click; import rcfs.__main__; sys.argv[1:] = ['--help']\n"
        "click.HelpFormatter.getvalue = lambda _self: os.kill(os.getpid(), signal.SIGINT)\n"
        "rcfs.__main__.main()"
    )
    for each in (program, help_text):
        done = subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "rcfs: interrupted\n")
    for delay_s in (0.15, 0.3, 0.45):
        process = subprocess.Popen(
            [sys.executable, "-m", "rcfs", "doctor"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        time.sleep(delay_s)  # the moment is the point
        process.send_signal(signal.SIGINT)
        _output, errors = process.communicate(timeout=60)
        assert "/rcfs/" not in errors, errors
