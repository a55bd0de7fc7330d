"""The options that choose messages and calls: the same in `pull` and `search`."""

from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from rcfs.cli._filter_options import filter_arguments, filter_options
from rcfs.cli._main import rcfs
from rcfs.model import Filter

Run = Callable[..., Result]
OPTIONS = [
    "--type",
    "--since",
    "--until",
    "--direction",
    "--unread",
    "--with",
    "--conversation",
    "--trash",
    "--min-duration",
]


def options_of(name: str) -> Iterator[tuple[str, str | None]]:
    """The filter options of a command, with their help."""
    with click.Context(rcfs) as context:
        command = rcfs.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.opts[0] in OPTIONS:
                yield parameter.opts[0], parameter.help


def test_both_commands_have_the_same_options_in_the_same_words() -> None:
    found = list(options_of("pull"))
    assert [name for name, _help in found] == OPTIONS
    assert found == list(options_of("search"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--type", "mms", "--type", "calls"], {"types": frozenset({"mms", "calls"})}),
        (
            ["--since", "2026-11-01", "--until", "2026-12-01"],
            {"since_s": 1_793_491_200.0, "until_s": 1_796_083_200.0},
        ),
        (["--direction", "in"], {"direction": "Inbound"}),
        (["--direction", "out", "--unread"], {"direction": "Outbound", "unread": True}),
        (["--with", "Bob Ray", "--conversation", "77"], {"party": "Bob Ray", "conversation_id": "77"}),
        (["--trash"], {"trash": True}),
        (["--min-duration", "1h30m"], {"min_duration_s": 5400.0}),
        (["--min-duration", "90"], {"min_duration_s": 90.0}),
        (["--min-duration", "2m5s"], {"min_duration_s": 125.0}),
    ],
)
def test_the_choice(arguments: list[str], expected: dict[str, Any]) -> None:
    taken: list[Filter] = []

    @click.command()
    @filter_options
    def command(wanted: Filter) -> None:
        taken.append(wanted)

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert taken == [Filter(**expected)]
    assert CliRunner().invoke(command, filter_arguments(taken[0])).exit_code == 0
    assert taken[1] == taken[0], "the arguments of a choice make the same choice"


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("command", [["pull"], ["search", "x"]], ids=["pull", "search"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--type", "letter"], "'letter' is not one of"),
        (["--until", "soon"], "'soon' is not a date"),
        (["--direction", "up"], "'up' is not one of"),
        (["--with", "+-"], "write a number or a part of a name"),
        (["--conversation", "x7"], "'x7' is not the id of a conversation"),
        (["--min-duration", "long"], "'long' is not a length of time"),
        (["--min-duration", ""], "is not a length of time"),
        (["--since", "1d", "--until", "2d"], "--since is not before --until"),
        (["--since", "1d", "--until", "1d"], "--since is not before --until"),
        (["--until", "24h", "--since", "1d"], "--since is not before --until"),
        (["--type", "recording", "--unread"], "--type recording has nothing that fits the other conditions"),
        (["--type", "greeting", "--since", "7d"], "--type greeting has nothing"),
        (["--min-duration", "1", "--conversation", "7"], "nothing can fit all of these conditions"),
    ],
)
def test_wrong_values_are_refused(run: Run, command: list[str], arguments: list[str], message: str) -> None:
    result = run(*command, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())
