"""The rows that `rcfs top` shows, made from two statuses of a mount."""

from collections.abc import Callable, Sequence

from rcfs.model import format_duration, format_size, one_line
from rcfs.status import GroupStatus, ReaderStatus, SharedStatus, Status, ledger_line

Row = tuple[str, ...]

ORDERS: dict[str, Callable[[ReaderStatus], tuple[object, ...]]] = {
    "latest": lambda row: (row.idle_s, row.pid),
    "bytes": lambda row: (-row.read_bytes, row.pid),
    "opens": lambda row: (-row.opens, row.pid),
    "waiting": lambda row: (-row.waiting, row.pid),
    "name": lambda row: (row.program, row.pid),
}
"""The orders of the readers, by name."""
_BAR = 20
"""Columns of the bar of a quota."""


def headline(now: Status, former: Status | None) -> tuple[str, ...]:
    """Lines about the mount: its state, what arrives and is read, its cache and what waits to be sent."""
    lines = [f"rcfs {now.version or ''} at {now.mountpoint or ''}, up {_time(now.uptime_s)}; {_network(now)}"]
    if now.login is not None and now.login.state == "refused":
        lines.append(f"login refused ({now.login.because or ''}); new credentials: {now.login.command}")
    lines.append(_throughput(now, former))
    cache = now.cache
    if cache is not None:
        ratio = "nothing read yet" if cache.hit_ratio is None else f"{cache.hit_ratio:.0%} of reads hit"
        size = f"{format_size(cache.size_bytes)} of {format_size(cache.limit_bytes)}"
        lines.append(f"cache      {size}, {ratio}")
    if now.ledger is not None:
        lines.append(f"quota      {ledger_line(now.ledger)}")
    if now.shared is not None:
        lines.append(f"shared     {_shared(now.shared)}")
    lines.append(f"outbox     {_outbox(now)}")
    return tuple(map(one_line, lines))


def quota_rows(now: Status) -> list[Row]:
    """Group, bar, used, and when a slot is free; of the further logins with their names."""
    rows = [_quota_row(each.group, each) for each in now.quota or ()]
    for login in now.pool or ():
        if login.because:
            rows.append((login.name, "", "", f"{login.state}: {one_line(login.because)}"))
        else:
            rows += [_quota_row(f"{login.name} {each.group}", each) for each in login.quota]
    return rows


def _quota_row(name: str, row: GroupStatus) -> Row:
    full = min(_BAR, round((row.used + row.left) / row.limit * _BAR)) if row.limit else _BAR
    state = "free now"
    if row.frozen_for_s:
        state = f"penalty for {_time(row.frozen_for_s)}"
    elif row.free_in_s:
        state = f"free in {_time(row.free_in_s)}"
    left = f" +{row.left} left to others" if row.left else ""
    used = f"{row.used}/{row.limit}{left} in {_time(row.window_s)}"
    return (name, "█" * full + "░" * (_BAR - full), used, state)


def queue_rows(now: Status) -> list[Row]:
    """Group, class, waiting requests, age of the oldest, time until the last is sent."""
    return [
        (
            each.group,
            each.priority,
            f"{each.waiting:,}" + (f" +{each.elsewhere:,} elsewhere" if each.elsewhere else ""),
            _time(each.oldest_s),
            _time(each.all_in_s),
        )
        for each in now.queue or ()
    ]


def readers(now: Status, order: str) -> Sequence[ReaderStatus]:
    """The processes that read, in one of `ORDERS`."""
    return sorted(now.readers.programs if now.readers else (), key=ORDERS[order])


def reader_row(each: ReaderStatus, former: Status | None, now: Status) -> Row:
    """Pid, program, files, bytes, bytes a second, waits, and its state."""
    before = {row.pid: row for row in former.readers.programs} if former and former.readers else {}
    rate = ""
    if each.pid in before:
        rate = _rate(each.read_bytes - before[each.pid].read_bytes, _passed_s(now, former))
    idle = "reads" if each.idle_s < 1.0 else f"idle {_time(each.idle_s)}"
    state = "REFUSED" if each.refused else "waits" if each.waiting else idle
    program = one_line(each.program)
    return (
        str(each.pid),
        program,
        f"{each.opens:,}",
        format_size(each.read_bytes),
        rate,
        str(each.waiting),
        state,
    )


def load_rows(now: Status) -> list[Row]:
    """Name of a mailbox or month that is being loaded, pages, messages, time left."""
    rows: list[Row] = [
        (
            one_line(f"{each.number} {each.name}".strip()),
            _part(each.pages, each.of_pages),
            f"{_part(each.messages, each.of_messages)} messages",
            _time(each.left_s),
        )
        for each in now.loads or ()
    ]
    for each in now.calls.loads if now.calls else ():
        owner = "company" if each.extension is None else f"extension {each.extension}"
        records = f"{_part(each.calls, each.of_calls)} calls"
        rows.append(
            (f"{each.month} of {owner}", _part(each.pages, each.of_pages), records, _time(each.left_s))
        )
    return rows


def _network(now: Status) -> str:
    if now.network in ("up", None):
        return f"network {now.network or 'unknown'}"
    return f"network {now.network}: {now.network_problem or ''}"


def _throughput(now: Status, former: Status | None) -> str:
    requests, traffic = now.requests, now.traffic
    if requests is None or traffic is None:
        return "traffic    unknown"
    passed_s = _passed_s(now, former)
    if former is None or former.requests is None or former.traffic is None or passed_s <= 0:
        return f"traffic    {requests.sent:,} requests, {format_size(traffic.received_bytes)} received"
    sent = (requests.sent - former.requests.sent) / passed_s * 60
    received = _rate(traffic.received_bytes - former.traffic.received_bytes, passed_s)
    read = _rate(traffic.read_bytes - former.traffic.read_bytes, passed_s)
    return f"traffic    {sent:,.0f} requests a minute, {received} received, {read} read"


def _shared(shared: SharedStatus) -> str:
    if shared.passed_over_because:
        does = "only read" if shared.is_read else "passed over"
        return f"{does}: {shared.passed_over_because}"
    counts = f"{shared.hits:,} from it, {shared.written:,} written, {shared.waiting:,} waiting"
    return f"{counts}, {shared.dropped:,} could not be written"


def _outbox(now: Status) -> str:
    changes, sends = now.outbox, now.sends
    parts = [
        *([(changes.waiting, "changes wait"), (changes.held, "changes held")] if changes else []),
        *([(sends.waiting, "messages wait"), (sends.unknown, "sent perhaps")] if sends else []),
        *([(sends.failed, "failed")] if sends else []),
    ]
    return ", ".join(f"{count:,} {words}" for count, words in parts if count) or "empty"


def _passed_s(now: Status, former: Status | None) -> float:
    if former is None or former.pid != now.pid:
        return 0.0
    return (now.uptime_s or 0.0) - (former.uptime_s or 0.0)


def _rate(size_bytes: int, passed_s: float) -> str:
    return f"{format_size(max(0, round(size_bytes / passed_s)))}/s" if passed_s > 0 else ""


def _part(number: int, of: int | None) -> str:
    return f"{number:,}" if of is None or of < number else f"{number:,} of {of:,}"


def _time(time_s: float | None) -> str:
    return "" if time_s is None else format_duration(time_s, up=True)
