"""The man pages of rcfs, made from the help of its commands; ``python -m rcfs.cli._manpages DIRECTORY``.

One page for each command, as git has them: rcfs.1, rcfs-mount.1, rcfs-service-install.1. The language is
man(7); `mandoc -T lint` finds nothing wrong with it. click-man, which does the same, knows no commands that
are loaded late, no examples and no verbatim paragraphs, and cuts summaries.
"""

import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from rcfs import __version__, errors
from rcfs.cli._main import rcfs

_ESCAPES = {"\\": r"\e", "-": r"\-", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "'": r"\(aq", "…": "..."}
_UNCUT = 1000
"""Number of characters from which click would cut a summary."""
_WIDTH = 78
"""Length of a line of the source; mandoc dislikes longer ones."""
_VERBATIM = "\b"
"""The first line of a paragraph of a click help that stays as it is."""
_FILES = (
    ("~/.config/rcfs/config.toml", "The settings."),
    ("~/.cache/rcfs", "Fetched files."),
    ("~/.local/state/rcfs", "The index, the quota, the outbox, the logs."),
)


def write_pages(directory: Path) -> None:
    """Writes all pages into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in pages(click.Context(rcfs, info_name="rcfs", **rcfs.context_settings)):
        (directory / f"{name}.1").write_text(page, encoding="ascii")


def pages(context: click.Context) -> Iterator[tuple[str, str]]:
    """(name, text) of the page of the command of `context`, and of each below it."""
    yield context.command_path.replace(" ", "-"), page_of(context)
    for command in _commands(context):
        yield from pages(click.Context(command, info_name=command.name, parent=context))


def page_of(context: click.Context) -> str:
    """The page of the command of `context`."""
    command, path = context.command, context.command_path
    name = path.replace(" ", "-")
    usage = " ".join(command.collect_usage_pieces(context))
    made = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    date = time.strftime("%Y-%m-%d", made)
    lines = [f'.TH "{name.upper()}" "1" "{date}" "rcfs {__version__}" "rcfs"', ".SH NAME"]
    lines += [f"{_escaped(name)} \\- {_escaped(_summary(command))}"]
    lines += [".SH SYNOPSIS", f"\\fB{_escaped(path)}\\fP {_escaped(usage)}"]
    lines += [".SH DESCRIPTION", *_paragraphs(command.help or "")]
    options = (one for one in command.get_params(context) if isinstance(one, click.Option))
    records = [record for one in options if (record := one.get_help_record(context))]
    lines += [".SH OPTIONS", *_terms(records)]
    commands = list(_commands(context))
    if commands:
        lines += [".SH COMMANDS", *_terms((f"{name}-{one.name}(1)", _summary(one)) for one in commands)]
    for title, text in _sections(command.epilog or ""):
        lines += [f".SH {title.upper()}", *_paragraphs(text)]
    if context.parent is None:
        lines += [".SH EXIT STATUS", *_terms(_exit_codes()), ".SH FILES", *_terms(_FILES)]
    else:
        parent = context.parent.command_path.replace(" ", "-")
        lines += [".SH SEE ALSO", f"\\fB{_escaped(parent)}\\fP(1)"]
    return "\n".join(lines) + "\n"


def _commands(context: click.Context) -> Iterator[click.Command]:
    """The commands below that of `context`."""
    group = context.command
    if isinstance(group, click.Group):
        found = (group.get_command(context, name) for name in group.list_commands(context))
        yield from (command for command in found if command is not None and not command.hidden)


def _summary(command: click.Command) -> str:
    return command.get_short_help_str(_UNCUT).rstrip(".")


def _exit_codes() -> Iterator[tuple[str, str]]:
    """The exit codes, each with the first line about the first error that has it."""
    yield "0", "Done."
    codes: dict[int, str] = {}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.RcfsError) and error is not errors.RcfsError:
            codes.setdefault(error.exit_code, (error.__doc__ or "").partition("\n")[0])
    codes[1] = "An unexpected error, or a check found a problem."
    for code in sorted(codes):
        yield str(code), codes[code]


def _sections(epilog: str) -> Iterator[tuple[str, str]]:
    """(title, text) of each part of `epilog`, whose first line is its title with a colon."""
    for paragraph in epilog.split("\n\n"):
        title, _, text = paragraph.removeprefix(f"{_VERBATIM}\n").partition(":\n")
        if text:
            yield title, f"{_VERBATIM}\n{text}"


def _paragraphs(text: str) -> Iterator[str]:
    """`text`, paragraphs that begin with `_VERBATIM` as they are, the others filled by man(1)."""
    for number, paragraph in enumerate(text.strip("\n").split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.startswith(_VERBATIM):
            yield from (".nf", *map(_escaped, paragraph.splitlines()[1:]), ".fi")
        else:
            yield from _filled(paragraph)


def _terms(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in rows:
        yield from (".TP", f"\\fB{_escaped(term)}\\fP", *_filled(text))


def _filled(text: str) -> Iterator[str]:
    """`text` in lines that are short in the source, too."""
    for line in textwrap.wrap(_escaped(text), _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield _begun(line)


def _escaped(text: str) -> str:
    """`text` for man(7), where no character in it has a meaning; words in backticks are bold."""
    parts = re.split(r"`([^`]+)`", text)
    plain = ["".join(map(_escaped_character, part)) for part in parts]
    return _begun("".join(rf"\fB{part}\fP" if number % 2 else part for number, part in enumerate(plain)))


def _begun(line: str) -> str:
    """`line`, which is not a request of man(7) if it begins with a dot."""
    return rf"\&{line}" if line.startswith(".") else line


def _escaped_character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isascii() else f"\\[u{ord(character):04X}]"


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
