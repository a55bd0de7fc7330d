"""Taking an archive of a report apart into the cache, beside ``unzip`` on the same disk.

``contrib/bench --unzip`` runs it, as a program: ``bench._unzip_speed FOLDER [MEGABYTES [ROUNDS]]``. It
makes an archive of that size in FOLDER. In each round it unpacks it with both, into new directories that it
removes again. The members are those of a platform's archive: voicemails of 100 kB, faxes of 300 kB,
pictures of 600 kB; half of them are deflated. Nothing is sent: the records are in the index before, and the
archive is read from FOLDER.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import attrs
import trio

from rcfs.content import Storage
from rcfs.exports._filling import Filling
from rcfs.exports._report import FillMark
from rcfs.model import CHUNK_BYTES, ReportKey
from tests.fakes.rig import EXTENSION_ID, Rig, open_rig
from tests.fakes.scripted import ACCOUNT_ID, ScriptedPlatform
from tests.fakes.zips import Mails, prepare

_KINDS = (
    ("VoiceMail", "AudioRecording", "audio/x-wav", "wav", 100_000),
    ("VoiceMail", "AudioRecording", "audio/x-wav", "wav", 100_000),
    ("Fax", "RenderedDocument", "application/pdf", "pdf", 300_000),
    ("SMS", "MmsAttachment", "image/jpeg", "jpg", 600_000),
)
"""Type of the message, and type, media type, extension and bytes of its attachment."""
_MEMBERS = ("account", ACCOUNT_ID, "extension", str(EXTENSION_ID), "message-store")
_POOL_BYTES = 16 << 20
_SIX_BITS = bytes(value & 63 for value in range(256))
"""A table that makes bytes which deflate to three quarters."""


@attrs.frozen
class Unpacked:
    """One run of one program."""

    wall_s: float
    """Seconds by the clock."""
    cpu_s: float
    """Seconds of CPU time."""
    peak_bytes: int = 0
    """Most memory of the process from its start on; 0 when it was not measured."""


@attrs.frozen
class UnzipResults:
    """All runs on one archive, in turn."""

    archive_bytes: int
    """Size of the archive."""
    content_bytes: int
    """Size of its members."""
    members: int
    """Number of them."""
    rcfs: Sequence[Unpacked]
    """The runs of rcfs."""
    unzip: Sequence[Unpacked]
    """Those of unzip."""

    def ratio(self, name: str) -> float:
        """The speed of rcfs as a share of unzip's, by ``wall_s`` or ``cpu_s``: the median of all rounds."""
        pairs = zip(self.rcfs, self.unzip, strict=True)
        ratios = (getattr(theirs, name) / getattr(ours, name) for ours, theirs in pairs)
        return float(statistics.median(ratios))


def measure(folder: Path, archive_bytes: int, rounds: int) -> UnzipResults:
    """Measures in the existing directory `folder`, which needs room for two archives."""
    archive = folder / "archive.zip"
    records, content_bytes = _make(archive, archive_bytes)
    runs: dict[str, list[Unpacked]] = {"unzip": [], "rcfs": []}
    try:
        for _round in range(rounds):
            for program, found in runs.items():
                with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as name:
                    if program == "unzip":
                        command = ["unzip", "-q", str(archive), "-d", name]
                    else:
                        trio.run(_prepare, Path(name), records)
                        command = [sys.executable, "-P", "-m", __spec__.name, "fill", str(archive), name]
                    found.append(_run(command))
    finally:
        archive.unlink()
    return UnzipResults(archive_bytes, content_bytes, len(records), runs["rcfs"], runs["unzip"])


def _make(archive: Path, archive_bytes: int) -> tuple[list[dict[str, Any]], int]:
    """Writes an archive of about this size; the records of its messages, and the bytes of its members."""
    random = Random(archive_bytes)  # noqa: S311 - noise
    noise = random.randbytes(_POOL_BYTES)
    pools = {zipfile.ZIP_STORED: noise, zipfile.ZIP_DEFLATED: noise.translate(_SIX_BITS)}
    records: list[dict[str, Any]] = []
    content_bytes = 0
    with zipfile.ZipFile(archive, "w") as target:
        while (file := target.fp) is not None and file.tell() < archive_bytes:
            number = len(records) + 1
            kind, sort, media_type, suffix, usual = _KINDS[number % len(_KINDS)]
            size = random.randrange(usual // 2, usual * 3 // 2)
            method = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number // len(_KINDS) % 2]
            start = random.randrange(_POOL_BYTES - size)
            path = "/".join((*_MEMBERS, str(number), "content", f"{number}.{suffix}"))
            target.writestr(zipfile.ZipInfo(path), pools[method][start : start + size], method)
            attachment = {"id": number, "type": sort, "contentType": media_type, "uri": f"https://x/{number}"}
            records.append(
                {
                    "id": number,
                    "type": kind,
                    "direction": "Inbound",
                    "creationTime": "2026-11-03T17:27:05.000Z",
                    "attachments": [attachment],
                }
            )
            content_bytes += size
    return records, content_bytes


async def _prepare(state: Path, records: list[dict[str, Any]]) -> None:
    """Brings the records into an index in `state`, as the archive of the records does."""
    platform = ScriptedPlatform(messages=records)
    mails = Mails(platform)
    export = mails.serve(mails.records())
    async with open_rig(platform, state) as rig:
        await prepare(rig)
        report = await rig.engine.fast_lane.fill_from(export, export.archives[0])
        _require(report.records == len(records), "some records are not in the index")


def _run(command: Sequence[str]) -> Unpacked:
    """Runs a program to its end; a fill tells its own times, because its start has no part in it."""
    before, begun_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    wall_s, after = time.monotonic() - begun_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Unpacked(**json.loads(said)) if said else Unpacked(wall_s, _cpu_s(after) - _cpu_s(before))


async def _fill(archive: Path, state: Path) -> Unpacked:
    """Fills the cache in `state` from an archive."""
    async with open_rig(ScriptedPlatform(), state, cache_bytes=1 << 40) as rig:
        before, begun_s = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        mailboxes, storage = rig.engine.account.mailboxes, _storage(rig)
        filling = Filling(ACCOUNT_ID, mailboxes, storage, rig.index, FillMark(), time.time())
        key = ReportKey(ACCOUNT_ID, "unzip", 1)

        def take(data: bytes) -> None:
            filling.take(data)
            filling.take_arrived()
            filling.mark.write(rig.index, key, time.time)

        with archive.open("rb", buffering=0) as file:
            while data := file.read(CHUNK_BYTES):
                await trio.to_thread.run_sync(take, data)
        wall_s, after = time.monotonic() - begun_s, resource.getrusage(resource.RUSAGE_SELF)
        report = filling.report
        _require(filling.is_done and report.agrees and not report.examples, "not all members were filled")
        return Unpacked(wall_s, _cpu_s(after) - _cpu_s(before), _peak_bytes())


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise RuntimeError(otherwise)


def _cpu_s(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _peak_bytes() -> int:
    """Most memory of this process; ``ru_maxrss`` begins with that of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def _storage(rig: Rig) -> Storage:
    return rig.engine.fast_lane._parts.storage  # noqa: SLF001 - what it would use itself


def table(results: UnzipResults) -> str:
    """The results as a table in Markdown."""
    made = f"{results.members:,} members of {results.content_bytes / 1e6:,.0f} MB"
    lines = [
        f"{made} in an archive of {results.archive_bytes / 1e6:,.0f} MB, medians of {len(results.rcfs)} runs",
        "",
        "| | seconds | CPU s | MB/s | peak MB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in ("rcfs", "unzip"):
        runs: Sequence[Unpacked] = getattr(results, name)
        wall_s = statistics.median(run.wall_s for run in runs)
        cpu_s = statistics.median(run.cpu_s for run in runs)
        peak_bytes = max(run.peak_bytes for run in runs)
        peak = f"{peak_bytes / 1e6:.0f}" if peak_bytes else "-"
        speed = results.content_bytes / 1e6 / wall_s
        lines.append(f"| {name} | {wall_s:.1f} | {cpu_s:.1f} | {speed:,.0f} | {peak} |")
    lines.append(
        f"| rcfs / unzip | {results.ratio('wall_s'):.2f} of its speed | {results.ratio('cpu_s'):.2f} | | |"
    )
    return "\n".join(lines) + "\n"


def _main(arguments: Sequence[str]) -> int:
    if arguments[0] == "fill":
        archive, state = map(Path, arguments[1:])
        sys.stdout.write(json.dumps(attrs.asdict(trio.run(_fill, archive, state))))
        return 0
    megabytes, rounds = (int(each) for each in (*arguments[1:], "1000", "5")[:2])
    with tempfile.TemporaryDirectory(dir=arguments[0], ignore_cleanup_errors=True) as name:
        sys.stdout.write(table(measure(Path(name), megabytes * 1_000_000, rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
