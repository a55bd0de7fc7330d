import structlog

from rcfs.errors import AuthError, RateLimitedError, ServerError, TransportError
from rcfs.model import iso_time
from rcfs.status import to_json
from rcfs.transport import Recorder, backoff_s


def recorder() -> tuple[Recorder, structlog.testing.CapturingLogger]:
    logger = structlog.testing.CapturingLogger()
    return Recorder(logger), logger


def test_the_wait_doubles_from_2_s_to_a_minute() -> None:
    waits_s = [backoff_s(failures, TransportError("x")) for failures in range(1, 9)]
    assert waits_s == [2, 4, 8, 16, 32, 60, 60, 60]


def test_the_wait_is_never_shorter_than_the_server_asked() -> None:
    assert backoff_s(1, ServerError("x", retry_after_s=90)) == 90
    assert backoff_s(3, ServerError("x", retry_after_s=1)) == 8
    assert backoff_s(3, ServerError("x", retry_after_s=0)) == 8
    assert backoff_s(3, RateLimitedError("x")) == 8


def test_requests_are_counted_by_group_and_outcome() -> None:
    counter, _ = recorder()
    for operation, group, status in [
        ("readMessageContent", "medium", 200),
        ("readMessageContent", "medium", 429),
        ("listMessages", "light", 0),
    ]:
        counter.request(operation, group, status)
    assert to_json(counter.requests()) == {
        "sent": 3,
        "refused": 1,
        "by_group": {"light": 1, "medium": 2},
        "content": 2,
        "by_outcome": {"light": {"unanswered": 1}, "medium": {"ok": 1, "rate_limited": 1}},
    }


def test_faults_are_kept_newest_last_and_notes_are_not_faults() -> None:
    kept, logger = recorder()
    kept.note("mailbox loaded", extension=101)
    for number in range(60):
        kept.fault("request failed", f"reason {number}", key="k")
    assert [fault.detail for fault in kept.faults] == [f"reason {number}" for number in range(10, 60)]
    assert kept.lines[0].endswith(" mailbox loaded extension=101")
    assert kept.lines[-1].endswith(" request failed detail=reason 59 key=k")
    assert [call.method_name for call in logger.calls] == ["info"] + ["warning"] * 60


def test_only_the_newest_lines_are_kept() -> None:
    kept, _ = recorder()
    for number in range(600):
        kept.note("event", number=number)
    assert len(kept.lines) == 500
    assert kept.lines[-1].endswith("number=599")


def test_an_unexpected_error_is_named_but_its_text_goes_to_the_log_only() -> None:
    kept, logger = recorder()
    error = AuthError("the token s3cret was refused")
    kept.crash("content", error)
    assert "s3cret" not in f"{kept.lines} {kept.faults}"
    assert "AuthError" in kept.lines[0]
    (call,) = logger.calls
    assert (call.method_name, call.kwargs) == ("error", {"exc_info": error})


def test_times_are_iso_8601_in_utc() -> None:
    assert iso_time(1793726825.9) == "2026-11-03T17:27:05Z"


def test_lines_and_faults_have_the_time_of_the_given_clock() -> None:
    kept = Recorder(structlog.testing.CapturingLogger(), lambda: 1793726825.9)
    kept.fault("login", "refused")
    assert kept.lines == ("2026-11-03T17:27:05Z login detail=refused",)
    assert kept.faults[0].at_s == 1793726825.9
