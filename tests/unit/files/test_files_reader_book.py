"""The processes that read, and those that are refused."""

import attrs
import pytest
import structlog
import trio
from trio.testing import MockClock

from rcfs.errors import NotFoundError, NotPermittedError
from rcfs.files import Reader, Waits
from rcfs.files._reader_book import ReaderBook, RefusedReaderError
from rcfs.quota import Opener
from rcfs.transport import Recorder
from tests.fakes.askers import Somebody

SHELL = (1, 1)


def process(pid: int, name: str = "cp", user: str = "1000", above: tuple[object, ...] = ()) -> Somebody:
    line = ((pid, 7), *above)
    return Somebody(Reader(name, Opener(line, 1, user), line=line), number=pid)


CP = process(5)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def book(waits: Waits) -> ReaderBook:
    return ReaderBook(waits, Recorder(structlog.get_logger()))


async def test_opens_and_bytes_are_counted_for_each_process(book: ReaderBook) -> None:  # noqa: ASYNC124 - the book asks trio's clock
    book.opened(CP)
    book.opened(CP)
    book.was_read(CP, 70)
    book.opened(process(6, "cat"))
    shown = book.status()
    assert [(row.pid, row.program, row.opens, row.read_bytes) for row in shown] == [
        (6, "cat", 1, 0),
        (5, "cp", 2, 70),
    ]
    assert not any(row.refused for row in shown)


async def test_a_process_that_is_gone_or_idle_is_no_reader(
    book: ReaderBook, autojump_clock: MockClock
) -> None:
    book.opened(CP)
    book.opened(process(0))  # the number of a process that is gone
    assert [row.pid for row in book.status()] == [5]
    await trio.sleep(61)
    assert book.status() == ()


async def test_a_refused_process_and_those_below_it_get_nothing_until_it_is_released(
    book: ReaderBook, waits: Waits, nursery: trio.Nursery
) -> None:
    script = process(5, "sh")
    child, other = process(6, "cat", above=((5, 7), SHELL)), process(7, above=(SHELL,))
    failed: list[Exception] = []

    async def wait() -> None:
        try:
            await waits.until(child, trio.sleep_forever, within_s=600)
        except RefusedReaderError as exc:
            failed.append(exc)

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    book.opened(script)
    book.require_welcome(child)
    assert book.refuse(5, by=process(9, user="1000")) == "sh (5) gets EBUSY until it is released"
    await trio.testing.wait_all_tasks_blocked()
    assert len(failed) == 1, "its wait has ended"
    for refused in (script, child):
        with pytest.raises(RefusedReaderError):
            book.require_welcome(refused)
    book.require_welcome(other)
    assert [row.refused for row in book.status()] == [True]
    assert book.release(5, by=script) == "sh (5) may read again"
    book.require_welcome(child)


async def test_only_the_user_of_a_process_and_of_the_mount_may_refuse_it(book: ReaderBook) -> None:  # noqa: ASYNC124 - the book asks trio's clock
    book.opened(CP)
    with pytest.raises(NotPermittedError):
        book.refuse(5, by=process(9, user="1001"))
    book.require_welcome(CP)
    book.refuse(5, by=process(9, user="0"))
    with pytest.raises(NotPermittedError):
        book.release(5, by=process(9, user="1001"))
    with pytest.raises(NotFoundError):
        book.refuse(77, by=CP)


async def test_a_number_that_is_used_again_is_not_refused(book: ReaderBook) -> None:  # noqa: ASYNC124 - the book asks trio's clock
    book.opened(CP)
    book.refuse(5, by=CP)
    later = attrs.evolve(CP.reader(), line=((5, 8),))
    book.require_welcome(Somebody(later, number=5))
