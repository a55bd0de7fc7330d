"""Readers, and processes that are about to end, in a /proc that the test makes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rcfs.files import Reader
from rcfs.fuse._processes import Process
from rcfs.quota import Opener

STATUS = (
    "Name:\tcat\nState:\t{state} (x)\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}\n"
)


@pytest.fixture
def proc(tmp_path: Path) -> "Proc":
    return Proc(tmp_path)


class Proc:
    """A /proc with processes that the test starts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(
        self,
        pid: int,
        name: str,
        parent: int = 0,
        *,
        group: int | None = None,
        session: int = 1,
        terminal: int = 0,
        foreground: int = -1,
        user: int = 1000,
    ) -> int:
        """A process; its group is its own unless told otherwise."""
        folder = self.path / str(pid)
        folder.mkdir()
        (folder / "status").write_text(f"Name:\t{name}\nTgid:\t{pid}\nPid:\t{pid}\nUid:\t{user}\t0\t0\t0\n")
        numbers = [parent, pid if group is None else group, session, terminal, foreground, *[0] * 13, 7 * pid]
        (folder / "stat").write_text(f"{pid} ({name}) S {' '.join(map(str, numbers))} 0 0")
        return pid

    def thread(self, tid: int, name: str, of: int) -> None:
        """A thread of a process."""
        folder = self.path / str(tid)
        folder.mkdir()
        (folder / "status").write_text(f"Name:\t{name}\nTgid:\t{of}\nPid:\t{tid}\nUid:\t1000\t0\t0\t0\n")

    def reader(self, pid: int) -> Reader:
        return Process(pid, self.path).reader()


def test_a_reader_is_a_process_and_those_above_it(proc: Proc) -> None:
    proc.start(1, "init")
    proc.start(10, "sh", 1)
    proc.start(11, "find", 10, group=10)
    proc.start(12, "cat", 11, group=10, session=9)
    assert proc.reader(12) == Reader(
        "cat",
        Opener(
            ((12, 84), ((11, 77), "cat", "1000"), ((10, 70), "cat", "1000"), ((1, 7), "cat", "1000")),
            9,
            "1000",
        ),
        "cat",
        "",
        ((12, 84), (11, 77), (10, 70), (1, 7)),
    )


def test_a_thread_is_known_by_its_program(proc: Proc) -> None:
    proc.start(20, "tumblerd")
    proc.thread(21, "pool-tumblerd", of=20)
    assert (proc.reader(21).name, proc.reader(21).thread) == ("tumblerd", "pool-tumblerd")
    assert proc.reader(21).opener == proc.reader(20).opener


def test_all_threads_of_a_program_are_one_process(proc: Proc) -> None:
    proc.start(1, "Thunar")
    proc.thread(2, "pool", of=1)
    assert [Process(number, proc.path).process() for number in (1, 2, 3)] == [1, 1, 0]
    assert Process(os.getpid()).process() == os.getpid()


def test_the_line_ends_below_an_interactive_shell(proc: Proc) -> None:
    proc.start(30, "bash", 0, session=30, terminal=5, foreground=31)
    proc.start(31, "cat", 30, session=30, terminal=5, foreground=31)
    assert len(proc.reader(31).opener.jobs) == 1
    proc.start(32, "cat", 30, session=30, terminal=5, foreground=31)
    assert len(proc.reader(32).opener.jobs) == 1, "in the background, too"


def test_a_shell_started_by_su_is_interactive(proc: Proc) -> None:
    proc.start(40, "bash", 0, session=40, terminal=5, foreground=42)
    proc.start(41, "bash", 40, session=40, terminal=5, foreground=42)
    proc.start(42, "cat", 41, session=40, terminal=5, foreground=42)
    assert len(proc.reader(42).opener.jobs) == 1


