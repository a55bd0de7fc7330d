"""Pulls an account by attachments or by exports, in virtual time, with the simulator in the same process.

Run as a program: ``python -m bench._exports_load FOLDER JSON``, where the JSON is a `Case`. It prints a
`Pulled` as JSON. Its peak memory is that of rcfs and the simulator together.

The line is modelled: all bodies share its rate. A case may be smaller than life: with a `scale` of 100, an
attachment and an archive's largest size are a hundredth, and each of their bytes takes as long as a hundred.
So the numbers of members, archives and requests, and all times on the account's clock, are those of the full
size; only the bytes are fewer.
"""

import json
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
import trio

from bench._virtual import print_result, virtual_engine
from rcfs.model import Filter
from rcfs.pull import Pull, Via
from rcfs.simulator import AccountSpec, SimulatorConfig
from tests.fakes.in_memory import Line, Platform
from tests.fakes.plain_mail import plain_mail

ARCHIVE_BYTES = 1_000_000_000
"""Largest archive."""
LATENCY_S = 0.1
RECORDS, LISTS, ATTACHMENTS = "tokens, export and records", "lists and syncs", "attachments"
"""The parts of a pull, in order."""
_LIKE = frozenset({"sms", "mms", "pager", "voicemail", "fax"})
_WATCH_EVERY_S = 600.0
_HELD_PIECES = 4
"""Pieces of a body that a connection holds, like the buffer of a socket."""
_SCALED = re.compile(r"/content/|/archive/[1-9]")
"""Paths of attachments, and of archives that hold some."""


@attrs.frozen
class Case:
    """One pull."""

    via: str
    """The value of a `Via`."""
    attachments: int
    """Attachments of the account, about."""
    each_bytes: int
    """Size of each."""
    mailboxes: int
    """Extensions of the account."""
    line_bytes_s: float
    """Bytes a second that the line brings."""
    report_s: float
    """Time that the platform takes for a report."""
    scale: int = 1
    """How many times smaller than life attachments and their archives are."""
    every: int = 4
    """Messages for each attachment."""


@attrs.frozen
class Pulled:
    """The whole run."""

    attachments: int
    """Attachments that came."""
    mailboxes: int
    """Mailboxes that were loaded."""
    archives: int
    """Archives of contents that were read."""
    requests: dict[str, int]
    """By usage plan group."""
    first_light: int
    """Light requests before the first attachment: tokens, lists and syncs. Later ones only keep current."""
    contents: int
    """Requests for single attachments."""
    refused: int
    """Requests that were one too many (429)."""
    phases_s: dict[str, float]
    """Time on the account's clock of `RECORDS`, `LISTS` and `ATTACHMENTS`."""
    taken_s: float
    """CPU time, with the simulator's."""
    disk_bytes: int
    """Most bytes of cache and index on the disk, by a look every ten minutes of the account's clock."""
    notes: list[str]
    """Its notes about exports that brought too little."""
    way: str
    """Its choice, in one line."""


class SlowLine(Line):
    """A connection whose bodies share a rate."""

    def __init__(self, platform: Platform, case: Case) -> None:
        super().__init__(platform)
        self._case = case
        self._free_s = 0.0
        """When the line has brought all bytes so far, in seconds of trio's clock."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        is_smaller = _SCALED.search(request.url.path) is not None
        response.stream = _Body(response, self, self._case.scale if is_smaller else 1)
        return response

    async def bring(self, count: int) -> None:
        """Returns when that many more bytes have come."""
        self._free_s = max(trio.current_time(), self._free_s) + count / self._case.line_bytes_s
        await trio.sleep(self._free_s - trio.current_time())


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpx.Response, line: SlowLine, scale: int) -> None:
        stream = response.stream
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("the simulator sends no such body")
        self._stream = stream
        self._line = line
        self._scale = scale

    async def __aiter__(self) -> AsyncIterator[bytes]:  # noqa: ASYNC900 - httpx wants it
        async for piece in self._stream:
            await self._line.bring(len(piece) * self._scale)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


async def pull(folder: Path, case: Case) -> Pulled:
    """Pulls the whole account into the cache; see `Pulled`."""
    config = SimulatorConfig(
        AccountSpec(messages=case.attachments * case.every, extensions=case.mailboxes, months=36),
        calls=0,
        latency_s=LATENCY_S,
        export_s=case.report_s,
        archive_bytes=ARCHIVE_BYTES // case.scale,
    )
    began = time.process_time()
    notes: list[str] = []
    phases_s: dict[str, float] = {}
    async with trio.open_nursery() as nursery:
        platform = Platform(config, nursery, held_pieces=_HELD_PIECES)
        async with virtual_engine(
            folder, SlowLine(platform, case), cache_bytes=1 << 40, exports=True
        ) as engine:
            disk = _Disk(folder)
            nursery.start_soon(disk.watch)
            job = Pull(engine, via=Via(case.via), on_note=notes.append)
            wanted = Filter(types=_LIKE)
            with _timed(phases_s, RECORDS):
                await job.take_records(((),), wanted)
            with _timed(phases_s, LISTS):
                survey, _unknown = await job.survey(((),), wanted)
            first_light = len(platform.simulator.journal.entries(group="light"))
            with _timed(phases_s, ATTACHMENTS):
                await job.run(survey)
            disk.look()
        entries = platform.simulator.journal.entries()
        platform.backend.reports.close()
        nursery.cancel_scope.cancel()
    progress = job.progress
    return Pulled(
        attachments=progress.exported + progress.fetched,
        mailboxes=len({entry.path for entry in entries if entry.operation == "syncMessages"}),
        archives=progress.archives,
        requests=dict(Counter(entry.group for entry in entries if entry.group)),
        first_light=first_light,
        contents=sum(entry.operation == "readMessageContent" for entry in entries),
        refused=sum(entry.status == 429 for entry in entries),
        phases_s=phases_s,
        taken_s=time.process_time() - began,
        disk_bytes=disk.most_bytes,
        notes=notes,
        way=str(survey.way),
    )


class _Disk:
    """The space that a pull takes on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.most_bytes = 0
        """Most bytes at a look so far."""

    async def watch(self) -> None:
        """Looks from time to time, until it is cancelled."""
        while True:
            await trio.sleep(_WATCH_EVERY_S)
            self.look()

    def look(self) -> None:
        """Sums up the files in the folder."""
        found = (each.stat() for each in self._folder.rglob("*") if each.is_file())
        self.most_bytes = max(self.most_bytes, sum(each.st_blocks * 512 for each in found))


@contextmanager
def _timed(phases_s: dict[str, float], name: str) -> Iterator[None]:
    began_s = trio.current_time()
    yield
    phases_s[name] = trio.current_time() - began_s


def main() -> None:
    """Runs the program."""
    folder, case = Path(sys.argv[1]), Case(**json.loads(sys.argv[2]))
    with plain_mail(case.each_bytes // case.scale, case.every):
        print_result(pull, folder, case)


if __name__ == "__main__":
    main()
