"""The metrics of what several machines and logins share: the pool, the quota on a server, the contents."""

from collections.abc import Callable, Iterator

from prometheus_client import Metric

from rcfs.status import GroupStatus, PoolLoginStatus, Status
from rcfs.watch._families import counter, gauge, seconds

_WORKS = ("good", "unused")
"""The states of a further login in which rcfs fetches with it, or will."""


def machine_metrics(status: Status) -> Iterator[Metric]:
    """The metrics of the parts that are shared; none of a part that is not."""
    if status.pool:
        yield from _pool(status.pool)
    if status.ledger is not None:
        ledger = status.ledger
        yield gauge(
            "rcfs_ledger_up", "Whether the server of the quota answers.", [((), float(ledger.state == "up"))]
        )
        yield gauge("rcfs_ledger_peers", "Processes that share the quota.", [((), len(ledger.peers))])
        yield gauge(
            "rcfs_ledger_share_ratio", "Part of each limit that this process uses.", [((), ledger.part)]
        )
        yield gauge(
            "rcfs_ledger_outage_start_timestamp_seconds",
            "Since when the server does not answer; missing if it does.",
            [((), seconds(ledger.since))],
        )
    if status.shared is not None:
        shared = status.shared
        used = float(shared.passed_over_because is None)
        yield gauge("rcfs_shared_up", "Whether the shared store of contents is used.", [((), used)])
        yield counter("rcfs_shared_hits", "Contents that came from the store.", [((), shared.hits)])
        yield counter("rcfs_shared_misses", "Contents that it did not have.", [((), shared.misses)])
        yield counter("rcfs_shared_written", "Contents that were written to it.", [((), shared.written)])
        yield counter(
            "rcfs_shared_failures",
            "Contents that could not be written to it, or were wrong in it.",
            [(("write",), shared.dropped), (("read",), shared.wrong)],
            "operation",
        )
        yield counter(
            "rcfs_shared_claims_taken_over",
            "Claims that were taken over from machines that had died.",
            [((), shared.taken_over)],
        )
        yield gauge("rcfs_shared_waiting", "Contents that wait to be written.", [((), shared.waiting)])
        yield gauge(
            "rcfs_shared_erasures", "Messages whose contents wait to be erased.", [((), shared.to_erase)]
        )


def _pool(pool: tuple[PoolLoginStatus, ...]) -> Iterator[Metric]:
    def of_logins(name: str, text: str, figure: Callable[[PoolLoginStatus], float]) -> Metric:
        return gauge(name, text, [((row.name,), figure(row)) for row in pool], "login")

    def of_groups(name: str, text: str, figure: Callable[[GroupStatus], float]) -> Metric:
        samples = [((row.name, each.group), figure(each)) for row in pool for each in row.quota]
        return gauge(name, text, samples, "login", "group")

    yield of_logins(
        "rcfs_pool_login_up",
        "Whether rcfs fetches with a further login, or will.",
        lambda row: row.state in _WORKS,
    )
    yield of_logins(
        "rcfs_pool_login_refused", "Whether the server refuses it.", lambda row: row.state == "refused"
    )
    yield of_logins(
        "rcfs_pool_closed", "Mailboxes and owners of recordings that it may not read.", lambda row: row.closed
    )
    yield counter(
        "rcfs_pool_contents", "Contents that it brought.", [((r.name,), r.contents) for r in pool], "login"
    )
    yield of_groups("rcfs_pool_quota_limit", "Requests that its window allows.", lambda row: row.limit)
    yield of_groups("rcfs_pool_quota_used", "Requests of its window that are used.", lambda row: row.used)
    yield of_groups(
        "rcfs_pool_quota_left", "Requests that it may send now; 0 in a penalty.", lambda row: row.free
    )
