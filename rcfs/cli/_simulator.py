"""`rcfs simulator`: a simulated RingCentral platform on loopback, with an account made from a seed."""

import json
import shlex
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import click
from click.core import ParameterSource

from rcfs.cli._demo_extra import require_demo_extra
from rcfs.cli._filter_options import MOMENT
from rcfs.cli._options import SummarisingGroup, examples, json_option, limit_option
from rcfs.cli._output import say
from rcfs.cli._simulator_export import export
from rcfs.cli._simulator_fault import fault
from rcfs.cli._simulator_journal import print_journal
from rcfs.cli._simulator_numbers import numbers
from rcfs.config import read_limits
from rcfs.errors import ConfigError

if TYPE_CHECKING:
    from rcfs.simulator import Endpoints


def _whole(flag: str, description: str, *, least: int = 0, most: int | None = None) -> Callable[[Any], Any]:
    """An option that takes a whole number from `least` to `most`."""
    return click.option(flag, type=click.IntRange(least, most), metavar="N", help=description)


def _seconds(flag: str, field: str, description: str, *, zero: bool = False) -> Callable[[Any], Any]:
    """An option that takes a number of seconds, above 0, or from 0 with `zero`."""
    kind = click.FloatRange(min=0, min_open=not zero)
    return click.option(flag, field, type=kind, metavar="SECONDS", help=description)


def _names(flag: str, field: str, metavar: str, description: str) -> Callable[[Any], Any]:
    """An option that may be repeated."""
    text = f"{description} Repeatable."
    return click.option(flag, field, multiple=True, metavar=metavar, help=text)


def _flag(flag: str, description: str) -> Callable[[Any], Any]:
    """An option without a value."""
    return click.option(flag, is_flag=True, help=description)


messages_option = _whole("--messages", "Create N messages.")
seed_option = click.option(
    "--seed", type=int, metavar="N", help="Create the account from seed N; equal seeds give equal accounts."
)


