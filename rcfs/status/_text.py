"""The texts of ``.rcfs`` for people, made from the status of a running mount.

Every text consists of lines that end with a newline, and holds no character that could disturb a terminal.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from rcfs.model import format_duration, format_size, one_line
from rcfs.status._export_text import export_lines
from rcfs.status._outbox_text import outbox_lines, send_lines
from rcfs.status._pool_text import pool_lines
from rcfs.status._reader_text import reader_lines
from rcfs.status._values import (
    CacheStatus,
    CallLoadStatus,
    CallOwnerStatus,
    CallsStatus,
    ErrorStatus,
    ExpiryStatus,
    GreetingsStatus,
    GroupStatus,
    HintsStatus,
    LedgerStatus,
    LoadStatus,
    LoginStatus,
    MailboxesStatus,
    PoolLoginStatus,
    QueueStatus,
    RecordingExpiryStatus,
    RequestCounts,
    RetentionStatus,
    SharedStatus,
    Status,
    WaitingRequest,
)

_T = TypeVar("_T")

_NO_QUOTA = "no request sent yet"
_NO_QUEUE = "nothing waits"
_NO_ERRORS = "none"
_UNTOLD = "unknown, because its database is busy or fails"
_UNKNOWN = "unknown"
"""Stands for a part that a mount of another version of rcfs does not tell, or tells in another form."""
_NAMED_OWNERS = 5
"""The status names at most 5 owners of calls, and 5 missing lists, and counts the others."""
_NAMED_EXPIRIES = 5
"""The status names at most 5 mailboxes that lose messages soon, and counts the others."""

_BARS = " ▁▂▃▄▅▆▇█"
"""Characters for 0 to 8 slots that return within one column of a chart."""
_FROZEN = "░"
_CHART_KEY = (
    f"Each column: how many slots return then ({_BARS[1]} 1, {_BARS[-1]} 8 or more; {_FROZEN} penalty)."
)


def render_status(status: Status) -> str:
    """The state of a mount at a glance, as ``rcfs status`` prints it."""
    account, readers = status.account, status.readers
    up = _UNKNOWN if status.uptime_s is None else _time(status.uptime_s)
    rows = [
        ("account", f"{account.name or 'unnamed'} ({account.id})" if account else _UNKNOWN),
        ("server", _server_line(status)),
        *_login_rows(status.login),
        ("process", f"{status.pid or _UNKNOWN}, up {up}, since {status.started or _UNKNOWN}"),
        *_labelled("quota", _each(status.quota, lambda row: f"{row.group}: {_budget(row)}", _NO_QUOTA)),
        *([("", ledger_line(status.ledger))] if status.ledger else []),
        *_labelled("pool", pool_lines(status.pool or ())),
        *_labelled("queue", _each(status.queue, _queue_line, _NO_QUEUE)),
        ("cache", _cache_line(status.cache)),
        *_labelled("shared", _shared_lines(status.shared)),
        ("requests", _requests_line(status.requests) if status.requests else _UNKNOWN),
        ("mailboxes", _mailboxes_line(status.mailboxes)),
        *(("", f"loading {_loading_line(row)}") for row in status.loads or ()),
        *_labelled("calls", _call_lines(status.calls)),
        *_labelled("greetings", _greeting_lines(status.greetings)),
        *_labelled("exports", export_lines(status.exports) if status.exports else [_UNKNOWN]),
        *_labelled("outbox", [*outbox_lines(status.outbox), *send_lines(status.sends)]),
        ("hints", _hints_line(status.hints) if status.hints else _UNKNOWN),
        *_labelled("retention", _retention_lines(status.retention)),
        *_labelled("readers", reader_lines(readers) if readers else [_UNKNOWN]),
        *_labelled("errors", _each(status.errors, _error_line, _NO_ERRORS)),
    ]
    return _lines([f"rcfs {status.version or _UNKNOWN} at {status.mountpoint or _UNKNOWN}", *_table(rows)])


def render_quota(
    groups: Sequence[GroupStatus], ledger: LedgerStatus | None = None, pool: Sequence[PoolLoginStatus] = ()
) -> str:
    """The budget of each usage plan group, with a small chart of when its used slots return.

    The budgets of the logins in `pool` follow.
    """
    lines = [*([ledger_line(ledger)] if ledger else []), *_quota_lines(groups)]
    for login in pool:
        lines += [*([""] if lines else []), f"login {login.name}:", *_quota_lines(login.quota)]
    return _lines([*lines, "", _CHART_KEY] if lines else [_NO_QUOTA])


def _quota_lines(groups: Sequence[GroupStatus]) -> list[str]:
    lines = []
    for row, line in zip(groups, _table([(row.group, _budget(row)) for row in groups]), strict=True):
        lines.append(line)
        if row.used or row.frozen_for_s:
            lines += _chart(row)
    return lines


def ledger_line(ledger: LedgerStatus) -> str:
    """The server that keeps the quota, and the processes that share it."""
    many = len(ledger.peers)
    if ledger.because:
        since = f" (since {ledger.since})" if ledger.since else ""
        share = f"uses 1/{round(1 / ledger.part)} of each limit" if ledger.part else "sends nothing"
        waits = f"waits {_time(ledger.waits_s)}, and then " if ledger.waits_s and ledger.part else ""
        return f"{ledger.because}{since}; until it is back, rcfs {waits}{share}"
    line = f"shared by {many} through {ledger.server}: {', '.join(ledger.peers)}"
    if ledger.awaited:
        names = ", ".join(ledger.awaited)
        line += f"; it has lost changes, so rcfs waits for {names}, {_time(ledger.waits_s)} at most"
    return line


def render_queue(queue: Sequence[QueueStatus], loads: Sequence[LoadStatus] = ()) -> str:
    """The waiting requests, one group and class per line with its first requests below; then the loads."""
    lines = []
    rows = _table([(row.group, row.priority, _waiting(row)) for row in queue])
    for row, line in zip(queue, rows, strict=True):
        lines.append(line)
        lines += [f"  {text}" for text in _table([_request(request) for request in row.requests])]
        unnamed = row.waiting - len(row.requests)
        if row.requests and unnamed:
            lines.append(f"  and {unnamed:,} more")
    lines += [f"loading the mailbox of {_loading_line(row)}" for row in loads]
    return _lines(lines or [_NO_QUEUE])


def render_errors(errors: Sequence[ErrorStatus]) -> str:
    """The latest errors, one per line, oldest first."""
    return _lines(_each(errors, _error_line, _NO_ERRORS))


def _each(rows: Sequence[_T] | None, text: Callable[[_T], str], none: str) -> Sequence[str]:
    """The text of each of `rows`; only `none` where `rows` is empty."""
    if rows is None:
        return [_UNKNOWN]
    return [text(row) for row in rows] or [none]


def _server_line(status: Status) -> str:
    trouble = "" if status.network in ("up", None) else f" ({status.network})"
    problem = status.network_problem
    return f"{status.server or _UNKNOWN}{trouble}" + (f": {one_line(problem)}" if problem else "")


def _login_rows(login: LoginStatus | None) -> Sequence[tuple[str, str]]:
    """A line for a login that the server refused; no line for a good login."""
    if login is None or login.state != "refused":
        return ()
    what = f"refused ({one_line(login.because or '')}); cached files work"
    if login.tried_again_in_s is None:
        return (("login", f"{what}; only you can log in again: {login.command}"),)
    again = _time(login.tried_again_in_s)
    return (("login", f"{what}, rcfs tries again in {again}; new credentials: {login.command}"),)


def _budget(row: GroupStatus) -> str:
    left = f", {row.left} left to other machines" if row.left else ""
    used = f"{row.used} of {row.limit} used in {_time(row.window_s)}{left}"
    if row.frozen_for_s:
        return f"{used}, penalty for {_time(row.frozen_for_s)}"
    if row.free_in_s:
        return f"{used}, next free in {_time(row.free_in_s)}"
    return used


def _queue_line(row: QueueStatus) -> str:
    return f"{row.group} {row.priority}: {_waiting(row)}"


def _waiting(row: QueueStatus) -> str:
    if not row.waiting:
        return f"{row.elsewhere:,} waiting in other processes"
    count = f"{row.waiting:,} waiting"
    others = f" (+{row.elsewhere:,} in other processes)" if row.elsewhere else ""
    outlook = f"next in {_time(row.next_in_s or 0.0)}"
    if row.waiting > 1:
        outlook += f", last in {_time(row.all_in_s or 0.0)}"
    return f"{count}{others}, oldest {_time(row.oldest_s)}; {outlook}"


def _request(request: WaitingRequest) -> tuple[str, ...]:
    since, until = _time(request.waited_s), _time(request.sent_in_s)
    return request.by or "rcfs", request.label, f"for {since}, {until} to go"


def _chart(row: GroupStatus) -> Sequence[str]:
    """A chart of when the used slots return within the next window, and of how long the group is frozen."""
    columns = len(row.returns)
    frozen = math.ceil(row.frozen_for_s / row.window_s * columns)
    bars = "".join(
        _FROZEN if i < frozen else _BARS[min(count, len(_BARS) - 1)] for i, count in enumerate(row.returns)
    )
    in_flight = f" {row.in_flight:,} in flight" if row.in_flight else ""
    end = _time(row.window_s)
    return f"  |{bars}|{in_flight}", f"   now{end:>{columns - 3}}"


def _cache_line(cache: CacheStatus | None) -> str:
    if cache is None:
        return _UNTOLD
    size = f"{format_size(cache.size_bytes)} of {format_size(cache.limit_bytes)}"
    ratio = "nothing read yet" if cache.hit_ratio is None else f"{cache.hit_ratio:.0%} of reads hit"
    return f"{size}, {_count(cache.contents, 'content')}, {ratio}, in {cache.directory}"


def _shared_lines(shared: SharedStatus | None) -> list[str]:
    """How the store of several machines is used; nothing if contents are not shared."""
    if shared is None:
        return []
    asked = f"{_count(shared.hits, 'content')} from it, {shared.misses:,} not in it"
    lines = [f"{shared.place}: {asked}, {shared.written:,} written, {shared.waiting:,} waiting"]
    if shared.passed_over_because is not None:
        lines.append(f"{'only read' if shared.is_read else 'passed over'}: {shared.passed_over_because}")
    for count, text in (
        (shared.dropped, "could not be written"),
        (shared.wrong, "wrong or damaged, so fetched again"),
        (shared.taken_over, "taken over from a machine that died"),
    ):
        if count:
            lines.append(f"{_count(count, 'content')} {text}")
    if shared.to_erase:
        lines.append(f"the contents of {_count(shared.to_erase, 'purged message')} wait to be erased")
    return lines


def _requests_line(requests: RequestCounts) -> str:
    groups = ", ".join(f"{group} {sent:,}" for group, sent in sorted(requests.by_group.items()))
    sent = f"{requests.sent:,} sent" + (f" ({groups})" if groups else "")
    return f"{sent}, {requests.content:,} for content, {requests.refused:,} refused"


def _mailboxes_line(mailboxes: MailboxesStatus | None) -> str:
    if mailboxes is None:
        return _UNTOLD
    messages = _count(mailboxes.messages, "message")
    off = f"; none can be read: {mailboxes.off_because}" if mailboxes.off_because else ""
    return f"{mailboxes.loaded:,} of {mailboxes.known:,} loaded, {messages}{off}"


def _loading_line(row: LoadStatus) -> str:
    """How far the load of a mailbox is: its pages and messages so far, and how long the rest takes."""
    owner, since = _owner(row), _time(row.since_s)
    if not row.pages:
        return f"{owner}: no page yet, for {since}"
    pages = _part(row.pages, row.of_pages, "page")
    if row.left_s is None:
        return f"{owner}: {pages}, {_count(row.messages, 'message')} in {since}; the total is not known"
    messages = _part(row.messages, row.of_messages, "message")
    return f"{owner}: {pages}, {messages}; about {_time(row.left_s)} to go"


def _part(number: int, of: int | None, noun: str) -> str:
    """``3 of 12 pages``; just ``3 pages`` where the total is not known, or was too small."""
    return _count(number, noun) if of is None or of < number else f"{number:,} of {_count(of, noun)}"


def _owner(row: LoadStatus | ExpiryStatus | CallOwnerStatus) -> str:
    return f"{row.number} {row.name}".strip() or f"extension {row.extension}"


def _call_lines(calls: CallsStatus | None) -> list[str]:
    """How many calls and recordings are known, of whom, what is missing, and whether rcfs can keep up."""
    if calls is None:
        return [_UNTOLD]
    if calls.off_because:
        return [f"none: {calls.off_because}"]
    lines = [f"{_count(calls.calls, 'call')}, {_count(calls.recordings, 'recording')}"]
    if calls.company_refused:
        lines.append(f"each extension's own log, since {calls.company_refused}")
    if calls.recordings_refused:
        lines.append(f"recordings cannot be read: {calls.recordings_refused}")
    owners = [row for row in calls.owners if row.extension is not None]
    lines += [
        f"{_owner(row)}: {_count(row.calls, 'call')}, {_count(row.recordings, 'recording')}"
        for row in owners[:_NAMED_OWNERS]
    ]
    if len(owners) > _NAMED_OWNERS:
        lines.append(f"and calls of {_count(len(owners) - _NAMED_OWNERS, 'more extension')}")
    lines += [f"loading {_call_loading_line(row)}" for row in calls.loads]
    new, possible = calls.recordings_a_day, calls.fetched_a_day
    whose = "this login" if calls.logins == 1 else f"your {calls.logins} logins"
    if new is not None and new > possible:
        lines += [
            f"about {new:,.0f} new recordings a day; {whose} can fetch at most {possible:,.0f}",
            f"a copy of all falls {new - possible:,.0f} a day behind; more logins or a higher limit help",
        ]
    return lines


def _call_loading_line(row: CallLoadStatus) -> str:
    whose = "the company" if row.extension is None else f"extension {row.extension}"
    log, since = f"{row.month} of {whose}", _time(row.since_s)
    if not row.pages:
        return f"{log}: no page yet, for {since}"
    pages, calls = _part(row.pages, row.of_pages, "page"), _part(row.calls, row.of_calls, "call")
    left = "the total is not known" if row.left_s is None else f"about {_time(row.left_s)} to go"
    return f"{log}: {pages}, {calls}; {left}"


def _greeting_lines(greetings: GreetingsStatus | None) -> list[str]:
    """How many lists are loaded, and why others do not exist."""
    if greetings is None:
        return [_UNTOLD]
    absent = greetings.absent
    lines = [f"{_count(greetings.loaded, 'list')} loaded" if greetings.loaded else "none loaded yet"]
    lines += [f"no {row.collection}: {row.because}" for row in absent[:_NAMED_OWNERS]]
    if len(absent) > _NAMED_OWNERS:
        lines.append(f"and {_count(len(absent) - _NAMED_OWNERS, 'more list')} that do not exist")
    return lines


def _hints_line(hints: HintsStatus) -> str:
    if hints.state == "on":
        logs = f" and {_count(hints.call_logs, 'call log')}" if hints.call_logs else ""
        return f"on since {hints.since}, for {_count(hints.mailboxes, 'mailbox', 'es')}{logs}"
    return f"off: {hints.off_because}"


def _retention_lines(retention: RetentionStatus | None) -> list[str]:
    """How long the platform keeps messages, how certain that is, and which go next."""
    if retention is None:
        return [_UNTOLD]
    days, rows = retention.configured_days, retention.mailboxes
    known = (
        f"faxes and voicemail for {_count(days, 'day')}, as your account is set"
        if days is not None
        else f"faxes and voicemail: not known, because {retention.unknown_because}"
    )
    recordings = f"recordings {retention.recording_days} (30 on a HIPAA account, which no request tells)"
    lines = [f"{known}; sent faxes 30 days, the trash about 5, {recordings}, as documented"]
    lines += [
        f"{_owner(row)}: the first of {_count(row.messages, 'message')} {_going(row)};"
        f" {_count(row.uncached, 'attachment')} not cached"
        for row in rows[:_NAMED_EXPIRIES]
    ]
    if len(rows) > _NAMED_EXPIRIES:
        uncached = sum(row.uncached for row in rows[_NAMED_EXPIRIES:])
        others = _count(len(rows) - _NAMED_EXPIRIES, "more mailbox", "es")
        lines.append(f"and messages of {others}; {_count(uncached, 'attachment')} not cached")
    if retention.recordings is not None:
        lines.append(_recordings_line(retention.recordings))
    elif not rows:
        lines.append(f"RingCentral deletes nothing within {retention.within_days:.0f} days")
    return lines


def _recordings_line(row: RecordingExpiryStatus) -> str:
    return (
        f"calls: the first of {_count(row.recordings, 'recording')} {_going(row)};"
        f" {row.uncached:,} not cached"
    )


def _going(row: ExpiryStatus | RecordingExpiryStatus) -> str:
    """In words, when the first message of a mailbox goes, or the first recording."""
    if row.first_goes_in_s <= 0:
        return "is overdue"
    return f"{'goes' if row.certain else 'should go'} in {_time(row.first_goes_in_s)}"


def _error_line(row: ErrorStatus) -> str:
    return f"{row.at} {row.event} {row.detail}".rstrip()


def _labelled(label: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Rows of a table; only the first shows the label."""
    return [(label if index == 0 else "", text) for index, text in enumerate(texts)]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """`rows` with columns aligned to the left, two spaces apart."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _lines(lines: Iterable[str]) -> str:
    return "".join(one_line(line) + "\n" for line in lines)


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def _time(time_s: float) -> str:
    """A duration for people, rounded up."""
    return format_duration(time_s, up=True)
