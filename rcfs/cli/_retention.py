"""`rcfs retention`: how long RingCentral keeps faxes and voicemails."""

import json
from typing import TYPE_CHECKING, Any

import click

from rcfs.cli._options import engine_options, examples, json_option
from rcfs.cli._output import confirmed, say, say_json
from rcfs.cli._treepaths import read_mounted
from rcfs.errors import ForbiddenError, PlatformError

if TYPE_CHECKING:
    import trio

    from rcfs.engine import Engine


@click.command("retention", epilog=examples("rcfs retention", "rcfs retention 90 --yes"))
@click.argument("days", type=click.IntRange(7, 90), required=False)
@click.option("-y", "--yes", is_flag=True, help="Skip the question.")
@json_option
@engine_options
def retention(days: int | None, *, yes: bool, as_json: bool, **options: Any) -> None:
    """Show or set how long RingCentral keeps faxes and voicemails.

    DAYS are 7 to 90. This is a setting of the whole account, for administrators whose app has the scope
    EditAccounts. With fewer days, RingCentral deletes older faxes and voicemails for good.
    """
    settings = read_mounted(options)
    settings.require_credentials()
    question = f"Keep faxes and voicemails for {days} days, and delete older ones for good?"
    if days is not None and not confirmed(question, "set it", yes=yes):
        return
    from rcfs.cli._engine_run import run_engine
    from rcfs.cli._waiting import tell_waits

    async def work(engine: "Engine", nursery: "trio.Nursery") -> int:
        nursery.start_soon(tell_waits, engine)
        return await (engine.retention.ask() if days is None else engine.retention.change(days))

    told = "interrupted; `rcfs retention` shows what RingCentral has now"
    log = settings.files.change_log
    try:
        found = run_engine(settings, log, work, on_interrupt=lambda: told, keeps_current=False)
    except PlatformError as exc:
        because = refusal_of(exc)
        if not because:
            raise
        raise ForbiddenError(f"{because} ({exc.code})", code=exc.code, request_id=exc.request_id) from exc
    if days not in (None, found):
        raise PlatformError(f"RingCentral has not changed it: it keeps faxes and voicemails for {found} days")
    if as_json:
        say_json(json.dumps({"days": found}))
    else:
        say(f"RingCentral keeps faxes and voicemails for {found} days.")


def refusal_of(error: PlatformError) -> str:
    """Why RingCentral does not show or change the retention; empty if `error` is no refusal."""
    from rcfs.platform import is_fixed_retention, is_missing_scope

    if is_fixed_retention(error):
        return (
            "the account has HIPAA settings: RingCentral keeps messages for 30 days, and nobody can change it"
        )
    if is_missing_scope(error):
        return "the app lacks the scope EditAccounts; add it in the developer console, and try again"
    if isinstance(error, ForbiddenError):
        return "only administrators may do this: the user lacks the permission AccountAdministration"
    return ""
