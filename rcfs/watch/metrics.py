"""The status of a mount as metrics of Prometheus, over HTTP and in a file for node_exporter.

Every figure is one of `rcfs.status`. Labels hold names of groups, classes, kinds and states, never anything
about the account or its people; only the further logins have the names that you gave them. Source: https://prometheus.io/docs/practices/naming.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs
import trio
from prometheus_client import Metric, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from rcfs.errors import ConfigError
from rcfs.private import replace_private_file
from rcfs.status import WAIT_BOUNDS_S, ExpiryStatus, GroupStatus, RecordingExpiryStatus, Status
from rcfs.transport import Recorder
from rcfs.watch._families import counter, gauge, seconds
from rcfs.watch._machine_metrics import machine_metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The text format. Source: https://prometheus.io/docs/instrumenting/exposition_formats."""
_REQUEST_BYTES = 8192
"""Longest head of a request: Prometheus sends some 300 bytes."""
_WITHIN_S = 10.0
"""Longest time for one request, the default of Prometheus's ``scrape_timeout``."""
_MOST_CONNECTIONS = 16
"""Most connections at the same time; a further one ends the oldest, so peers that send nothing neither keep
Prometheus waiting nor use up the files that the mount may open."""
_WRITE_EVERY_S = 15.0
"""Time between two writings of the file, a common interval of scrapes."""
_FILE_MODE = 0o644
"""node_exporter runs as another user."""

StatusOf = Callable[[], Awaitable[Status]]


@attrs.frozen
class _Collected(Collector):
    metrics: tuple[Metric, ...]

    def collect(self) -> Iterator[Metric]:
        return iter(self.metrics)


def render_metrics(status: Status) -> bytes:
    """The metrics of `status` in the text format; a figure that is not known is left out."""
    return generate_latest(_Collected(tuple(_metrics(status))))


def _metrics(status: Status) -> Iterator[Metric]:
    yield gauge(
        "rcfs_info", "Always 1, with the version of rcfs.", [((status.version or "",), 1.0)], "version"
    )
    yield gauge("rcfs_start_time_seconds", "When the mount began.", [((), seconds(status.started))])
    up = None if status.network is None else float(status.network == "up")
    yield gauge("rcfs_network_up", "Whether the servers can be reached.", [((), up)])
    refused = None if status.login is None else float(status.login.state == "refused")
    yield gauge("rcfs_login_refused", "Whether the server refuses the login.", [((), refused)])
    hints = None if status.hints is None else float(status.hints.state == "on")
    yield gauge("rcfs_hints_on", "Whether the server tells of changes at once.", [((), hints)])
    yield from _requests(status)
    yield from machine_metrics(status)
    yield from _queue(status)
    yield from _stored(status)
    yield from _losses(status)
    yield from _outbox(status)


def _requests(status: Status) -> Iterator[Metric]:
    requests = status.requests
    by_outcome: Mapping[str, Mapping[str, int]] = {} if requests is None else requests.by_outcome
    yield counter(
        "rcfs_requests",
        "Requests that were sent, by usage plan group and outcome.",
        [
            ((group, outcome), count)
            for group, counts in by_outcome.items()
            for outcome, count in counts.items()
        ],
        "group",
        "outcome",
    )
    content = None if requests is None else requests.content
    yield counter("rcfs_content_requests", "Requests for attachments and recordings.", [((), content)])

    def of_groups(name: str, text: str, figure: Callable[[GroupStatus], float]) -> Metric:
        return gauge(name, text, [((row.group,), figure(row)) for row in status.quota or ()], "group")

    yield of_groups("rcfs_quota_limit", "Requests that a window allows.", lambda row: row.limit)
    yield of_groups("rcfs_quota_used", "Requests of the window that are used.", lambda row: row.used)
    yield of_groups(
        "rcfs_quota_left",
        "Requests that may be sent now; 0 in a penalty.",
        lambda row: row.free,
    )
    yield of_groups("rcfs_quota_window_seconds", "Length of the window.", lambda row: row.window_s)
    yield of_groups("rcfs_quota_penalty_seconds", "Rest of the penalty.", lambda row: row.frozen_for_s)


