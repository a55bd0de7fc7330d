import errno
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import get_completion_class
from click.testing import CliRunner, Result

import rcfs.errors
from rcfs import __version__
from rcfs.cli import _completion
from rcfs.cli._explain import Interrupted
from rcfs.cli._main import RcfsGroup
from rcfs.cli._main import rcfs as command
from rcfs.cli._output import own_name
from rcfs.errors import PlatformError, RcfsError
from rcfs.host import Mount

SECRET = "s3cr3t-of-the-app"


def every_error(base: type[RcfsError] = RcfsError) -> Iterator[type[RcfsError]]:
    """Those that may come from everywhere: rooms that other tests have imported have more."""
    if base.__module__ == RcfsError.__module__:
        yield base
    for derived in base.__subclasses__():
        yield from every_error(derived)


def run_raising(error: BaseException) -> Result:
    group = RcfsGroup("rcfs")

    @group.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(group, ["fail"], prog_name="rcfs")


def test_the_table_of_exit_codes() -> None:
    """The published table: a change here is a change for every script."""
    assert {
        error.__name__: error.exit_code for error in every_error() if error.__module__ == "rcfs.errors"
    } == {
        "RcfsError": 1,
        "ConfigError": 2,
        "MountError": 4,
        "FuseUnavailableError": 5,
        "StoreError": 6,
        "NoRoomError": 6,
        "SharedLedgerError": 7,
        "LedgerRefusedError": 3,
        "PlatformError": 7,
        "AuthError": 3,
        "GrantError": 3,
        "ForbiddenError": 3,
        "NotFoundError": 7,
        "PurgedError": 7,
        "BadRequestError": 7,
        "TooLargeError": 7,
        "RateLimitedError": 7,
        "ServerError": 7,
        "UncertainError": 7,
        "NotReadyError": 7,
        "TransportError": 7,
        "UnreachableError": 7,
        "SilentError": 7,
        "UntrustedError": 7,
        "ProxyError": 7,
        "OfflineError": 7,
        "PartialError": 8,
        "UndecidedError": 9,
        "FileError": 1,
        "ReadOnlyError": 1,
        "NotPermittedError": 1,
        "NotEmptyError": 1,
        "ExistsError": 1,
        "BusyError": 1,
        "InvalidNameError": 1,
        "NameTooLongError": 1,
        "WrongKindError": 1,
        "NoDirectoryError": 1,
        "UnsupportedError": 1,
        "DamagedError": 1,
        "StaleError": 1,
        "WaitError": 1,
        "DeadlineError": 1,
        "BudgetError": 1,
        "SuspendError": 1,
        "CallerGoneError": 1,
        "ClosingError": 1,
    }


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: error.__name__)
def test_every_error_is_one_line_and_its_exit_code(error: type[RcfsError]) -> None:
    result = run_raising(error("this is\n  wrong"))
    assert (result.exit_code, result.stdout, result.stderr) == (error.exit_code, "", "rcfs: this is wrong\n")


def test_a_request_id_is_told() -> None:
    result = run_raising(PlatformError("refused", request_id="b7e0"))
    assert result.stderr == "rcfs: refused (request id b7e0)\n"


def test_an_error_from_a_nursery_is_the_error() -> None:
    group = ExceptionGroup("nursery", [ExceptionGroup("inner", [rcfs.errors.MountError("busy")])])
    result = run_raising(group)
    assert (result.exit_code, result.stderr) == (4, "rcfs: busy\n")


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), click.Abort(), BaseExceptionGroup("nursery", [KeyboardInterrupt()])]
)
def test_an_interrupt(error: BaseException) -> None:
    result = run_raising(error)
    assert result.exit_code == 130
    assert "rcfs: interrupted" in result.stderr


def test_an_interrupted_command_tells_one_line() -> None:
    result = run_raising(Interrupted(15, "interrupted; nothing was sent"))
    assert (result.exit_code, result.stderr) == (143, "rcfs: interrupted; nothing was sent\n")


