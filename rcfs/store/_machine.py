"""What processes of one machine can agree on: a clock, the boot that it counts from, and each other."""

import os
import time
from pathlib import Path
from typing import Protocol

import attrs


class Machine(Protocol):
    """The machine as a shared ledger needs it; tests have one of their own."""

    @property
    def boot(self) -> str:
        """Differs between any two boots."""
        ...

    @property
    def owner(self) -> str:
        """The name of this process, which no other has."""
        ...

    def clock_s(self) -> float:
        """Seconds since the boot, suspended time included; equal in all processes, and never going back."""
        ...

    def wall_s(self) -> float:
        """Seconds since 1970 UTC, as the machine believes; it may be set to anything at any moment."""
        ...

    def is_alive(self, owner: str) -> bool:
        """Whether the process `owner` of this boot still runs; True when that cannot be told."""
        ...


@attrs.frozen
class LinuxMachine(Machine):
    """This machine."""

    boot: str
    """See `Machine.boot`: the kernel's random boot id."""
    owner: str
    """See `Machine.owner`: pid, start time in clock ticks since boot, and pid namespace."""

    @classmethod
    def here(cls) -> "LinuxMachine":
        """The machine and process in which this is called.

        Raises:
            OSError: /proc is not there.
        """
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        pid = os.getpid()
        return cls(boot, f"{pid}.{_start_time(pid)}.{_pid_namespace()}")

    def clock_s(self) -> float:
        """See `Machine.clock_s`."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_s(self) -> float:
        """See `Machine.wall_s`."""
        return time.time()

    def is_alive(self, owner: str) -> bool:
        """See `Machine.is_alive`: a process in another pid namespace cannot be seen, so it may be alive."""
        pid, start, namespace = owner.split(".")
        return int(namespace) != _pid_namespace() or _start_time(int(pid)) == int(start)


def _start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None when it is gone or a zombie. Source: proc(5)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the command name before it may hold anything
    return None if fields[0] in ("Z", "X") else int(fields[19])


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino
