"""A clock that all processes of a machine share, the boot that it counts from, and which processes live."""

import os
import time
from pathlib import Path
from typing import Protocol

import attrs

from rcfs.procfs import start_time


class Machine(Protocol):
    """The machine as a shared ledger needs it; tests have one of their own."""

    @property
    def boot(self) -> str:
        """An id of the present boot."""
        ...

    @property
    def owner(self) -> str:
        """A name that only this process has."""
        ...

    def clock_s(self) -> float:
        """Seconds since the boot, suspended time included; the same in all processes; never goes back."""
        ...

    def wall_s(self) -> float:
        """Seconds since 1970 UTC by the machine's clock, which may be set at any moment."""
        ...

    def is_alive(self, owner: str) -> bool:
        """Whether the process `owner` of this boot still runs; True if that cannot be found out."""
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
        return cls(boot, f"{pid}.{start_time(pid)}.{_pid_namespace()}")

    def clock_s(self) -> float:
        """See `Machine.clock_s`."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_s(self) -> float:
        """See `Machine.wall_s`."""
        return time.time()

    def is_alive(self, owner: str) -> bool:
        """See `Machine.is_alive`: a process in another pid namespace cannot be seen, so it may be alive."""
        pid, start, namespace = owner.split(".")
        return int(namespace) != _pid_namespace() or start_time(int(pid)) == int(start)


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino
