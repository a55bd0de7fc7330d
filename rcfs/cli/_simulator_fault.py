"""`rcfs simulator fault`: makes requests to a running simulator fail."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import click

from rcfs.cli._demo_extra import require_demo_extra
from rcfs.cli._options import examples, json_option
from rcfs.cli._simulator_admin import admin_of, say_each


@click.command(
    "fault",
    epilog=examples(
        "URL=http://127.0.0.1:PORT",
        "rcfs simulator fault --kinds                  list the kinds of faults",
        "rcfs simulator fault $URL reset               break the next request",
        "rcfs simulator fault $URL status status=500 retry_after_s=7 --count 3",
        "rcfs simulator fault $URL truncate --operation readMessageContent --probability 0.1",
        "rcfs simulator fault $URL status_after --operation deleteMessage,updateMessage",
        "rcfs simulator fault $URL refuse for_s=5      refuse connections for 5 seconds",
        "rcfs simulator fault $URL --clear",
    ),
)
@click.argument("url", required=False)
@click.argument("kind", required=False)
@click.argument("settings", metavar="[NAME=VALUE]...", nargs=-1)
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="Apply the fault to N requests.  [default: 1]"
)
@click.option("--forever", is_flag=True, help="Apply the fault to all requests until --clear.")
@click.option(
    "--probability",
    type=float,
    metavar="P",
    help="Apply the fault to a request with probability P, above 0 to 1, until --clear or --count.",
)
@click.option("--seed", type=int, metavar="N", help="Seed the random numbers of --probability.")
@click.option(
    "--operation",
    metavar="ID,ID",
    help="Apply the fault only to these operations, such as readMessageContent,deleteMessage.",
)
@click.option("--path", metavar="PREFIX", help="Apply the fault only to paths that begin with PREFIX.")
@click.option("--kinds", "wants_kinds", is_flag=True, help="List every kind of fault with its options.")
@click.option("--clear", is_flag=True, help="Remove all faults.")
@json_option
def fault(
    *,
    url: str | None,
    kind: str | None,
    settings: Sequence[str],
    forever: bool,
    wants_kinds: bool,
    clear: bool,
    as_json: bool,
    **choice: Any,
) -> None:
    """Make requests to a running simulator fail.

    This adds the fault KIND with its options NAME=VALUE to the simulator at URL, and prints all faults there.
    Without KIND it only prints them. --kinds lists the kinds and their options.
    """
    chosen = {name: value for name, value in choice.items() if value is not None}
    if (kind is not None) + wants_kinds + clear > 1 or (kind is None and (chosen or forever)):
        raise click.UsageError("give one of KIND (with its options), --kinds and --clear")
    if forever and "count" in chosen:
        raise click.UsageError("give only one of --count and --forever")
    if wants_kinds:
        kinds = _own_kinds() if url is None else admin_of(url).ask("faults/kinds")
        say_each(kinds, _kind_text, as_json=as_json)
        return
    admin = admin_of(url)
    if clear:
        asked = admin.ask("faults", method="DELETE")
    elif kind is None:
        asked = admin.ask("faults")
    else:
        endless = {"count": None} if forever else {}
        body = {"kind": kind, **_options(settings), **chosen, **endless}
        asked = admin.ask("faults", method="POST", body=body)
    say_each(asked, _fault_text, as_json=as_json)


def _own_kinds() -> Sequence[Mapping[str, Any]]:
    """The kinds of faults of this version."""
    require_demo_extra()
    from rcfs.simulator import all_kinds

    return [attrs.asdict(kind) for kind in all_kinds()]


def _options(settings: Sequence[str]) -> dict[str, Any]:
    """The options in ``NAME=VALUE`` texts; a value that is not JSON is a text."""
    options = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"write an option of a fault as NAME=VALUE, not as {text}")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def _kind_text(kind: Mapping[str, Any]) -> str:
    options = [f"{name}=SECONDS" for name in kind["needed"]]
    options += [f"[{name}={_value_text(value)}]" for name, value in kind["options"].items()]
    return "\n    ".join([kind["kind"], kind["help"], *([" ".join(options)] if options else [])])


def _fault_text(fault: Mapping[str, Any]) -> str:
    """A line with the kind of a fault, how often it has happened, and the requests that it applies to."""
    options = [
        f"{name}={_value_text(value)}" for name, value in fault["options"].items() if value is not None
    ]
    times = f"{fault['fired']} times" + (f" of {fault['count']}" if fault["count"] is not None else "")
    choice = [f"{name} {fault[name]}" for name in ("operation", "path") if fault[name]]
    if fault["probability"] < 1:
        choice.append(f"probability {fault['probability']}")
    return ", ".join([" ".join([fault["kind"], *options]), times, *choice])


def _value_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
