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
    """The opener of a process, and those above it."""
    return Opener(jobs, session, "u")


def classes(classifier: OpenClassifier, *openers: Opener, at_s: float = 0.0) -> list[Priority]:
    return [classifier.classify(opener, "Fax", at_s) for opener in openers]


def copying(classifier: OpenClassifier, *jobs: str, place: str = "Fax", at_s: float = 0.0) -> None:
    """Lets one process become bulk."""
    for _ in range(PERSON_OPENS + 1):
        classifier.classify(below(*jobs), place, at_s)


def test_the_first_opens_are_a_persons_and_further_ones_bulk() -> None:
    assert classes(OpenClassifier(), *[below("cp")] * 6) == [PERSON] * 4 + [BULK] * 2


def test_processes_do_not_share_their_opens() -> None:
    classifier = OpenClassifier()
    copying(classifier, "cp")
    assert classes(classifier, below("less")) == [PERSON]


def test_the_window_slides() -> None:
    classifier = OpenClassifier()
    opens_s = [0.0, 30.0, 40.0, 50.0, 60.0, 89.9]
    assert [classifier.classify(below("cp"), "Fax", at_s) for at_s in opens_s] == [PERSON] * 5 + [BULK]


def test_slow_reading_of_one_file_after_another_stays_a_persons() -> None:
    classifier = OpenClassifier()
    assert {classifier.classify(below("less"), "Fax", 15.0 * n) for n in range(100)} == {PERSON}


def test_a_bulk_process_stays_bulk_until_it_has_paused_for_a_window() -> None:
    classifier = OpenClassifier()
    copying(classifier, "rsync")
    times = (59.9, 119.8, 119.8 + OPENS_WINDOW_S)
    assert [classifier.is_bulk(below("rsync"), at_s) for at_s in (59.9, 60.0)] == [True, False]
    assert [classifier.classify(below("rsync"), "Fax", at_s) for at_s in times] == [BULK, BULK, PERSON]


def test_a_person_beside_a_job_of_the_same_program_in_the_same_script() -> None:
    """`xargs -0 cat &`, then `cat`."""
    classifier = OpenClassifier()
    for n in range(40):
        assert classes(classifier, below("cat 1", "xargs", SHELL)) == [PERSON if n < PERSON_OPENS else BULK]
    assert classes(classifier, below("cat 2", SHELL)) == [PERSON]


def test_a_person_who_looked_before_the_job_began() -> None:
    classifier = OpenClassifier()
    assert classes(classifier, below("cat 1", SHELL), below("cat 2", SHELL)) == [PERSON] * 2
    for _ in range(20):
        classifier.classify(below("cat 3", "xargs", SHELL), "Fax", 0.0)
    assert classes(classifier, below("cat 4", SHELL)) == [PERSON]


def test_a_process_for_each_file() -> None:
    """`find -exec cat {} \\;`, `xargs -P -n 1`, parallel, a loop in a script."""
    for above in (("find", SHELL), (SHELL,)):
        classifier = OpenClassifier()
        opens = [below(f"cat {n}", *above) for n in range(20)]
        assert classes(classifier, *opens) == [PERSON] * PERSON_OPENS + [BULK] * 16
        # Beside a loop of the script itself only what is not of the script is a person's.
        assert classes(classifier, below("cat x", SHELL)) == [PERSON if "find" in above else BULK]


def test_a_shell_and_a_process_for_each_file() -> None:
    """`find -exec sh -c 'cat "$1"; true' _ {} \\;`"""
    opens = [below(f"cat {n}", f"sh {n}", "find", SHELL) for n in range(20)]
    assert classes(OpenClassifier(), *opens) == [PERSON] * PERSON_OPENS + [BULK] * 16


def test_a_job_that_starts_a_walker_for_every_few_files_walks_itself() -> None:
    """`xargs -n 5 cat`: the last file of each process shows that it walks."""
    classifier = OpenClassifier()
    opens = [below(f"cat {n}", "xargs", SHELL) for n in range(20) for _ in range(5)]
    assert classes(classifier, *opens).count(PERSON) <= SESSION_OPENS
    # Within a window of it, none is a person's any more; and the script above is free.
    later = [below(f"cat {n}", "xargs", SHELL) for n in range(20, 24) for _ in range(5)]
    assert set(classes(classifier, *later)) == {BULK}


def test_a_process_that_copies_and_also_shows_files() -> None:
    """mc, or a file manager with a viewer of its own."""
    classifier = OpenClassifier()
    assert classifier.classify(below("mc"), "Voicemail", 0.0) is PERSON
    copying(classifier, "mc")
    shown = [classifier.classify(below("mc"), "Voicemail", 1.0) for _ in range(ELSEWHERE_OPENS + 1)]
    assert shown == [PERSON] * ELSEWHERE_OPENS + [BULK]
    assert classifier.classify(below("mc"), "Fax", 2.0) is BULK, "the copy is bulk all the while"
    assert classifier.classify(below("mc"), "SMS", 2.0) is BULK
    assert classifier.classify(below("mc"), "SMS", 59.0) is BULK
    assert classifier.classify(below("mc"), "Voicemail", 61.1) is PERSON, "once a window has passed"


def test_a_walk_from_place_to_place_gets_little_more() -> None:
    classifier = OpenClassifier()
    opens = [classifier.classify(below("cp"), f"month {n // 3}", n * 1.5) for n in range(400)]
    for start in range(360):
        assert opens[start : start + 40].count(PERSON) <= PERSON_OPENS + ELSEWHERE_OPENS
    assert opens[40:].count(PERSON) <= 360 / 40 * ELSEWHERE_OPENS


def test_a_session_and_a_user_have_their_bounds() -> None:
    classifier = OpenClassifier()
    assert classes(classifier, *[below(f"cat {n}") for n in range(30)]).count(PERSON) == SESSION_OPENS
    assert classes(classifier, below("cat", session="other")) == [PERSON]
    classifier = OpenClassifier()
    opens = [below(f"cat {n}", session=f"s {n}") for n in range(50)]
    assert classes(classifier, *opens).count(PERSON) == USER_OPENS
    assert classifier.classify(Opener(("cat",), "s", "somebody else"), "Fax", 0.0) is PERSON


def test_the_job_idle_longest_is_forgotten_when_there_are_too_many() -> None:
    classifier = OpenClassifier()
    copying(classifier, "old")
    copying(classifier, "busy")
    for n in range(10_000):
        classifier.classify(Opener((n,), n, n), "Fax", 1.0)
        assert classifier.classify(below("busy"), "Fax", 1.0) is BULK
    assert len(classifier._jobs) == len(classifier._granted) == 1024
    assert not classifier.is_bulk(below("old"), 1.0)
