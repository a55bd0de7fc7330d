"""Command line options of a simulator, for everything that starts one."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import click

from rcfs.model import PRIOR_PLANS, Plan, UsageGroup
from rcfs.simulator._account import AccountSpec
from rcfs.simulator._config import DEFAULT_TOKEN_LIFETIME_S, SimulatorConfig

_LIMIT_FORM = "GROUP=N[/WINDOW[/PENALTY]]"
_LIMIT = re.compile(r"(?P<group>[a-z-]+)=(?P<limit>\d+)(?:/(?P<window>[\d.]+))?(?:/(?P<penalty>[\d.]+))?")


def _parse_limit(text: str) -> tuple[UsageGroup, Plan]:
    """Group and plan of ``GROUP=LIMIT[/WINDOW_S[/PENALTY_S]]``; what is left out is 60 s.

    Raises:
        BadParameter: `text` has another form, or a number is out of bounds.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not {_LIMIT_FORM}")
    times = {"window_s": match["window"], "penalty_s": match["penalty"]}
    try:
        given = {name: float(value) for name, value in times.items() if value is not None}
        return UsageGroup(match["group"]), Plan(int(match["limit"]), **given)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def simulator_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with the options of a simulator; `config_from_options` takes their values."""
    defaults = attrs.fields(AccountSpec)
    options = [
        click.option("--seed", default=defaults.seed.default, show_default=True, help="Seed of the account."),
        click.option(
            "--messages",
            type=click.IntRange(min=0),
            default=defaults.messages.default,
            show_default=True,
            help="Number of messages.",
        ),
        click.option(
            "--extensions",
            type=click.IntRange(min=1),
            default=defaults.extensions.default,
            show_default=True,
            help="Number of extensions.",
        ),
        click.option(
            "--months",
            type=click.IntRange(min=1),
            default=defaults.months.default,
            show_default=True,
            help="Months that the messages reach back.",
        ),
        click.option(
            "--limit",
            "limits",
            type=_parse_limit,
            metavar=_LIMIT_FORM,
            multiple=True,
            help="Requests of a usage plan group per window; window and penalty in seconds, 60 by default.",
        ),
        click.option(
            "--fixed-window", is_flag=True, help="Windows start at the first request and do not slide."
        ),
        click.option("--standard-user", is_flag=True, help="The login is not an administrator."),
        click.option(
            "--latency",
            "latency_s",
            type=click.FloatRange(min=0),
            default=0.0,
            show_default=True,
            help="Seconds of round trip added to every request.",
        ),
        click.option(
            "--token-lifetime",
            "token_lifetime_s",
            type=click.FloatRange(min=0, min_open=True),
            default=DEFAULT_TOKEN_LIFETIME_S,
            show_default=True,
            help="Seconds that an access token is good.",
        ),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=0,
            show_default=True,
            help="TCP port of the platform; 0 takes a free one.",
        ),
        click.option(
            "--media-port",
            type=click.IntRange(0, 65535),
            default=0,
            show_default=True,
            help="TCP port of the media host; 0 takes a free one.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def config_from_options(options: Mapping[str, Any]) -> SimulatorConfig:
    """The settings for the values of `simulator_options`, by parameter name."""
    return SimulatorConfig(
        spec=AccountSpec(
            seed=options["seed"],
            messages=options["messages"],
            extensions=options["extensions"],
            months=options["months"],
        ),
        plans={**PRIOR_PLANS, **dict(options["limits"])},
        fixed_window=options["fixed_window"],
        token_lifetime_s=options["token_lifetime_s"],
        standard_user=options["standard_user"],
        latency_s=options["latency_s"],
        port=options["port"],
        media_port=options["media_port"],
    )
