from rcfs.model import Priority
from rcfs.quota import PERSON_OPENS, READER_WINDOW_S, ReaderClassifier

PERSON, BULK = Priority.PERSON, Priority.BULK


def test_the_first_opens_are_a_persons_and_further_ones_bulk() -> None:
    readers = ReaderClassifier()
    assert [readers.classify("cp", 0.1 * n) for n in range(6)] == [PERSON] * 4 + [BULK] * 2


def test_readers_do_not_share_their_opens() -> None:
    readers = ReaderClassifier()
    for now in range(9):
        readers.classify("cp", float(now))
    assert readers.classify("less", 9.0) is PERSON


def test_the_window_slides() -> None:
    readers = ReaderClassifier()
    opens_s = [0.0, 30.0, 40.0, 50.0, 60.0, 89.9]
    assert [readers.classify(1, now) for now in opens_s] == [PERSON] * 5 + [BULK]


def test_somebody_who_reads_one_after_another_slowly_stays_a_person() -> None:
    readers = ReaderClassifier()
    assert {readers.classify(1, 15.0 * n) for n in range(100)} == {PERSON}


def test_a_bulk_reader_stays_bulk_until_it_has_paused_for_a_window() -> None:
    readers = ReaderClassifier()
    for _ in range(PERSON_OPENS + 1):
        readers.classify("rsync", 0.0)
    assert readers.classify("rsync", 59.9) is BULK
    assert readers.classify("rsync", 119.8) is BULK
    assert readers.classify("rsync", 119.8 + READER_WINDOW_S) is PERSON


def test_the_reader_idle_longest_is_forgotten_when_there_are_too_many() -> None:
    readers = ReaderClassifier()
    for _ in range(PERSON_OPENS + 1):
        readers.classify("old", 0.0)
        readers.classify("busy", 0.0)
    for n in range(10_000):
        readers.classify(n, 1.0)
        assert readers.classify("busy", 1.0) is BULK
    assert len(readers._readers) == 1024
    assert readers.classify("old", 1.0) is PERSON
