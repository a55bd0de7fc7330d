"""Metrics: parsed by Prometheus's own parser, and compared with the status that `rcfs status` shows."""

import json
import re
import shutil
import socket
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import pytest
import structlog
import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from rcfs.errors import ConfigError
from rcfs.status import Status, status_from_json
from rcfs.transport import Recorder
from rcfs.watch import metrics
from rcfs.watch.metrics import render_metrics
from tests.fakes.rig import run_inline

CONTRIB = Path(__file__).parents[3] / "contrib" / "prometheus"
DOCUMENT = {
    "version": "1.2",
    "mountpoint": "/home/jane/ringcentral",
    "started": "2026-11-03T17:27:05Z",
    "network": "up",
    "account": {"id": "400129284008", "name": "Acme"},
    "login": {"state": "good", "because": None, "tried_again_in_s": None},
    "quota": [
        {
            "group": group,
            "used": used,
            "limit": 40,
            "window_s": 60.0,
            "free_in_s": 0.0,
            "frozen_for_s": frozen_s,
            "in_flight": 0,
            "returns": [],
        }
        for group, used, frozen_s in (("medium", 12, 0.0), ("heavy", 1, 30.0))
    ],
    "queue": [
        {
            "group": "medium",
            "class": "bulk",
            "waiting": 7,
            "elsewhere": 0,
            "oldest_s": 75.0,
            "next_in_s": 1.0,
            "all_in_s": 9.0,
            "requests": [{"for": "1/2/3/4", "by": "cp", "waited_s": 75.0, "sent_in_s": 2.7}],
        }
    ],
    "ledger": {
        "server": "redis://host:6379/0",
        "state": "gone",
        "because": "it cannot be reached",
        "peers": ["a:12", "b:34"],
        "since": "2026-11-03T17:27:05Z",
        "part": 0.5,
    },
    "pool": [
        {
            "name": name,
            "state": state,
            "because": None if state == "good" else "OAU-251",
            "quota": [
                {
                    "group": "heavy",
                    "used": 2,
                    "limit": 10,
                    "window_s": 60.0,
                    "free_in_s": 0.0,
                    "frozen_for_s": 0.0,
                    "in_flight": 0,
                    "returns": [],
                    "left": 5,
                }
            ],
            "contents": 120,
            "closed": 3,
        }
        for name, state in (("second", "good"), ("third", "refused"))
    ],
    "shared": {
        "place": "s3://contents/rcfs",
        "passed_over_because": "503 Slow Down",
        "hits": 11,
        "misses": 12,
        "written": 13,
        "waiting": 14,
        "dropped": 15,
        "wrong": 16,
        "taken_over": 17,
        "to_erase": 18,
    },
    "cache": {
        "directory": "/home/jane/.cache/rcfs",
        "size_bytes": 3 << 29,
        "limit_bytes": 10 << 30,
        "contents": 17,
        "hits": 3,
        "misses": 1,
        "hit_ratio": 0.75,
    },
    "requests": {
        "sent": 9,
        "refused": 2,
        "by_group": {"medium": 6, "light": 3},
        "content": 5,
        "by_outcome": {"medium": {"ok": 4, "rate_limited": 2}, "light": {"unanswered": 3}},
    },
    "mailboxes": {"loaded": 2, "known": 6, "messages": 3000},
    "loads": [],
    "outbox": {"waiting": 1, "asked": 2, "held": 3, "since": "2026-11-03T17:00:00Z", "problem": None},
    "sends": {"waiting": 4, "asked": 5, "unknown": 6, "failed": 7, "since": None},
    "retention": {
        "configured_days": 30,
        "asked": None,
        "unknown_because": None,
        "within_days": 7.0,
        "mailboxes": [
            {
                "extension": 62,
                "number": "101",
                "name": "Jane Smith",
                "messages": 5,
                "uncached": 2,
                "first_created": None,
                "first_goes": "2026-11-04T00:00:00Z",
                "first_goes_in_s": 100.0,
                "certain": True,
                "oldest_uncached": "2026-10-05T00:00:00Z",
                "loss_in_s": 7200.0,
            }
        ],
        "recordings": {
            "recordings": 9,
            "uncached": 1,
            "first_started": "2026-08-05T00:00:00Z",
            "first_goes": "2026-11-04T00:00:00Z",
            "first_goes_in_s": 50.0,
            "certain": False,
            "oldest_uncached": "2026-08-06T00:00:00Z",
            "loss_in_s": 3600.0,
        },
    },
    "hints": {"state": "on", "since": None, "mailboxes": 2, "off_because": None},
    "readers": {"waiting": 3, "limit": 400, "reads": 42},
    "waits": [{"class": "bulk", "sum_s": 90.5, "counts": [1, 0, 2, 0, 0, 0, 1, 0, 0, 1]}],
    "traffic": {"received_bytes": 1000, "read_bytes": 2000},
    "pulls": {"whole": "2026-11-03T02:00:00Z", "part": None},
}


