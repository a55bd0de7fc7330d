"""`rcfs simulator`: a RingCentral platform on loopback, with an account made from a seed."""

import importlib.util
import json
import shlex
from typing import TYPE_CHECKING, Any

import attrs
import click

from rcfs.cli._options import examples, json_option, limit_option
from rcfs.cli._output import say
from rcfs.cli._settings import read_limits
from rcfs.cli._simulator_journal import print_journal
from rcfs.errors import ConfigError

if TYPE_CHECKING:
    from rcfs.simulator import Endpoints

_DEMO_MODULES = ("hypercorn", "starlette", "PIL", "reportlab")

messages_option = click.option(
    "--messages", type=click.IntRange(min=0), metavar="N", help="Number of messages in the account."
)
seed_option = click.option(
    "--seed", type=int, metavar="N", help="What the account is made from; equal seeds, equal accounts."
)


def require_demo_extra() -> None:
    """Returns if the packages are installed that the simulator needs.

    Raises:
        ConfigError: One is missing; says how to install them.
    """
    for name in _DEMO_MODULES:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(f"the simulator needs the package {name}: pip install 'rcfs[demo]'")


@click.command(
    "simulator",
    epilog=examples(
        "rcfs simulator                              prints the variables that `rcfs mount` needs",
        "rcfs simulator --messages 100 --limit medium=4 --limit heavy=2/10/10",
        "rcfs simulator --day 60                     a scripted day: messages come, are read and deleted",
        "rcfs simulator --journal http://127.0.0.1:PORT    what a running one was asked",
        "rcfs simulator --json --until-eof           for programs: one line of JSON, ends with its stdin",
    ),
)
@messages_option
@seed_option
@click.option(
    "--extensions", type=click.IntRange(min=1), metavar="N", help="Number of extensions in the account."
)
@click.option(
    "--months", type=click.IntRange(min=1), metavar="N", help="How many months the messages reach back."
)
@click.option("--calls", type=click.IntRange(min=0), metavar="N", help="Number of calls in the account.")
@click.option(
    "--export-time",
    "export_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long exports take.",
)
@click.option(
    "--archive-bytes",
    type=click.IntRange(1, 1 << 30),
    metavar="N",
    help="Most bytes of an archive of an export.",
)
@click.option("--new-call-handling", is_flag=True, help="User answering rules are refused (CMN-468).")
@limit_option
@click.option("--fixed-window", is_flag=True, help="Windows start at the first request and do not slide.")
@click.option(
    "--refuse-duplicates", is_flag=True, help="Refuse what is being answered at the moment (CMN-304)."
)
@click.option("--standard-user", is_flag=True, help="The user who logs in is no administrator.")
@click.option(
    "--without-scope",
    "missing_scopes",
    multiple=True,
    metavar="NAME",
    help="A scope that the app has not (CMN-401), such as ReadMessages. Repeatable.",
)
@click.option(
    "--without-permission",
    "missing_permissions",
    multiple=True,
    metavar="NAME",
    help="A permission that no user has (CMN-408), such as ReadMessages. Repeatable.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where a login in a browser may end; else http://127.0.0.1:8477/callback. Repeatable.",
)
@click.option(
    "--latency",
    "latency_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Round trip added to every request.",
)
@click.option(
    "--token-lifetime",
    "token_lifetime_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long access tokens live.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="PORT", help="Port of the platform; else a free one."
)
@click.option(
    "--media-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port of the media host; else a free one.",
)
@click.option(
    "--journal", metavar="URL", help="Play nothing; print what the simulator at this URL was asked."
)
@click.option(
    "--day",
    "day_speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SPEED",
    help="Play a scripted day, SPEED times as fast as real time.",
)
@click.option("--hipaa", is_flag=True, help="The retention period of messages cannot be changed (ACT-340).")
@click.option(
    "--sync-token-lifetime",
    "sync_token_lifetime_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long sync tokens of messages live, in the account's time.",
)
@click.option(
    "--sync-token-error",
    type=click.Choice(["MSG-333", "CMN-101"]),
    help="What is said of a sync token that is not good; else MSG-333.",
)
@click.option("--until-eof", is_flag=True, help="End when stdin ends.")
@json_option
def simulator(
    *, limit: tuple[str, ...], journal: str | None, until_eof: bool, as_json: bool, **options: Any
) -> None:
    """Plays a RingCentral platform on this machine until it is interrupted."""
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
