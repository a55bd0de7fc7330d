"""`rcfs simulator`: a RingCentral platform on loopback, with an account made from a seed."""

import importlib.util
import json
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import click
from click.core import ParameterSource

from rcfs.cli._options import SummarisingGroup, examples, json_option, limit_option
from rcfs.cli._output import say
from rcfs.cli._simulator_fault import fault
from rcfs.cli._simulator_journal import print_journal
from rcfs.config import read_limits
from rcfs.errors import ConfigError

if TYPE_CHECKING:
    from rcfs.simulator import Endpoints

_DEMO_MODULES = ("hypercorn", "starlette", "PIL", "reportlab")


def require_demo_extra() -> None:
    """Returns if the packages are installed that the simulator needs.

    Raises:
        ConfigError: One is missing; says how to install them.
    """
    for name in _DEMO_MODULES:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"the simulator needs the package {name}: pip install 'rcfs[demo]'")


def _whole(flag: str, description: str, *, least: int = 0, most: int | None = None) -> Callable[[Any], Any]:
    """An option that takes a whole number from `least` to `most`."""
    return click.option(flag, type=click.IntRange(least, most), metavar="N", help=description)


def _seconds(flag: str, field: str, description: str, *, zero: bool = False) -> Callable[[Any], Any]:
    """An option that takes a number of seconds, above 0 unless `zero` is well."""
    kind = click.FloatRange(min=0, min_open=not zero)
    return click.option(flag, field, type=kind, metavar="SECONDS", help=description)


def _names(flag: str, field: str, metavar: str, description: str) -> Callable[[Any], Any]:
    """An option that may be given several times."""
    text = f"{description} Repeatable."
    return click.option(flag, field, multiple=True, metavar=metavar, help=text)


def _flag(flag: str, description: str) -> Callable[[Any], Any]:
    """An option that is there or not."""
    return click.option(flag, is_flag=True, help=description)


messages_option = _whole("--messages", "Number of messages in the account.")
seed_option = click.option(
    "--seed", type=int, metavar="N", help="What the account is made from; equal seeds, equal accounts."
)


@click.group(
    "simulator",
    cls=SummarisingGroup,
    invoke_without_command=True,
    subcommand_metavar="[fault URL ...]",
    epilog=examples(
        "rcfs simulator                              prints the variables that `rcfs mount` needs",
        "rcfs simulator --messages 100 --limit medium=4 --limit heavy=2/10/10",
        "rcfs simulator --day 60                     a scripted day: messages come, are read and deleted",
        "rcfs simulator --journal http://127.0.0.1:PORT    what a running one was asked",
        "rcfs simulator fault http://127.0.0.1:PORT reset  lets the next request of a running one fail",
        "rcfs simulator --json --until-eof           for programs: one line of JSON, ends with its stdin",
    ),
)
@messages_option
@seed_option
@_whole("--extensions", "Number of extensions in the account.", least=1)
@_whole("--menus", "Number of IVR menus, further extensions without a mailbox (CMN-403).")
@_whole("--months", "How many months the messages reach back.", least=1)
@_whole("--calls", "Number of calls in the account.")
@_seconds("--export-time", "export_s", "How long exports take.")
@_whole("--archive-bytes", "Most bytes of an archive of an export.", least=1, most=1 << 30)
@_flag("--new-call-handling", "User answering rules are refused (CMN-468).")
@limit_option
@_flag("--fixed-window", "Windows start at the first request and do not slide.")
@_flag("--refuse-duplicates", "Refuse what is being answered at the moment (CMN-304).")
@_flag("--standard-user", "The user who logs in is no administrator.")
@_names("--without-scope", "missing_scopes", "NAME", "A scope that the app has not (CMN-401), such as SMS.")
@_names("--without-permission", "missing_permissions", "NAME", "A permission that no user has (CMN-408).")
@_names(
    "--redirect-uri",
    "redirect_uris",
    "URI",
    "Where a login in a browser may end; else http://127.0.0.1:8477/callback.",
)
@_seconds("--latency", "latency_s", "Round trip added to every request.", zero=True)
@_seconds("--token-lifetime", "token_lifetime_s", "How long access tokens live.")
@_whole("--port", "Port of the platform; else a free one.", most=65535)
@_whole("--media-port", "Port of the media host; else a free one.", most=65535)
@click.option(
    "--day",
    "day_speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SPEED",
    help="Play a scripted day, SPEED times as fast as real time.",
)
@_flag("--hipaa", "The retention period of messages cannot be changed (ACT-340).")
@_flag(
    "--mailbox-limits",
    "Mailboxes hold no more than real ones; old faxes are dropped, with --hipaa voicemails, too.",
)
@_seconds(
    "--sync-token-lifetime",
    "sync_token_lifetime_s",
    "How long sync tokens of messages live, in the account's time.",
)
@click.option(
    "--sync-token-error",
    type=click.Choice(["MSG-333", "CMN-101"]),
    help="What is said of a sync token that is not good; else MSG-333.",
)
@click.option(
    "--journal", metavar="URL", help="Play nothing; print what the simulator at this URL was asked."
)
@_flag("--until-eof", "End when stdin ends.")
@json_option
@click.pass_context
def simulator(
    context: click.Context,
    /,
    *,
    limit: tuple[str, ...],
    journal: str | None,
    until_eof: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Plays a RingCentral platform on this machine until it is interrupted."""
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is not ParameterSource.DEFAULT for name in context.params):
            raise click.UsageError(f"{context.invoked_subcommand} takes its own options only")
        return
    if journal is not None:
        print_journal(journal, as_json=as_json)
        return
    plans = read_limits(limit)
    require_demo_extra()
    from rcfs.simulator import AccountSpec, SimulatorConfig, run_simulator

    # The other options are called like the fields they set; what was not asked for keeps its default there.
    given = {name: value for name, value in options.items() if value not in (None, ())}
    spec = {name: given.pop(name) for name in attrs.fields_dict(AccountSpec) if name in given}
    try:
        config = SimulatorConfig(AccountSpec(**spec), plans, **given)
        run_simulator(config, on_ready=_print_json if as_json else _print_exports, until_eof=until_eof)
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    except OSError as exc:
        raise ConfigError(f"--port or --media-port: {exc.strerror}") from exc


simulator.add_command(fault)


def _print_json(endpoints: "Endpoints") -> None:
    say(json.dumps(attrs.asdict(endpoints)))


def _print_exports(endpoints: "Endpoints") -> None:
    say(f"A simulated RingCentral platform is at {endpoints.platform_url} (media at {endpoints.media_url}).")
    say(f"Its start page, with quota, journal and faults: {endpoints.platform_url}/")
    say("To use it, in another terminal:")
    for variable, value in (
        ("RC_SERVER_URL", endpoints.platform_url),
        ("RC_APP_CLIENT_ID", endpoints.client_id),
        ("RC_APP_CLIENT_SECRET", endpoints.client_secret),
        ("RC_USER_JWT", endpoints.jwt),
    ):
        say(f"  export {variable}={shlex.quote(value)}")
    say("  mkdir -p ~/ringcentral-test && rcfs mount ~/ringcentral-test")
    say("Ctrl-C ends it.")