def parsed(text: bytes) -> dict[tuple[str, ...], float]:
    """The value of each sample, by its name and the values of its labels in the order of their names."""
    return {
        (sample.name, *(value for _name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def status() -> Status:
    return status_from_json(DOCUMENT)


def test_the_figures_are_those_of_the_status(status: Status) -> None:
    found = parsed(render_metrics(status))
    wanted: dict[tuple[str, ...], float] = {
        ("rcfs_info", "1.2"): 1,
        ("rcfs_network_up",): 1,
        ("rcfs_login_refused",): 0,
        ("rcfs_requests_total", "medium", "ok"): 4,
        ("rcfs_requests_total", "medium", "rate_limited"): 2,
        ("rcfs_requests_total", "light", "unanswered"): 3,
        ("rcfs_content_requests_total",): 5,
        ("rcfs_quota_left", "medium"): 28,
        ("rcfs_quota_left", "heavy"): 0,
        ("rcfs_quota_penalty_seconds", "heavy"): 30,
        ("rcfs_queue_requests", "bulk", "medium"): 7,
        ("rcfs_queue_oldest_seconds", "bulk", "medium"): 75,
        ("rcfs_wait_seconds_count", "bulk"): 5,
        ("rcfs_wait_seconds_sum", "bulk"): 90.5,
        ("rcfs_wait_seconds_bucket", "bulk", "0.01"): 1,
        ("rcfs_wait_seconds_bucket", "bulk", "1.0"): 3,
        ("rcfs_wait_seconds_bucket", "bulk", "7200.0"): 4,
        ("rcfs_wait_seconds_bucket", "bulk", "+Inf"): 5,
        ("rcfs_cache_size_bytes",): 3 << 29,
        ("rcfs_cache_hits_total",): 3,
        ("rcfs_mailboxes_loaded",): 2,
        ("rcfs_messages",): 3000,
        ("rcfs_outbox_changes", "held"): 3,
        ("rcfs_outbox_sends", "unknown"): 6,
        ("rcfs_expiring", "message"): 5,
        ("rcfs_expiring_uncached_contents", "recording"): 1,
        ("rcfs_oldest_unarchived_timestamp_seconds",): 1785974400,
        ("rcfs_next_loss_seconds",): 3600,
        ("rcfs_last_good_pull_timestamp_seconds", "whole"): 1793671200,
        ("rcfs_received_bytes_total",): 1000,
        ("rcfs_readers_waiting",): 3,
        ("rcfs_readers_reads_limit",): 42,
        ("rcfs_ledger_up",): 0,
        ("rcfs_ledger_peers",): 2,
        ("rcfs_ledger_share_ratio",): 0.5,
        ("rcfs_ledger_outage_start_timestamp_seconds",): 1793726825,
        ("rcfs_pool_login_up", "second"): 1,
        ("rcfs_pool_login_up", "third"): 0,
        ("rcfs_pool_login_refused", "third"): 1,
        ("rcfs_pool_quota_left", "heavy", "second"): 3,
        ("rcfs_pool_contents_total", "second"): 120,
        ("rcfs_pool_closed", "second"): 3,
        ("rcfs_shared_up",): 0,
        ("rcfs_shared_hits_total",): 11,
        ("rcfs_shared_misses_total",): 12,
        ("rcfs_shared_written_total",): 13,
        ("rcfs_shared_waiting",): 14,
        ("rcfs_shared_failures_total", "write"): 15,
        ("rcfs_shared_failures_total", "read"): 16,
        ("rcfs_shared_claims_taken_over_total",): 17,
        ("rcfs_shared_erasures",): 18,
    }
    assert {key: found.get(key) for key in wanted} == wanted
    assert ("rcfs_last_good_pull_timestamp_seconds", "part") not in found, "it never ended"
    assert ("rcfs_calls",) not in found, "they are not known"


def test_labels_tell_nothing_personal(status: Status) -> None:
    text = render_metrics(status).decode()
    assert [word for word in ("Jane", "jane", "101", "Acme", "400129284008") if word in text] == []


def test_every_counter_of_requests_adds_up(status: Status) -> None:
    recorder = Recorder(structlog.get_logger())
    for http_status in (200, 200, 429, 404, 503, 0):
        recorder.request("readMessageContent", "medium", http_status)
    requests = recorder.requests()
    assert requests.by_outcome == {
        "medium": {"ok": 2, "rate_limited": 1, "client_error": 1, "server_error": 1, "unanswered": 1}
    }
    found = parsed(render_metrics(attrs.evolve(status, requests=requests)))
    sums = {key[1]: 0.0 for key in found if key[0] == "rcfs_requests_total"}
    for key, value in found.items():
        if key[0] == "rcfs_requests_total":
            sums[key[1]] += value
    assert sums == dict(requests.by_group) == {"medium": requests.sent}


def test_nothing_known_is_nothing_told() -> None:
    assert parsed(render_metrics(Status())) == {("rcfs_info", ""): 1.0}


async def asked(port: int, request: bytes) -> bytes:
    """All that the server answers to `request`."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(request)
        return b"".join([piece async for piece in stream])


async def test_the_server_answers_only_for_metrics(
    status: Status, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_WITHIN_S", 3600)

    async def now() -> Status:  # noqa: ASYNC124 - the mount's is asynchronous
        return status

    listeners = await metrics.listen("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    nursery.start_soon(metrics.serve, listeners, Recorder(structlog.get_logger()), now)
    # Clients that say nothing hold nobody else up, and the oldest are ended.
    async with AsyncExitStack() as stack:
        silent = [
            await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port)) for _ in range(40)
        ]
        with trio.fail_after(60):
            answer = await asked(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            for stream in silent[:25]:
                assert await stream.receive_some(1) == b""
        with trio.move_on_after(0) as open_still:
            await silent[-1].receive_some(1)
        assert open_still.cancelled_caught
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
    assert body == render_metrics(status)
    assert (await asked(port, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    assert (await asked(port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
    assert (await asked(port, b"x" * 8192)).startswith(b"HTTP/1.1 405 ")


async def test_a_port_that_is_used_is_a_plain_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port} cannot be used"):
            await metrics.listen("127.0.0.1", port)


async def test_the_file_is_there_while_the_mount_is(
    status: Status, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trio.to_thread, "run_sync", run_inline)
    texts = []

    async def now() -> Status:  # noqa: ASYNC124 - the mount's is asynchronous
        texts.append(path.read_bytes() if path.exists() else b"")
        return status

    recorder, path = Recorder(structlog.get_logger()), tmp_path / "rcfs.prom"
    with trio.move_on_after(50):
        await metrics.keep_file(path, recorder, now)
    assert texts == [b"", *[render_metrics(status)] * 3]
    assert list(tmp_path.iterdir()) == [], "old figures would look like those of a mount that is up"
    with trio.move_on_after(50):
        await metrics.keep_file(tmp_path / "missing" / "rcfs.prom", recorder, now)
    assert len(recorder.faults) == 1


def test_dashboard_and_alerts_name_metrics_that_there_are(status: Status) -> None:
    names = {key[0] for key in parsed(render_metrics(status))} | {"rcfs_calls", "rcfs_recordings"}
    texts = [(CONTRIB / name).read_text() for name in ("alerts.yml", "dashboard.json")]
    json.loads(texts[1])
    used = {name for text in texts for name in re.findall(r"\brcfs_\w+", text)}
    assert used
    assert used - names == set()


def test_promtool_accepts_the_metrics_and_the_alerts(status: Status) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    text = render_metrics(status)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts-test.yml"]):
        subprocess.run([promtool, *command], cwd=CONTRIB, check=True, capture_output=True)
