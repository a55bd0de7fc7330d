"""Detaches a mount at an automount point when its process dies, so that the next access mounts again.

Elsewhere a dead mount stays, and answers ENOTCONN, because an empty directory would make a mirror delete its
copy. At an automount point nobody sees the empty directory.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCRIPT = """
read -r word
[ -z "$word" ] || exit 0
while read -r _source place kind _rest; do
    [ "$place" != "$2" ] || last=$kind
done <"$3"
case $last in
    fuse*) exec fusermount3 -u -z -q -- "$1" ;;
esac
"""
"""Waits for a word, or for the end of the process that could write one, and looks for its mount: for root,
fusermount3 would detach the automount point, too."""
_ESCAPES = str.maketrans({letter: f"\\{ord(letter):03o}" for letter in " \t\n\\"})
"""How the kernel writes paths in its list of mounts. Source: proc(5), fstab(5)."""


@contextmanager
def detached_at_death(mountpoint: Path, mounts: Path = Path("/proc/self/mounts")) -> Iterator[None]:
    """A block at whose end by an error, or by the death of this process, a mount at `mountpoint` is detached.

    Another process does that, a shell in the process group of this one. It finds the mount in the list
    `mounts`; the automount point below it stays.
    """
    place = str(mountpoint).translate(_ESCAPES)
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _SCRIPT, "sh", str(mountpoint), place, str(mounts)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    assert guard.stdin is not None  # noqa: S101 - it was asked for
    word = b""
    try:
        yield
        word = b"ended\n"
    finally:
        guard.communicate(word)
