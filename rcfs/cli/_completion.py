"""`rcfs completion`: the completion scripts of click, with their faults mended."""

from collections.abc import Mapping

import click
from click.shell_completion import get_completion_class

from rcfs.cli._options import examples
from rcfs.cli._output import say

_INSTALL = {
    "bash": "rcfs completion bash > ~/.local/share/bash-completion/completions/rcfs",
    "zsh": "rcfs completion zsh > ~/.zfunc/_rcfs   (with ~/.zfunc in fpath)",
    "fish": "rcfs completion fish > ~/.config/fish/completions/rcfs.fish",
}


_MENDED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "bash": (
        # bash splits --type=fax into three words, and click takes the second one for the value.
        (
            """\
    response=$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD""",
            """\
    local words=() cword=$COMP_CWORD number
    for ((number = 0; number <= COMP_CWORD; number++)); do
        if [[ ${COMP_WORDS[number]} == = && $number -lt $COMP_CWORD ]]; then
            ((cword--))
        else
            words+=("${COMP_WORDS[number]}")
        fi
    done

    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$cword""",
        ),
        # An answer is not quoted, so the shell splits a name at its spaces.
        (
            "COMPREPLY+=($value)",
            """\
[[ ${COMP_WORDS[COMP_CWORD]} == [\\'\\"]* ]] || printf -v value %q "$value"
            COMPREPLY+=("$value")""",
        ),
    ),
    "zsh": (
        # An answer replaces the whole word --type=f, not what follows the "=".
        (
            "    for type key descr in ${response}; do",
            "    compset -P '--*='\n    for type key descr in ${response}; do",
        ),
        ("completions_with_descriptions -U", 'completions_with_descriptions -U -i "$IPREFIX"'),
        ("compadd -U", 'compadd -U -i "$IPREFIX"'),
    ),
    "fish": (
        # An answer is split at every comma, so a name with a comma is cut off.
        ('string split "," $completion', 'string split --max 1 "," $completion'),
        # fish completes the whole word --type=f, and the answers lack what stands before the "=".
        (
            "    for completion in $response;",
            """\
    set -l option (string match --regex -- '^--[^=]+=' (commandline -t));
    for completion in $response;""",
        ),
        *(
            (f"{command} $metadata[2];", f'{command} $metadata[2] | string replace -r "^" -- "$option";')
            for command in ("__fish_complete_directories", "__fish_complete_path", "echo")
        ),
    ),
}
"""The faults in the scripts of click, each with its mend; seen in click 8.5."""


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
    for fault, mended in _MENDED[shell]:
        text = text.replace(fault, mended)
    first, _, rest = text.partition("\n")
    note = f"# Install: {_INSTALL[shell]}"
    # zsh reads from the first line of the file which command it completes.
    return f"{first}\n{note}\n{rest}" if first.startswith("#compdef") else f"{note}\n{text}"
