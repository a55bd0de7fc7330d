"""The texts of systemd units that run rcfs for a user: a mount, and a pull at a time of the day.

fusermount3 is setuid root, so it runs before and after the process of the mount, without the filters.
Source: systemd.exec(5), systemd.service(5), systemd.timer(5).
"""

import re
from collections.abc import Sequence
from pathlib import Path

MARK = "# `rcfs service install` wrote this file; `rcfs service uninstall` removes it."
"""First line of each unit that rcfs wrote."""

TIMES = {"daily": "*-*-* 02:00:00", "weekly": "Sun *-*-* 02:00:00"}
"""When a pull starts, in the words of systemd.time(7), by how often."""

_PLAIN = re.compile(r"[A-Za-z0-9_./:@,+=-]+")
"""Words of a command line that mean themselves."""

_WATCHDOG_S = 120
"""Seconds without a report after which systemd replaces a mount; a machine that swaps may need 30."""

_FILTERS = """\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""
"""All that the systemd of a user can take from a process without a user namespace."""

_MOUNT = """\
{mark}
[Unit]
Description=RingCentral account at {place}
# systemd never gives up: the network, a disk or a keyring may come later.
StartLimitIntervalSec=0

[Service]
Type=notify
# "+" runs without the filters below, under which the setuid program fusermount3 could not mount. systemd
# keeps the mount for the main process. Should that fail, the main process says why.
ExecStartPre=-+{keep}
ExecStart={command}
# Whatever happened to the main process: a mount that systemd still keeps would hang.
ExecStopPost=-+systemd-notify FDSTOREREMOVE=1 FDNAME=mount
# Only after an orderly end: else the mount stays, and fails, because an empty directory would make a mirror
# delete its copy.
ExecStopPost=-+/bin/sh -c '[ $$SERVICE_RESULT = success ] && exec fusermount3 -uzq -- "$$0"' {mountpoint}
NotifyAccess=exec
FileDescriptorStoreMax=1
SyslogIdentifier=rcfs
Restart=on-failure
RestartSec=10
# Except after a refused login (3), which would be refused again, and without FUSE (5).
RestartPreventExitStatus=3 5
TimeoutStartSec=120
WatchdogSec={watchdog_s}
UMask=0077
LimitCORE=0
{filters}# PrivateTmp=, PrivateDevices=, ProtectHome=, ProtectSystem=, ProtectProc= and ProtectKernel*= need a
# user namespace, which some machines forbid. Only root can restrict capabilities, devices and IP addresses.

[Install]
WantedBy=default.target
"""

_PULL = """\
{mark}
[Unit]
Description=Copy of the RingCentral account in {place}

[Service]
Type=oneshot
ExecStart={command}
SyslogIdentifier=rcfs
Nice=10
IOSchedulingClass=idle
UMask=0077
LimitCORE=0
{filters}"""

_TIMER = """\
{mark}
[Unit]
Description=Copy of the RingCentral account in {place}, {often}

[Timer]
OnCalendar={when}
# Not all machines at the same second; and after a night without power as soon as the machine runs.
RandomizedDelaySec=30min
Persistent=yes

[Install]
WantedBy=timers.target
"""


def mount_unit(program: Sequence[str], words: Sequence[str], place: str) -> str:
    """The text of a service that mounts at `place`.

    Args:
        program: The command line that runs rcfs.
        words: The arguments of `rcfs mount`, `place` among them.
        place: The mount point, without a link as its last part.
    """
    return _MOUNT.format(
        mark=MARK,
        place=_specified(place),
        keep=_command_line([*program, "mount", "--keep", *words]),
        command=_command_line([*program, "mount", "--foreground", *words]),
        mountpoint=_command_line([place]),
        watchdog_s=_WATCHDOG_S,
        filters=_FILTERS,
    )


def pull_units(command: Sequence[str], place: str, often: str) -> tuple[str, str]:
    """The texts of a service that runs `command`, a `rcfs pull`, and of its timer, `often` as in `TIMES`."""
    name = _specified(place)
    return (
        _PULL.format(mark=MARK, place=name, command=_command_line(command), filters=_FILTERS),
        _TIMER.format(mark=MARK, place=name, often=often, when=TIMES[often]),
    )


def unit_name(path: Path, prefix: str = "rcfs-mount") -> str:
    """The name of the unit for the absolute `path`, without its type, such as ``rcfs-mount-home-jane``.

    Source: "String Escaping for Inclusion in Unit Names" of systemd.unit(5).
    """

    def escaped(part: str) -> str:
        return "".join(
            chr(byte) if re.match(r"[A-Za-z0-9:_.]", chr(byte)) else f"\\x{byte:02x}"
            for byte in part.encode(errors="surrogateescape")
        )

    parts = [escaped(part) for part in path.parts[1:]]
    if parts and parts[0].startswith("."):
        parts[0] = f"\\x2e{parts[0][1:]}"
    return "-".join([prefix, *parts])


def _command_line(words: Sequence[str]) -> str:
    """`words` as ``ExecStart=`` takes them: no variable, specifier or quote in them has a meaning."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    text = _specified(word).replace("$", "$$")
    if _PLAIN.fullmatch(word):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _specified(text: str) -> str:
    """`text` without specifiers of systemd.unit(5)."""
    return text.replace("%", "%%")
