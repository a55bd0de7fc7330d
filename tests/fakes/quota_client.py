"""A process on a shared quota: ``python -m tests.fakes.quota_client LEDGER PRIORITY COUNT``.

The environment has the credentials. It sends the same list request COUNT times, all at once, prints a line
for each answer, and ends when it has all answers or is killed.
"""

import os
import sys
from pathlib import Path

import structlog
import trio

from rcfs.model import Plan, Priority, UsageGroup
from rcfs.platform import AllowedHosts, Client, Credentials, list_messages
from rcfs.store import LinuxMachine, open_ledger
from rcfs.transport import Recorder, Requester, RequestOptions, open_connection

PLANS = {UsageGroup("light"): Plan(15, 1.0, 2.0), UsageGroup("auth"): Plan(20, 1.0, 2.0)}
"""Plans of the simulator that these processes use."""


async def fetch(path: Path, priority: Priority, count: int) -> None:
    """Request a list of messages `count` times, all at once."""
    server_url = os.environ["RC_SERVER_URL"]
    login = Credentials(
        os.environ["RC_APP_CLIENT_ID"], os.environ["RC_APP_CLIENT_SECRET"], os.environ["RC_USER_JWT"]
    )
    machine = LinuxMachine.here()
    ledger = open_ledger(path, login.identity(server_url), PLANS, _no_warning, machine)
    client = Client(AllowedHosts(server_url), user_agent="rcfs/test")
    recorder = Recorder(structlog.get_logger())

    async def one(requester: Requester) -> None:
        await requester.read(
            list_messages(None, until_s=machine.wall_s(), per_page=1),
            lambda _page: None,
            RequestOptions(priority),
        )
        print("answered", flush=True)  # noqa: T201 - the test reads it

    async with (
        open_connection(client, login, ledger, recorder, clock=machine.clock_s) as connection,
        trio.open_nursery() as nursery,
    ):
        for _ in range(count):
            nursery.start_soon(one, connection.requester)
    ledger.close(machine.clock_s())


def _no_warning(line: str) -> None:
    raise AssertionError(line)


if __name__ == "__main__":
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    trio.run(fetch, Path(sys.argv[1]), Priority[sys.argv[2]], int(sys.argv[3]))
