"""``python -m rcfs.simulator``: a simulator on its own, for tests and other programs."""

import json
from typing import Any

import attrs
import click

from rcfs.simulator import Endpoints, config_from_options, run_simulator, simulator_options


def _show_json(endpoints: Endpoints) -> None:
    click.echo(json.dumps(attrs.asdict(endpoints)))


def _show_text(endpoints: Endpoints) -> None:
    for name, value in attrs.asdict(endpoints).items():
        click.echo(f"{name}: {value}")


@click.command()
@simulator_options
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when ready.")
@click.option("--until-eof", is_flag=True, help="Stop at the end of standard input, too.")
def main(*, as_json: bool, until_eof: bool, **options: Any) -> None:
    """Play a RingCentral platform on loopback until SIGINT or SIGTERM."""
    on_ready = _show_json if as_json else _show_text
    try:
        run_simulator(config_from_options(options), on_ready=on_ready, until_eof=until_eof)
    except (OSError, ValueError) as exc:
        raise click.ClickException(str(exc)) from exc


if __name__ == "__main__":
    main(prog_name="python -m rcfs.simulator")
