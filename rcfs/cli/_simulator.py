"""`rcfs simulator`: a RingCentral platform on loopback, with an account made from a seed."""

import errno
import importlib.util
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rcfs.cli._options import examples, json_option, limit_option
from rcfs.cli._output import say, sole_cause
from rcfs.cli._settings import load_settings
from rcfs.errors import ConfigError
from rcfs.model import Plan, UsageGroup

if TYPE_CHECKING:
    from rcfs.simulator import Endpoints

NO_CONFIG = Path(os.devnull)
"""A config file that says nothing: a simulated account has nothing to do with the real one."""
ENDPOINT_FIELDS = ("platform_url", "media_url", "client_id", "client_secret", "jwt")
"""What the JSON line of ``rcfs simulator --json`` holds."""
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


def plans_with(limit: Sequence[str]) -> Mapping[UsageGroup, Plan]:
    """The platform's default plans, with the limits that ``--limit`` gave.

    Raises:
        ConfigError: One is not GROUP=N.
    """
    return load_settings({"limit": limit}, {}, NO_CONFIG, keyring=None).plans


@click.command(
    "simulator",
    epilog=examples(
        "rcfs simulator                              prints the variables that `rcfs mount` needs",
        "rcfs simulator --messages 100 --limit medium=4",
        "rcfs simulator --json --until-eof           for programs: one line of JSON, ends with its stdin",
    ),
)
@messages_option
@seed_option
@limit_option
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the platform; 0 is any.")
@click.option(
    "--media-port", type=click.IntRange(0, 65535), default=0, help="Port of the media host; 0 is any."
)
@click.option("--standard-user", is_flag=True, help="The user who logs in is no administrator.")
@click.option("--latency", type=click.FloatRange(min=0), metavar="SECONDS", help="Added to every answer.")
@click.option(
    "--token-lifetime", type=click.FloatRange(min=1), metavar="SECONDS", help="How long tokens live."
)
@click.option("--until-eof", is_flag=True, help="End when stdin ends.")
@json_option
def simulator(
    *,
    messages: int | None,
    seed: int | None,
    limit: tuple[str, ...],
    port: int,
    media_port: int,
    standard_user: bool,
    latency: float | None,
    token_lifetime: float | None,
    until_eof: bool,
    as_json: bool,
) -> None:
    """Plays a RingCentral platform on this machine until it is interrupted."""
    plans = plans_with(limit)
    require_demo_extra()
    from rcfs.simulator import AccountSpec, SimulatorConfig, run_simulator

    # What was not asked for keeps the simulator's own default.
    chosen: dict[str, Any] = {"seed": seed, "messages": messages}
    spec = AccountSpec(**{name: value for name, value in chosen.items() if value is not None})
    timing: dict[str, Any] = {"latency_s": latency, "token_lifetime_s": token_lifetime}
    config = SimulatorConfig(
        spec=spec,
        plans=plans,
        standard_user=standard_user,
        port=port,
        media_port=media_port,
        **{name: value for name, value in timing.items() if value is not None},
    )
    try:
        run_simulator(config, on_ready=_print_json if as_json else _print_exports, until_eof=until_eof)
    except Exception as exc:
        error = sole_cause(exc)
        if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise ConfigError(f"--port or --media-port: {os.strerror(error.errno)}") from exc
        raise


def _print_json(endpoints: "Endpoints") -> None:
    say(json.dumps({name: getattr(endpoints, name) for name in ENDPOINT_FIELDS}))


def _print_exports(endpoints: "Endpoints") -> None:
    say(f"A simulated RingCentral platform is at {endpoints.platform_url} (media at {endpoints.media_url}).")
    say("To use it, in another terminal:")
    for variable, value in (
        ("RC_SERVER_URL", endpoints.platform_url),
        ("RCFS_MEDIA_URL", endpoints.media_url),
        ("RC_APP_CLIENT_ID", endpoints.client_id),
        ("RC_APP_CLIENT_SECRET", endpoints.client_secret),
        ("RC_USER_JWT", endpoints.jwt),
    ):
        say(f"  export {variable}={shlex.quote(value)}")
    say("  mkdir -p ~/ringcentral-test && rcfs mount ~/ringcentral-test")
    say("Ctrl-C ends it.")
