from rcfs.model import Priority
from rcfs.quota import (
    ELSEWHERE_OPENS,
    OPENS_WINDOW_S,
    PERSON_OPENS,
    SESSION_OPENS,
    USER_OPENS,
    OpenClassifier,
    Opener,
)

PERSON, BULK = Priority.PERSON, Priority.BULK
SHELL = "shell"
"""A script without job control: all that it starts is of one group and session."""


def below(*jobs: str, session: str = "s") -> Opener:
    """A process, and those above it."""
    return Opener(jobs, session, "u")


def classes(readers: OpenClassifier, *openers: Opener, at_s: float = 0.0) -> list[Priority]:
    return [readers.classify(opener, "Fax", at_s) for opener in openers]


def copying(readers: OpenClassifier, *jobs: str, place: str = "Fax", at_s: float = 0.0) -> None:
    """Lets one process become bulk."""
    for _ in range(PERSON_OPENS + 1):
        readers.classify(below(*jobs), place, at_s)


def test_the_first_opens_are_a_persons_and_further_ones_bulk() -> None:
    assert classes(OpenClassifier(), *[below("cp")] * 6) == [PERSON] * 4 + [BULK] * 2


def test_readers_do_not_share_their_opens() -> None:
    readers = OpenClassifier()
    copying(readers, "cp")
    assert classes(readers, below("less")) == [PERSON]


def test_the_window_slides() -> None:
    readers = OpenClassifier()
    opens_s = [0.0, 30.0, 40.0, 50.0, 60.0, 89.9]
    assert [readers.classify(below("cp"), "Fax", at_s) for at_s in opens_s] == [PERSON] * 5 + [BULK]


def test_somebody_who_reads_one_after_another_slowly_stays_a_person() -> None:
    readers = OpenClassifier()
    assert {readers.classify(below("less"), "Fax", 15.0 * n) for n in range(100)} == {PERSON}


def test_a_bulk_reader_stays_bulk_until_it_has_paused_for_a_window() -> None:
    readers = OpenClassifier()
    copying(readers, "rsync")
    times = (59.9, 119.8, 119.8 + OPENS_WINDOW_S)
    assert [readers.is_bulk(below("rsync"), at_s) for at_s in (59.9, 60.0)] == [True, False]
    assert [readers.classify(below("rsync"), "Fax", at_s) for at_s in times] == [BULK, BULK, PERSON]


def test_a_person_beside_a_job_of_the_same_program_in_the_same_script() -> None:
    """`xargs -0 cat &`, then `cat`."""
    readers = OpenClassifier()
    for n in range(40):
        assert classes(readers, below("cat 1", "xargs", SHELL)) == [PERSON if n < PERSON_OPENS else BULK]
    assert classes(readers, below("cat 2", SHELL)) == [PERSON]


def test_a_person_who_looked_before_the_job_began() -> None:
    readers = OpenClassifier()
    assert classes(readers, below("cat 1", SHELL), below("cat 2", SHELL)) == [PERSON] * 2
    for _ in range(20):
        readers.classify(below("cat 3", "xargs", SHELL), "Fax", 0.0)
    assert classes(readers, below("cat 4", SHELL)) == [PERSON]


def test_a_process_for_each_file() -> None:
    """`find -exec cat {} \\;`, `xargs -P -n 1`, parallel, a loop in a script."""
    for above in (("find", SHELL), (SHELL,)):
        readers = OpenClassifier()
        opens = [below(f"cat {n}", *above) for n in range(20)]
        assert classes(readers, *opens) == [PERSON] * PERSON_OPENS + [BULK] * 16
        # Beside a loop of the script itself only what is not of the script is a person's.
        assert classes(readers, below("cat x", SHELL)) == [PERSON if "find" in above else BULK]


def test_a_shell_and_a_process_for_each_file() -> None:
    """`find -exec sh -c 'cat "$1"; true' _ {} \\;`"""
    opens = [below(f"cat {n}", f"sh {n}", "find", SHELL) for n in range(20)]
    assert classes(OpenClassifier(), *opens) == [PERSON] * PERSON_OPENS + [BULK] * 16


def test_a_walker_for_every_few_files_is_part_of_a_walk() -> None:
    """`xargs -n 5 cat`: each process is found out with its last file."""
    readers = OpenClassifier()
    opens = [below(f"cat {n}", "xargs", SHELL) for n in range(20) for _ in range(5)]
    assert classes(readers, *opens).count(PERSON) <= SESSION_OPENS
    # Within a window of it, none is a person's any more; and the script above is free.
    later = [below(f"cat {n}", "xargs", SHELL) for n in range(20, 24) for _ in range(5)]
    assert set(classes(readers, *later)) == {BULK}


def test_one_process_that_copies_and_shows() -> None:
    """mc, or a file manager with a viewer of its own."""
    readers = OpenClassifier()
    assert readers.classify(below("mc"), "Voicemail", 0.0) is PERSON
    copying(readers, "mc")
    shown = [readers.classify(below("mc"), "Voicemail", 1.0) for _ in range(ELSEWHERE_OPENS + 1)]
    assert shown == [PERSON] * ELSEWHERE_OPENS + [BULK]
    assert readers.classify(below("mc"), "Fax", 2.0) is BULK, "the copy is bulk all the while"
    assert readers.classify(below("mc"), "SMS", 2.0) is BULK
    assert readers.classify(below("mc"), "SMS", 59.0) is BULK
    assert readers.classify(below("mc"), "Voicemail", 61.1) is PERSON, "once a window has passed"


def test_a_walk_from_place_to_place_gets_little_more() -> None:
    readers = OpenClassifier()
    opens = [readers.classify(below("cp"), f"month {n // 3}", n * 1.5) for n in range(400)]
    for start in range(360):
        assert opens[start : start + 40].count(PERSON) <= PERSON_OPENS + ELSEWHERE_OPENS
    assert opens[40:].count(PERSON) <= 360 / 40 * ELSEWHERE_OPENS


def test_a_session_and_a_user_have_their_bounds() -> None:
    readers = OpenClassifier()
    assert classes(readers, *[below(f"cat {n}") for n in range(30)]).count(PERSON) == SESSION_OPENS
    assert classes(readers, below("cat", session="other")) == [PERSON]
    readers = OpenClassifier()
    opens = [below(f"cat {n}", session=f"s {n}") for n in range(50)]
    assert classes(readers, *opens).count(PERSON) == USER_OPENS
    assert readers.classify(Opener(("cat",), "s", "somebody else"), "Fax", 0.0) is PERSON


def test_the_job_idle_longest_is_forgotten_when_there_are_too_many() -> None:
    readers = OpenClassifier()
    copying(readers, "old")
    copying(readers, "busy")
    for n in range(10_000):
        readers.classify(Opener((n,), n, n), "Fax", 1.0)
        assert readers.classify(below("busy"), "Fax", 1.0) is BULK
    assert len(readers._jobs) == len(readers._granted) == 1024
    assert not readers.is_bulk(below("old"), 1.0)