def _queue(status: Status) -> Iterator[Metric]:
    labels, rows = ("group", "class"), status.queue or ()
    counts = [((row.group, row.priority), row.waiting) for row in rows]
    yield gauge("rcfs_queue_requests", "Requests of this process that wait.", counts, *labels)
    ages = [((row.group, row.priority), row.oldest_s) for row in rows]
    yield gauge("rcfs_queue_oldest_seconds", "For how long the oldest has waited.", ages, *labels)
    waits = HistogramMetricFamily(
        "rcfs_wait_seconds", "Time that requests waited for the quota.", labels=["class"]
    )
    for each in status.waits or ():
        total, buckets = 0, []
        for bound, count in zip((*map(str, WAIT_BOUNDS_S), "+Inf"), each.counts, strict=False):
            total += count
            buckets.append((bound, float(total)))
        waits.add_metric([each.priority], buckets, each.sum_s)
    yield waits
    readers = status.readers
    if readers is not None:
        yield gauge("rcfs_readers_waiting", "Reads and listings that wait.", [((), readers.waiting)])
        yield gauge("rcfs_readers_limit", "Most reads and listings that may wait.", [((), readers.limit)])
        yield gauge("rcfs_readers_reads_limit", "Most reads among those.", [((), readers.reads)])
    traffic = status.traffic
    received, read = (None, None) if traffic is None else (traffic.received_bytes, traffic.read_bytes)
    yield counter("rcfs_received_bytes", "Bytes of contents from the server.", [((), received)])
    yield counter("rcfs_read_bytes", "Bytes that programs have read.", [((), read)])


def _stored(status: Status) -> Iterator[Metric]:
    cache = status.cache
    if cache is not None:
        yield gauge("rcfs_cache_size_bytes", "Size of the cache.", [((), cache.size_bytes)])
        yield gauge("rcfs_cache_limit_bytes", "Largest size of the cache.", [((), cache.limit_bytes)])
        yield gauge("rcfs_cache_contents", "Contents in the cache.", [((), cache.contents)])
        yield counter("rcfs_cache_hits", "Opens that the cache served.", [((), cache.hits)])
        yield counter("rcfs_cache_misses", "Opens that it did not serve.", [((), cache.misses)])
    mailboxes = status.mailboxes
    if mailboxes is not None:
        yield gauge("rcfs_mailboxes_loaded", "Mailboxes in the index.", [((), mailboxes.loaded)])
        yield gauge("rcfs_mailboxes_known", "Mailboxes that there are.", [((), mailboxes.known)])
        yield gauge("rcfs_messages", "Messages in the index.", [((), mailboxes.messages)])
    loading = None if status.loads is None else len(status.loads)
    yield gauge("rcfs_mailboxes_loading", "Mailboxes that are being loaded.", [((), loading)])
    calls = status.calls
    if calls is not None:
        yield gauge("rcfs_calls", "Calls in the index.", [((), calls.calls)])
        yield gauge("rcfs_recordings", "Recordings in the index.", [((), calls.recordings)])


def _losses(status: Status) -> Iterator[Metric]:
    retention, pulls = status.retention, status.pulls
    mailboxes = () if retention is None else retention.mailboxes
    recordings = None if retention is None else retention.recordings
    messages, lacking = sum(row.messages for row in mailboxes), sum(row.uncached for row in mailboxes)
    counts = [(("message",), messages, lacking)]
    if recordings is not None:
        counts.append((("recording",), recordings.recordings, recordings.uncached))
    if retention is not None:
        yield gauge(
            "rcfs_expiring",
            "Messages and recordings that RingCentral deletes within a week.",
            [(labels, number) for labels, number, _lacking in counts],
            "kind",
        )
        yield gauge(
            "rcfs_expiring_uncached_contents",
            "Contents of those that are not whole in the cache.",
            [(labels, number) for labels, _number, number in counts],
            "kind",
        )
    rows: list[ExpiryStatus | RecordingExpiryStatus] = [*mailboxes]
    if recordings is not None:
        rows.append(recordings)
    oldest_s = min((s for row in rows if (s := seconds(row.oldest_uncached)) is not None), default=None)
    loss_s = min((row.loss_in_s for row in rows if row.loss_in_s is not None), default=None)
    yield gauge(
        "rcfs_oldest_unarchived_timestamp_seconds",
        "When the oldest of those was made that are not whole in the cache; missing without any.",
        [((), oldest_s)],
    )
    yield gauge(
        "rcfs_next_loss_seconds",
        "Time until RingCentral deletes the first of those; missing if nothing is lost within a week.",
        [((), loss_s)],
    )
    ends = () if pulls is None else ((("whole",), seconds(pulls.whole)), (("part",), seconds(pulls.part)))
    yield gauge(
        "rcfs_last_good_pull_timestamp_seconds",
        "When the latest pull ended that left nothing out, of the whole account or of a part of it.",
        ends,
        "scope",
    )


def _outbox(status: Status) -> Iterator[Metric]:
    changes, sends = status.outbox, status.sends
    if changes is not None:
        counts = [
            (("waiting",), changes.waiting),
            (("asked",), changes.asked),
            (("held",), changes.held),
        ]
        yield gauge("rcfs_outbox_changes", "Changes that are not confirmed.", counts, "state")
    if sends is not None:
        counts = [
            (("waiting",), sends.waiting),
            (("asked",), sends.asked),
            (("unknown",), sends.unknown),
            (("failed",), sends.failed),
        ]
        yield gauge("rcfs_outbox_sends", "Messages to send that are not confirmed.", counts, "state")
    oldest = [((kind,), seconds(part.since)) for kind, part in (("change", changes), ("send", sends)) if part]
    yield gauge(
        "rcfs_outbox_oldest_timestamp_seconds", "When the oldest of those was wanted.", oldest, "kind"
    )


async def listen(host: str, port: int) -> list[trio.SocketListener]:
    """The sockets on which `serve` answers.

    Raises:
        ConfigError: The address cannot be used.
    """
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as exc:
        raise ConfigError(
            f"--metrics: {host}:{port} cannot be used ({exc.strerror or exc}); choose another port"
        ) from exc


async def serve(listeners: Sequence[trio.SocketListener], recorder: Recorder, status: StatusOf) -> None:
    """Answers requests for ``/metrics`` until it is cancelled."""
    connections: list[trio.CancelScope] = []

    async def answer(stream: trio.SocketStream) -> None:
        if len(connections) >= _MOST_CONNECTIONS:
            connections.pop(0).cancel()
        connection = trio.CancelScope(deadline=trio.current_time() + _WITHIN_S)
        connections.append(connection)
        try:
            with connection:
                async with stream:
                    await stream.send_all(await _answer(await _head(stream), status))
        except trio.BrokenResourceError:
            pass
        except Exception as exc:  # noqa: BLE001 - one request must not end the others
            recorder.crash("metrics", exc)
        finally:
            if connection in connections:
                connections.remove(connection)

    await trio.serve_listeners(answer, list(listeners))


async def _head(stream: trio.SocketStream) -> bytes:
    """The head of a request, or what came of it."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _REQUEST_BYTES:
        piece = await stream.receive_some(_REQUEST_BYTES - len(head))
        if not piece:
            break
        head += piece
    return head


async def _answer(head: bytes, status: StatusOf) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method != b"GET":
        return _response("405 Method Not Allowed", b"only GET\n")
    if path != b"/metrics":
        return _response("404 Not Found", b"the metrics are at /metrics\n")
    return _response("200 OK", render_metrics(await status()))


def _response(state: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {state}\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


async def keep_file(path: Path, recorder: Recorder, status: StatusOf) -> None:
    """Writes the metrics to `path` every 15 s until it is cancelled, and then removes the file.

    A reader sees the old file or the new one, whole. An error is logged once, until a writing succeeds.
    """
    failed = False
    try:
        while True:
            text = render_metrics(await status()).decode()
            try:
                await trio.to_thread.run_sync(partial(replace_private_file, path, text, mode=_FILE_MODE))
                failed = False
            except OSError as exc:
                if not failed:
                    recorder.fault("metrics", f"{path} cannot be written: {exc.strerror or exc}")
                failed = True
            await trio.sleep(_WRITE_EVERY_S)
    finally:
        # Old figures would look like those of a running mount.
        with suppress(OSError):
            path.unlink()  # noqa: ASYNC240 - quick, and the mount ends