@click.group(
    "simulator",
    cls=SummarisingGroup,
    invoke_without_command=True,
    subcommand_metavar="[fault URL ... | export URL ... | numbers]",
    epilog=examples(
        "rcfs simulator                              print the variables that `rcfs mount` needs",
        "rcfs simulator --messages 100 --limit medium=4 --limit heavy=2/10/10",
        "rcfs simulator --day 60                     play a scripted day, one hour a minute",
        "rcfs simulator --journal http://127.0.0.1:PORT    print the requests to a running simulator",
        "rcfs simulator fault http://127.0.0.1:PORT reset  let the next request fail",
        "rcfs simulator export http://127.0.0.1:PORT --outcome Failed  let the next export fail",
        "rcfs simulator numbers                      list the phone numbers to which sending fails",
        "rcfs simulator --json --until-eof           for programs: print JSON, end with stdin",
    ),
)
@messages_option
@seed_option
@_whole("--extensions", "Create N extensions.", least=1)
@_whole("--menus", "Create N IVR menus, which are extensions without a mailbox (CMN-403).")
@_whole("--months", "Spread the messages over N months.", least=1)
@click.option(
    "--present",
    type=MOMENT,
    metavar="DATE",
    help="Begin at DATE, such as 2026-11-20T12:00:00Z; the account ends on its last Friday.  [default: now]",
)
@_whole("--calls", "Create N calls.")
@_whole("--calls-per-day", "Let N recorded calls happen each day, without end, in place of --calls.")
@_whole("--call-days", "With --calls-per-day: begin N days before the present.  [default: 30]", least=1)
@_whole(
    "--recording-limit", "With --calls-per-day: keep the newest N recordings.  [default: 100000]", least=1
)
@_seconds("--export-time", "export_s", "Let an export take SECONDS.")
@_whole("--archive-bytes", "Limit an archive of an export to N bytes.", least=1, most=1 << 30)
@_seconds("--export-kept", "export_kept_s", "Forget a report SECONDS after its end.", zero=True)
@_seconds(
    "--archives-kept", "archives_kept_s", "Delete archives of an export SECONDS after its end.", zero=True
)
@_names(
    "--export-quirk",
    "export_quirks",
    "NAME",
    "Give the archives of exports a quirk; `rcfs simulator export --quirks` lists them.",
)
@_flag("--new-call-handling", "Refuse user answering rules (CMN-468).")
@limit_option
@_flag("--fixed-window", "Start each window at its first request, instead of a sliding window.")
@_flag("--refuse-duplicates", "Refuse a request while the same one is being answered (CMN-304).")
@_flag("--standard-user", "Let a user log in who is not an administrator.")
@_whole("--logins", "Accept N more logins, each an administrator with limits of its own.")
@_names("--without-scope", "missing_scopes", "NAME", "Remove a scope, such as SMS, from the app (CMN-401).")
@_names(
    "--without-permission", "missing_permissions", "NAME", "Remove a permission from all users (CMN-408)."
)
@_names(
    "--redirect-uri",
    "redirect_uris",
    "URI",
    "Let a login in a browser end at URI.  [default: http://127.0.0.1:8477/callback]",
)
@_seconds("--latency", "latency_s", "Add SECONDS to the answer of every request.", zero=True)
@_seconds("--token-lifetime", "token_lifetime_s", "Let access tokens expire after SECONDS.")
@_whole("--port", "Listen for the platform on port N.  [default: a free one]", most=65535)
@_whole("--media-port", "Listen for the media host on port N.  [default: a free one]", most=65535)
@click.option(
    "--day",
    "day_speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SPEED",
    help="Play a scripted day, SPEED times as fast as real time.",
)
@_flag("--hipaa", "Keep recordings for 30 days, and refuse to change how long messages are kept (ACT-340).")
@_flag(
    "--mailbox-limits",
    "Limit mailboxes to the size of real ones: drop old faxes, with --hipaa old voicemails, too.",
)
@_seconds(
    "--sync-token-lifetime",
    "sync_token_lifetime_s",
    "Let sync tokens of messages expire after SECONDS, in the time of the account.",
)
@click.option(
    "--sync-token-error",
    type=click.Choice(["MSG-333", "CMN-101"]),
    help="Refuse a wrong sync token with this error.  [default: MSG-333]",
)
@click.option("--journal", metavar="URL", help="Print the requests to the simulator at URL, and stop.")
@_flag("--until-eof", "End when stdin ends.")
@json_option
@click.pass_context
def simulator(
    context: click.Context,
    /,
    *,
    limit: tuple[str, ...],
    present: float | None,
    journal: str | None,
    until_eof: bool,
    as_json: bool,
    logins: int | None,
    **options: Any,
) -> None:
    """Run a simulated RingCentral platform on this machine.

    It runs until Ctrl-C ends it.
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is not ParameterSource.DEFAULT for name in context.params):
            raise click.UsageError(
                f"options before {context.invoked_subcommand} have no effect; write its options after it"
            )
        return
    if journal is not None:
        print_journal(journal, as_json=as_json)
        return
    plans = read_limits(limit)
    require_demo_extra()
    from rcfs.simulator import AccountSpec, LoginSpec, SimulatorConfig, latest_present_s, run_simulator

    # The other options have the names of the fields that they set; a field without an option has its default.
    given = {name: value for name, value in options.items() if value not in (None, ())}
    spec = {name: given.pop(name) for name in attrs.fields_dict(AccountSpec) if name in given}
    present_s = time.time() if present is None else present
    try:
        account = AccountSpec(**spec, end_s=latest_present_s(present_s))
        more = [LoginSpec(app=f"app {number}") for number in range(2, 2 + (logins or 0))]
        config = SimulatorConfig(account, plans, present_s=present_s, more_logins=more, **given)
        run_simulator(config, on_ready=_print_json if as_json else _print_exports, until_eof=until_eof)
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    except OSError as exc:
        raise ConfigError(f"--port or --media-port: {exc.strerror}; choose another port") from exc


simulator.add_command(fault)
simulator.add_command(export)
simulator.add_command(numbers)


def _print_json(endpoints: "Endpoints") -> None:
    say(json.dumps(attrs.asdict(endpoints)))


def _print_exports(endpoints: "Endpoints") -> None:
    say(
        f"A simulated RingCentral platform runs at {endpoints.platform_url} (media at {endpoints.media_url})."
    )
    say(f"Its start page, with quota, journal and faults: {endpoints.platform_url}/")
    say("To use it, in another terminal:")
    for variable, value in (
        ("RC_SERVER_URL", endpoints.platform_url),
        ("RC_APP_CLIENT_ID", endpoints.client_id),
        ("RC_APP_CLIENT_SECRET", endpoints.client_secret),
        ("RC_USER_JWT", endpoints.jwt),
    ):
        say(f"  export {variable}={shlex.quote(value)}")
    if endpoints.more:
        say("To use the further logins as well, add to ~/.config/rcfs/config.toml:")
    for number, login in enumerate(endpoints.more, 2):
        say("  [[pool]]")
        for key, value in (("name", f"login-{number}"), *attrs.asdict(login).items()):
            say(f"  {key} = {json.dumps(value)}")
    say("  mkdir -p ~/ringcentral-test && rcfs mount ~/ringcentral-test")
    say("Ctrl-C ends it.")
