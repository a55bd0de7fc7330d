"""The book and the share of a process whose home is out of reach."""

import math

from rcfs.errors import SharedLedgerError
from rcfs.model import Plan, UsageGroup
from rcfs.quota import Book, MemoryHome, Reply
from rcfs.quota._replica import Replica

MEDIUM = UsageGroup("medium")


class Remote(MemoryHome):
    """A home that may be out of reach."""

    forgets = True
    promised_s = 0.0
    is_cut = False

    def store(self, book: Book, version: int, *, patient: bool) -> Reply:  # type: ignore[override]
        if self.is_cut:
            raise SharedLedgerError("the answer is lost")
        return super().store(book, version, patient=patient)


def test_after_a_lost_answer_it_uses_the_smaller_of_the_shares_that_the_home_may_have() -> None:
    book = Book({MEDIUM: Plan(12)})
    owners = ["me", "other", "third"]
    for other in owners[1:]:
        book.enter(other)
        book.outage.note(other, 1, owners, 0.0)
    home = Remote(book=book, owner="me", is_alive=lambda _owner: True)
    replica = Replica(home, lambda _line: None)
    assert replica.store()
    home.is_cut = True
    replica.change(lambda book: book.remove_owner("third", 1.0))
    replica.change(lambda _book: None)
    assert replica.book.outage.divisors["me"] == 2, "a half is free now"
    assert replica.apart is not None
    assert replica.apart.share(Plan(12), math.inf).left == 12 - 4
