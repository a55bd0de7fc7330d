"""`rcfs completion`: the completion scripts of click, with two faults mended."""

import click
from click.shell_completion import get_completion_class

from rcfs.cli._options import examples
from rcfs.cli._output import say

_INSTALL = {
    "bash": "rcfs completion bash > ~/.local/share/bash-completion/completions/rcfs",
    "zsh": "rcfs completion zsh > ~/.zfunc/_rcfs   (with ~/.zfunc in fpath)",
    "fish": "rcfs completion fish > ~/.config/fish/completions/rcfs.fish",
}


_FISH_SPLIT = 'string split "," $completion'
"""Click's script for fish splits an answer at every comma, so a name with a comma is cut off."""
_BASH_TAKEN = "COMPREPLY+=($value)"
_BASH_QUOTED = """\
[[ ${COMP_WORDS[COMP_CWORD]} == [\\'\\"]* ]] || printf -v value %q "$value"
            COMPREPLY+=("$value")"""
"""Click's script for bash does not quote an answer, so the shell splits a name at its spaces."""


@click.command("completion", epilog=examples(*_INSTALL.values()))
@click.argument("shell", type=click.Choice(tuple(_INSTALL)))
def completion(shell: str) -> None:
    """Print a script that completes rcfs commands in your shell."""
    say(script(shell))


def script(shell: str) -> str:
    """The completion script for ``bash``, ``zsh`` or ``fish``, without its last newline."""
    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101 - the choices are shells that click knows
    # The script asks the command for completions, so it is the same for any command.
    text = complete(click.Command("rcfs"), {}, "rcfs", "_RCFS_COMPLETE").source().strip()
    if shell == "fish":
        text = text.replace(_FISH_SPLIT, 'string split --max 1 "," $completion')
    text = text.replace(_BASH_TAKEN, _BASH_QUOTED)
    first, _, rest = text.partition("\n")
    note = f"# Install: {_INSTALL[shell]}"
    # zsh reads from the first line of the file which command it completes.
    return f"{first}\n{note}\n{rest}" if first.startswith("#compdef") else f"{note}\n{text}"
