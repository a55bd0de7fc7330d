"""`rcfs simulator numbers`: the phone numbers to which sending always fails."""

from collections.abc import Mapping

import click

from rcfs.cli._demo_extra import require_demo_extra
from rcfs.cli._options import examples, json_option
from rcfs.cli._simulator_admin import say_each


@click.command(
    "numbers",
    epilog=examples("rcfs simulator numbers | grep 413      find the number of somebody who has opted out"),
)
@json_option
def numbers(*, as_json: bool) -> None:
    """List the phone numbers to which sending always fails in a simulator.

    Each line has a number, what fails there (sms or fax), and the error code that the message then shows.
    """
    require_demo_extra()
    from rcfs.simulator import FAILING_FAX, FAILING_SMS

    rows = [
        {"number": number, "kind": kind, "error": error}
        for kind, failing in (("sms", FAILING_SMS), ("fax", FAILING_FAX))
        for number, error in failing.items()
    ]
    say_each(rows, _text, as_json=as_json)


def _text(row: Mapping[str, str]) -> str:
    return f"{row['number']}  {row['kind']}  {row['error']}"