def test_an_unexpected_error_is_one_line_and_a_trace_in_a_file(state_dir: Path) -> None:
    secret = SECRET

    def frame_with_a_secret() -> None:
        kept = secret
        raise ZeroDivisionError(f"after {len(kept)} steps")

    with pytest.raises(ZeroDivisionError) as caught:
        frame_with_a_secret()
    result = run_raising(caught.value)
    trace = state_dir / "log" / "crash.log"
    assert result.exit_code == 1
    assert result.stderr == (
        f"rcfs: unexpected error: ZeroDivisionError: after {len(SECRET)} steps; its trace is in {trace}\n"
    )
    text = trace.read_text()
    assert "frame_with_a_secret" in text
    assert SECRET not in text
    assert trace.stat().st_mode & 0o777 == 0o600
    assert trace.parent.stat().st_mode & 0o777 == 0o700


def test_a_trace_that_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCFS_STATE_DIR", "/dev/null/state")
    result = run_raising(ValueError("odd"))
    assert result.exit_code == 1
    assert result.stderr == "rcfs: unexpected error: ValueError: odd; its trace could not be written\n"


def test_a_reader_that_went_away_is_no_crash(state_dir: Path) -> None:
    result = run_raising(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert result.exit_code == 1
    assert "unexpected" not in result.stderr
    assert not (state_dir / "log").exists()


@pytest.mark.parametrize("arguments", [["nonsense"], ["mount"], ["status", "--jsn"], ["completion", "tcsh"]])
def test_wrong_usage(run: Callable[..., Result], arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: rcfs" in result.stderr


def test_the_name_of_the_command_works_when_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, other = tmp_path / "my venv" / "rcfs", tmp_path / "bin" / "rcfs"
    for path in (program, other):
        path.parent.mkdir()
        path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    for path, name in ((program, f"'{program}'"), (other, "rcfs"), (tmp_path / "__main__.py", "rcfs")):
        monkeypatch.setattr(sys, "argv", [str(path)])
        assert own_name() == name
    other.unlink()
    other.symlink_to(program)
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert own_name() == "rcfs"


def test_version(run: Callable[..., Result]) -> None:
    assert run("--version").stdout == f"rcfs {__version__}\n"


@pytest.mark.parametrize("name", command.list_commands(click.Context(command)))
def test_every_command_has_help_with_examples(run: Callable[..., Result], name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Examples:\n" in result.stdout
    assert f"    rcfs {name}" in result.stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, rcfs.cli._main;"
        "heavy = {'trio', 'httpx', 'starlette', 'diskcache', 'keyring', 'rich', 'structlog', 'pyfuse3',"
        " 'rcfs.simulator', 'hypercorn', 'PIL'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("shell", "first", "holds"),
    [
        ("bash", "# Install: rcfs completion bash > ", "_rcfs_completion"),
        ("zsh", "#compdef rcfs", "# Install: rcfs completion zsh > "),
        ("fish", "# Install: rcfs completion fish > ", "function _rcfs_completion"),
    ],
)
def test_completion(run: Callable[..., Result], shell: str, first: str, holds: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert result.stdout.startswith(first)
    assert holds in result.stdout
    assert "_RCFS_COMPLETE" in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_fault_of_clicks_scripts_is_mended(run: Callable[..., Result], shell: str) -> None:
    complete = get_completion_class(shell)
    assert complete is not None
    text = complete(click.Command("rcfs"), {}, "rcfs", "_RCFS_COMPLETE").source()
    script = run("completion", shell).stdout
    for fault, mended in _completion._MENDED[shell]:
        assert fault in text
        assert mended in script


def test_bash_splits_an_option_with_its_value(run: Callable[..., Result], tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "plain,$COMP_CWORD:"$COMP_WORDS\n')
    program.chmod(0o755)
    script = tmp_path / "script"
    script.write_text(
        run("completion", "bash").stdout
        + f'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rcfs_completion {program}\n'
        + "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    for words, asked in (
        (["rcfs", "pull", "--type", "=", "fax", "--in", "=", "re"], r"5:rcfs\ pull\ --type\ fax\ --in\ re"),
        (["rcfs", "pull", "--type", "="], r"3:rcfs\ pull\ --type\ ="),
    ):
        done = subprocess.run(["bash", script, *words], capture_output=True, text=True, check=True)
        assert done.stdout == f"{asked}\n"


def test_fish_completes_an_option_with_its_value(run: Callable[..., Result], tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    (tmp_path / "rcfs").write_text('#!/bin/sh\necho "plain,fax\tsent, or not"; echo "dir,/us"\n')
    (tmp_path / "rcfs").chmod(0o755)
    (tmp_path / "script").write_text(run("completion", "fish").stdout)
    code = f"source {tmp_path}/script; complete -C 'rcfs pull --to='"
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(["fish", "-N", "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert {"--to=fax\tsent, or not", "--to=/usr/\tDirectory"} <= set(done.stdout.splitlines())


def test_files_are_completed_where_the_help_says_so(run: Callable[..., Result]) -> None:
    for option, kind in (("--config", "file"), ("--cache-dir", "dir")):
        words = f"rcfs mount {option} /x"
        result = run(env={"_RCFS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "3"})
        assert result.output.split() == [f"{kind},/x"]


def test_what_bash_completes_is_quoted(run: Callable[..., Result], tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "plain,/mnt/my mail [1]"\n')
    program.chmod(0o755)
    script = tmp_path / "script"
    script.write_text(
        run("completion", "bash").stdout
        + f'COMP_WORDS=(rcfs umount "$1"); COMP_CWORD=2; _rcfs_completion {program}\n'
        + "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    for begun, completed in (("/m", r"/mnt/my\ mail\ \[1\]"), ("'/m", "/mnt/my mail [1]")):
        done = subprocess.run(["bash", script, begun], capture_output=True, text=True, check=True)
        assert done.stdout == f"{completed}\n"


def test_completing_a_mount(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = (
        Mount(Path("/mnt/rc"), "fuse.rcfs", owner=1000),
        Mount(Path("/mnt/of somebody else"), "fuse.rcfs", owner=1001),
        Mount(Path("/mnt/other"), "ext4"),
    )
    monkeypatch.setattr("rcfs.host.read_mounts", lambda: mounts)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for begun, found in (("", "plain,/mnt/rc"), ("/mn", "plain,/mnt/rc"), ("/x", "dir,/x")):
        words = f"rcfs umount {begun}"
        result = run(env={"_RCFS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "2"})
        assert result.output.split() == [found]


def test_every_summary_fits_its_line(run: Callable[..., Result]) -> None:
    for arguments in (["--help"], ["cache", "--help"], ["simulator", "--help"]):
        output = run(*arguments, env={"COLUMNS": "80"}).output
        lines = output.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
        # A summary that does not fit continues on a line without a command.
        assert all(re.fullmatch(r"  [a-z]+ +[A-Z][^.]+\.", line) for line in lines), lines


def test_completing_a_command(run: Callable[..., Result]) -> None:
    result = run(env={"_RCFS_COMPLETE": "bash_complete", "COMP_WORDS": "rcfs um", "COMP_CWORD": "1"})
    assert result.stdout == "plain,umount\n"


def test_completing_a_mount_point_touches_no_path(run: Callable[..., Result]) -> None:
    result = run(env={"_RCFS_COMPLETE": "bash_complete", "COMP_WORDS": "rcfs mount /m", "COMP_CWORD": "2"})
    assert result.stdout == "dir,/m\n"


@pytest.mark.parametrize("arguments", [("--version", "--verbose"), ("--verbose", "--version")])
def test_versions_for_a_bug_report(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"rcfs {__version__}"
    versions = dict(line.split(" ", 1) for line in lines)
    assert versions["pyfuse3"] == importlib.metadata.version("pyfuse3")
    assert re.fullmatch(r"3\.\d+\.\d+\S*", versions["libfuse"])
    assert versions["keyring"] != ""
    assert {"Python", "kernel", "system", "OpenSSL", "SQLite"} < set(versions)
    assert CliRunner().invoke(command, ["--version"]).output == f"rcfs {__version__}\n"
