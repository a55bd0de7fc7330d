"""`rcfs simulator export`: plans the next export of a running simulator, or lists those that it has."""

import json
from collections.abc import Mapping
from typing import Any

import click

from rcfs.cli._demo_extra import require_demo_extra
from rcfs.cli._options import examples, json_option
from rcfs.cli._output import say
from rcfs.cli._simulator_admin import admin_of, say_each
from rcfs.model import format_size

_PLAN = ("outcome", "states", "takes_s", "kept_s", "archives_kept_s", "quirks")


@click.command(
    "export",
    epilog=examples(
        "URL=http://127.0.0.1:PORT",
        "rcfs simulator export $URL                               list the exports of the simulator",
        "rcfs simulator export $URL --outcome Failed              let the next message store report fail",
        "rcfs simulator export $URL --takes 600 --kept 3600       let it take ten minutes, and go in an hour",
        "rcfs simulator export $URL --state Accepted --state Pending   let it hang",
        "rcfs simulator export $URL --quirk bomb --quirk wrong_crc     give it hostile archives",
        "rcfs simulator export $URL --kind team --outcome Expired",
        "rcfs simulator export --quirks                           list the quirks of archives",
    ),
)
@click.argument("url", required=False)
@click.option(
    "--kind",
    type=click.Choice(["report", "team"]),
    help="Plan a message store report, or an export of team messaging.  [default: report]",
)
@click.option("--outcome", metavar="STATE", help="End in STATE, such as Failed; AttemptFailed tries twice.")
@click.option(
    "--state", "states", multiple=True, metavar="STATE", help="Pass through STATE, in steps. Repeatable."
)
@click.option("--takes", "takes_s", type=float, metavar="SECONDS", help="End after SECONDS.")
@click.option("--kept", "kept_s", type=float, metavar="SECONDS", help="Expire SECONDS after the end.")
@click.option(
    "--archives-kept", "archives_kept_s", type=float, metavar="SECONDS", help="Delete archives before that."
)
@click.option("--quirk", "quirks", multiple=True, metavar="NAME", help="Give archives a quirk. Repeatable.")
@click.option("--quirks", "wants_quirks", is_flag=True, help="List the quirks of archives.")
@json_option
def export(*, url: str | None, kind: str | None, wants_quirks: bool, as_json: bool, **options: Any) -> None:
    """Plan the next export of a running simulator.

    Several plans apply to successive exports; an export without a plan succeeds. Without options, this lists
    the exports that clients have asked for.
    """
    plan = {name: options[name] for name in _PLAN if options[name] not in (None, ())}
    if wants_quirks:
        if url is not None or kind is not None or plan:
            raise click.UsageError("--quirks takes no URL and no plan")
        say_each(_own_quirks(), _quirk_text, as_json=as_json)
        return
    admin = admin_of(url)
    if kind is not None or plan:
        planned = admin.ask("exports", method="POST", body={"kind": kind or "report", **plan})
        say(json.dumps(planned) if as_json else f"plans that wait for an export: {_counts(planned)}")
        return
    say_each(admin.ask("exports"), _line, as_json=as_json)


def _own_quirks() -> list[dict[str, str]]:
    """The quirks of this version."""
    require_demo_extra()
    from rcfs.simulator import Quirk

    return [{"quirk": quirk.value, "help": quirk.help} for quirk in Quirk]


def _quirk_text(quirk: Mapping[str, str]) -> str:
    return f"{quirk['quirk']}\n    {quirk['help']}"


def _counts(planned: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in planned.items())


def _line(export: Mapping[str, Any]) -> str:
    sizes = [format_size(archive["size_bytes"]) for archive in export["archives"]]
    archives = f", archives of {', '.join(sizes)}" if sizes else ""
    quirks = f", quirks {', '.join(export['quirks'])}" if export["quirks"] else ""
    return f"{export['kind']} {export['id']}: {export['status']} since {export['since']}{archives}{quirks}"
