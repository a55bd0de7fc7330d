"""Mount options as mount(8) and /etc/fstab write them: ``-o allow_other,uid=jane,umask=022,ro``.

Each option of a command is such a word, with underscores for dashes. mount(8) and mount.fuse3 call the
program of a file system type as ``PROGRAM SOURCE MOUNTPOINT [-sfnv] -o WORDS``.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import click
from click.core import ParameterSource

from rcfs.config import did_you_mean

_IGNORED = """
rw defaults auto noauto user nouser users owner group nofail _netdev async sync dirsync atime noatime
relatime norelatime strictatime nostrictatime lazytime nolazytime diratime nodiratime iversion noiversion
silent loud suid nosuid dev nodev exec noexec default_permissions
"""
"""Words for mount(8), systemd or the kernel, and words for what rcfs does anyway. Source: mount(8)."""
_COMMENT = re.compile(r"(?:[xX]-.*|comment=.*|uhelper=.*|helper=.*)", re.DOTALL)
_FLAGS = re.compile(r"-[sfnvN]+")
"""Further flags of mount(8): sloppy, fake, no mtab, verbose, namespace."""
_NO_WORDS = (None, "words", "foreground", "keep", "as_json")
"""Options of the command itself, not of the mount."""
_SHORT = {"ro": "read_only", "subtype": "fs_subtype"}
"""Options that have another name in mount(8)."""


class MountCommand(click.Command):
    """A command that also takes its options after ``-o``. An option of its own wins over a word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the arguments, and the words after ``-o``."""
        rest = super().parse_args(ctx, args)
        words = _split(ctx.params.pop("words", None) or ())
        for position, word in enumerate(words):
            # The last of `ro` and `rw` wins. mount(8) always adds one, so `rw` does not override the file.
            if word != "ro" or "rw" not in words[position:]:
                self._take(ctx, word)
        return rest

    def _take(self, ctx: click.Context, word: str) -> None:
        if word in _IGNORED.split() or _COMMENT.fullmatch(word):
            return
        name, equals, text = word.partition("=")
        options = {
            option.name: option
            for option in self.params
            if isinstance(option, click.Option) and option.name not in _NO_WORDS
        }
        option = options.get(_SHORT.get(name, name))
        flag = True
        if option is None and name.startswith("no"):
            option, flag = options.get(name.removeprefix("no").removeprefix("_")), False
            if option is not None and not option.secondary_opts:
                option = None
        if option is None:
            hint = did_you_mean(name, map(str, options))
            raise click.UsageError(f"-o: unknown mount option '{name}'{hint}", ctx)
        if option.is_flag == bool(equals):
            needs = "takes no value" if option.is_flag else f"needs a value: {name}=…"
            raise click.UsageError(f"-o: {name} {needs}", ctx)
        key = str(option.name)
        if ctx.get_parameter_source(key) is ParameterSource.COMMANDLINE and not option.multiple:
            return
        value: Any = flag
        if not option.is_flag:
            try:
                value = option.type_cast_value(ctx, [text] if option.multiple else text)
            except click.BadParameter as exc:
                exc.param_hint = f"'-o {name}'"
                raise
            if option.multiple:
                value = (*(ctx.params.get(key) or ()), *value)
        ctx.params[key] = value


def as_mount_command(args: Sequence[str], commands: Iterable[str]) -> list[str] | None:
    """The arguments of `rcfs mount` for a call by mount(8); None if `args` are not such a call.

    A call by mount(8) has a source that is not in `commands`, then an absolute path, and ``-o``. For a dry
    run (``-f``) the list is empty.
    """
    if len(args) < 3 or args[0].startswith("-") or args[0] in commands or not args[1].startswith("/"):
        return None
    if "-o" not in args[2:]:
        return None
    flags = "".join(arg for arg in args[2:] if _FLAGS.fullmatch(arg))
    if "f" in flags:
        return []
    return ["mount", *(arg for arg in args[2:] if not _FLAGS.fullmatch(arg)), "--", args[1]]


def _split(texts: Iterable[str]) -> list[str]:
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]
