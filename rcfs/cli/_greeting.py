"""`rcfs greeting`: uploads greetings of the user and of the company, and IVR prompts."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rcfs._interrupt import loading
from rcfs.cli._options import SummarisingGroup, engine_options, examples
from rcfs.cli._output import say
from rcfs.cli._treepaths import read_mounted
from rcfs.errors import ConfigError

if TYPE_CHECKING:
    import trio

    from rcfs.engine import Engine
    from rcfs.outbox import Uploads

_FILE = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))


@click.group(
    "greeting",
    cls=SummarisingGroup,
    epilog=examples(
        "rcfs greeting set 'Business hours' hello.mp3",
        "rcfs greeting set 'After hours' closed.wav --type Unavailable",
        "rcfs greeting set --company 'Business hours' welcome.mp3",
        "rcfs greeting add-prompt menu.wav --name 'Main menu'",
    ),
)
def greeting() -> None:
    """Upload greetings and prompts, WAV or MP3.

    In a mount with --read-write, a file that you copy into the directory of a rule, or into IVR Prompts, is
    uploaded, too. It is a Voicemail greeting, or one of the company, unless it is called after another type,
    such as Unavailable.mp3.
    """


@greeting.command("set")
@click.argument("rule", metavar="RULE")
@_FILE
@click.option(
    "--type", "kind", metavar="TYPE", help="Set this greeting of RULE.  [default: Voicemail, Company]"
)
@click.option("--company", is_flag=True, help="Set a greeting of the company, for administrators.")
@engine_options
def set_command(rule: str, file: Path, kind: str | None, *, company: bool, **options: Any) -> None:
    """Let the answering rule RULE play FILE.

    The directories in Greetings are called after the rules. Only another upload brings the former greeting
    back, so copy it before.
    """

    async def work(uploads: "Uploads") -> str:
        return await uploads.set_greeting(
            rule, kind or ("Company" if company else "Voicemail"), file, company=company
        )

    say(f"greeting {_run(options, work)} is set")


@greeting.command("add-prompt")
@_FILE
@click.option(
    "--name", default="", help="Call the prompt NAME.  [default: the name of the file]", metavar="NAME"
)
@engine_options
def add_prompt(file: Path, name: str, **options: Any) -> None:
    """Add FILE to the company's IVR prompts, for administrators."""

    async def work(uploads: "Uploads") -> str:
        return await uploads.add_prompt(name, file)

    say(f"prompt {_run(options, work)} is added")


def _run(options: Mapping[str, Any], work: Callable[["Uploads"], Awaitable[str]]) -> str:
    """The result of `work`, in an engine of its own."""
    with loading():
        from rcfs.cli._engine_run import run_engine
        from rcfs.outbox import Uploads

    async def upload(engine: "Engine", _nursery: "trio.Nursery") -> str:
        try:
            return await work(Uploads(engine.account, engine.requester))
        except ValueError as exc:
            raise ConfigError(str(exc)) from exc

    settings = read_mounted(options)
    return run_engine(
        settings,
        settings.files.change_log,
        upload,
        on_interrupt=lambda: "interrupted; the file may have been uploaded: look at the greetings",
    )
