"""Adds the man pages and the completions of shells to the wheel; only setuptools loads this module.

pip and pipx install them below the prefix of the environment, where man(1) finds those of ~/.local and /usr.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import setuptools  # type: ignore[import-untyped]  # noqa: F401 - it brings distutils

from distutils.command.install_data import install_data  # isort: skip

_ROOT = Path(__file__).parents[2]
_COMPLETIONS = {
    "bash": "share/bash-completion/completions/rcfs",
    "zsh": "share/zsh/site-functions/_rcfs",
    "fish": "share/fish/vendor_completions.d/rcfs.fish",
}


class InstallData(install_data):
    """Installs files that are made from the help of the commands."""

    def run(self) -> None:
        """Makes the files and installs them; without click and attrs, the wheel gets none."""
        with TemporaryDirectory() as made:
            try:
                self.data_files = list(_made(Path(made)))
            except ImportError as exc:
                self.warn(f"no man pages, since {exc.name} is missing")
                self.data_files = []
            super().run()


def _made(directory: Path) -> Iterator[tuple[str, list[str]]]:
    sys.path.insert(0, str(_ROOT))
    from rcfs.cli._completion import script
    from rcfs.cli._manpages import write_pages

    write_pages(directory / "man")
    yield "share/man/man1", sorted(map(str, (directory / "man").iterdir()))
    for shell, place in _COMPLETIONS.items():
        path = directory / shell / Path(place).name
        path.parent.mkdir()
        path.write_text(script(shell) + "\n")
        yield str(Path(place).parent), [str(path)]
