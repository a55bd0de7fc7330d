"""rcfs and the simulator in one process, in virtual time."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVarTuple
from unittest.mock import patch
from warnings import warn

import attrs
import trio
from trio.testing import MockClock

from bench._peers import CREDENTIAL
from rcfs.engine import Engine, open_engine
from rcfs.filenames import StateFiles
from rcfs.host.logs import EventLog
from rcfs.mailbox import CallShelving, Shelving
from rcfs.model import PRIOR_PLANS, login_digest
from rcfs.platform import AllowedHosts, Client, Credentials
from rcfs.quota import Ledger, MemoryHome
from rcfs.store import ContentCache, ExportBook, MailboxIndex, SizeIndex
from rcfs.transport import Recorder
from rcfs.tree import PURGED, SHELVING_EDITION, name_folder, shelve
from tests.fakes.in_memory import Line
from tests.fakes.rig import run_inline

Ts = TypeVarTuple("Ts")


@asynccontextmanager
async def virtual_engine(
    folder: Path, line: Line, *, cache_bytes: int, calls: CallShelving | None = None, exports: bool = False
) -> AsyncIterator[Engine]:
    """An engine whose requests go through `line`, with its cache and databases in `folder`."""
    platform = line.platform
    endpoints = platform.endpoints

    def now_s() -> float:
        return platform.now_s

    with ExitStack() as stack:
        cache = ContentCache.open(
            folder / "cache", size_limit_bytes=cache_bytes, free_floor_bytes=0, warn=warn
        )
        stack.enter_context(closing(cache))
        index = stack.enter_context(closing(MailboxIndex.open(folder / "mailboxes.sqlite", warn)))
        sizes = stack.enter_context(closing(SizeIndex.open(folder / "sizes.sqlite", warn)))
        book = stack.enter_context(closing(ExportBook.open(StateFiles(folder), warn))) if exports else None
        async with open_engine(
            login=login_digest(endpoints.platform_url, CREDENTIAL, CREDENTIAL),
            client=Client(
                AllowedHosts(endpoints.platform_url, endpoints.media_url),
                user_agent="rcfs/bench",
                transport=line,
                clock=now_s,
                boot_clock=trio.current_time,
            ),
            credentials=Credentials(endpoints.client_id, endpoints.client_secret, endpoints.jwt),
            ledger=Ledger(MemoryHome(PRIOR_PLANS)),
            cache=cache,
            index=index,
            sizes=sizes,
            shelving=Shelving(shelve, name_folder, frozenset({PURGED}), SHELVING_EDITION, calls),
            recorder=Recorder(EventLog(), now_s),
            wall_clock=now_s,
            export_book=book,
        ) as engine:
            yield engine


def print_result(work: Callable[[*Ts], Awaitable[Any]], *arguments: *Ts) -> None:
    """Runs `work`, whose time passes while it waits, and prints the attrs value that it returns as JSON."""
    logging.getLogger("rcfs").setLevel(logging.ERROR)
    with patch.object(trio.to_thread, "run_sync", run_inline):
        result = trio.run(work, *arguments, clock=MockClock(autojump_threshold=0))
    print(json.dumps(attrs.asdict(result)))