@pytest.mark.parametrize("runner", ["parallel", "timeout"])
def test_a_group_of_its_own_is_not_enough_to_be_a_persons_command(proc: Proc, runner: str) -> None:
    proc.start(50, "bash", 0, session=50, terminal=5, foreground=51)
    proc.start(51, "script", 50, session=50, terminal=5, foreground=51)
    proc.start(
        52, runner, 51, group=51 if runner == "parallel" else 52, session=50, terminal=5, foreground=51
    )
    proc.start(53, "cat", 52, group=53 if runner == "parallel" else 52, session=50, terminal=5, foreground=51)
    above = proc.reader(53).opener.jobs[1:]
    assert [job[0][0] for job in above if isinstance(job, tuple)] == [52, 51]


def test_odd_names_and_processes_that_are_gone(proc: Proc) -> None:
    proc.start(60, "odd) S 1 2 (")
    assert proc.reader(60).name == "odd) S 1 2 ("
    proc.start(63, "a\x1b[31m")
    assert proc.reader(63).name == "a [31m", "it is shown in terminals"
    assert proc.reader(99) == proc.reader(0) == Reader("", Opener(("unknown",), "unknown", "unknown"))
    proc.start(61, "cat", 98)
    assert len(proc.reader(61).opener.jobs) == 1, "its parent has just ended"


def test_a_line_without_an_end_is_cut(proc: Proc) -> None:
    for pid in range(100, 200):
        proc.start(pid, "sh", pid - 1)
    assert len(proc.reader(199).opener.jobs) == 17


def test_this_very_process() -> None:
    reader = Process(os.getpid()).reader()
    assert reader == Process(os.getpid()).reader()
    assert reader.opener.session == os.getsid(0)
    assert reader.opener.user == str(os.getuid())


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Path]:
    """Makes a /proc in which process 7 is as described."""

    def make(state: str = "S", own: int = 0, shared: int = 0, blocked: int = 0) -> Path:
        (tmp_path / "7").mkdir(exist_ok=True)
        text = STATUS.format(state=state, own=own, shared=shared, blocked=blocked)
        (tmp_path / "7" / "status").write_text(text)
        return tmp_path

    return make


def signal_bit(number: int) -> int:
    return 1 << (number - 1)


@pytest.mark.parametrize("number", [1, 2, 3, 9, 15])
def test_an_ending_signal_counts_wherever_it_is_pending(process: Callable[..., Path], number: int) -> None:
    assert Process(7, process(own=signal_bit(number))).is_ending()
    assert Process(7, process(shared=signal_bit(number))).is_ending()


@pytest.mark.parametrize("number", [10, 17, 18, 28])
def test_other_signals_do_not_count(process: Callable[..., Path], number: int) -> None:
    assert not Process(7, process(own=signal_bit(number), shared=signal_bit(number))).is_ending()


def test_a_blocked_signal_does_not_count(process: Callable[..., Path]) -> None:
    assert not Process(7, process(shared=signal_bit(15), blocked=signal_bit(15))).is_ending()
    assert Process(7, process(shared=signal_bit(15) | signal_bit(9), blocked=signal_bit(15))).is_ending()


def test_a_process_that_is_gone_or_dead_is_ending(process: Callable[..., Path], tmp_path: Path) -> None:
    assert Process(8, tmp_path).is_ending()
    assert Process(7, process(state="Z")).is_ending()


def test_a_process_of_another_namespace_is_not(tmp_path: Path) -> None:
    assert not Process(0, tmp_path).is_ending()


def test_this_process_is_not_ending() -> None:
    assert not Process(os.getpid()).is_ending()


@pytest.mark.parametrize("name", ["kioworker", "kioslave5"])
def test_a_program_for_plug_ins_is_known_by_its_plug_in(proc: Proc, name: str) -> None:
    for pid, plugin in enumerate(("thumbnail.so", "kio_file.so", ""), start=5):
        proc.start(pid, name)
        arguments = ("/usr/libexec/" + name, f"/usr/lib/kio/{plugin}", "x", "") if plugin else (name, "")
        (proc.path / str(pid) / "cmdline").write_text("\0".join(arguments))
        assert (proc.reader(pid).name, proc.reader(pid).plugin) == (name, plugin)
