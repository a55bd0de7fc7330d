"""The files outside of this installation that make ``mount -t fuse.rcfs``, fstab and sudo find rcfs."""

import os
import sys
from pathlib import Path

import attrs

from rcfs.errors import StoreError

_HELPER = Path(__file__).parent / "scripts" / "mount.fuse.rcfs"
_HELPER_MODE = 0o755


@attrs.frozen
class SystemFiles:
    """Two files of root's."""

    link: Path = Path("/usr/local/bin/rcfs")
    """A link to this program, where mount(8), sudo and /bin/sh look for it."""
    helper: Path = Path("/sbin/mount.fuse.rcfs")
    """The program that mount(8) runs for the type ``fuse.rcfs``."""
    program: Path = attrs.field(factory=lambda: Path(sys.prefix, "bin", "rcfs"))
    """This program."""

    def install(self) -> None:
        """Makes both; the link only if nothing is there.

        Raises:
            StoreError: They cannot be written, or another program has their place.
        """
        if not self.program.exists():
            raise StoreError(f"{self.program} does not exist; install rcfs with pip, pipx or uv")
        has_link = os.path.lexists(self.link)
        if has_link and self.link.resolve() != self.program.resolve():
            raise StoreError(f"{self.link} is another program; remove it, and run this again")
        if os.path.lexists(self.helper) and not self._is_our_helper():
            raise StoreError(f"{self.helper} is another program; remove it, and run this again")
        try:
            self.helper.write_bytes(_HELPER.read_bytes())
            self.helper.chmod(_HELPER_MODE)
            if not has_link:
                self.link.symlink_to(self.program)
        except OSError as exc:
            raise StoreError(f"{exc.filename} cannot be written: {exc.strerror}; run this as root") from exc

    def uninstall(self) -> bool:
        """Removes those that `install` made; returns whether there were any.

        Raises:
            StoreError: They cannot be removed.
        """
        found = []
        if self._is_our_helper():
            found.append(self.helper)
        if self.link.is_symlink() and self.link.readlink() == self.program:
            found.append(self.link)
        try:
            for path in found:
                path.unlink()
        except OSError as exc:
            raise StoreError(f"{exc.filename} cannot be removed: {exc.strerror}; run this as root") from exc
        return bool(found)

    def others(self) -> tuple[Path, ...]:
        """This program, or directories around it, where users other than root can change them."""
        real = self.program.resolve()
        return tuple(
            path for path in (real, *real.parents) if path.stat().st_uid or path.stat().st_mode & 0o022
        )

    def _is_our_helper(self) -> bool:
        try:
            return self.helper.read_bytes().startswith(_HELPER.read_bytes()[:60])
        except OSError:
            return False
