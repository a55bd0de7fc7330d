"""Bounds on the classes of opens that hold however processes are arranged."""

from collections.abc import Iterable

import attrs
from hypothesis import given
from hypothesis import strategies as st

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

PAUSES = st.floats(min_value=0.0, max_value=90.0) | st.floats(min_value=0.0, max_value=2.0)
OPENERS = st.builds(
    Opener,
    st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True).map(tuple),
    st.integers(0, 2),
    st.integers(0, 1),
)


def most_in_a_window(times: Iterable[float]) -> int:
    """The largest number of `times`, which are sorted, in any window."""
    times = list(times)
    return max((sum(0 <= each - start < OPENS_WINDOW_S for each in times) for start in times), default=0)


@given(st.lists(st.tuples(OPENERS, st.integers(0, 4), PAUSES), max_size=80))
def test_no_process_gets_more_opens_in_a_persons_class_than_the_bounds(
    opens: list[tuple[Opener, int, float]],
) -> None:
    readers, now = OpenClassifier(), 0.0
    granted: list[tuple[float, Opener]] = []
    for opener, place, pause_s in opens:
        now += pause_s
        if readers.classify(opener, place, now) is Priority.PERSON:
            granted.append((now, opener))
    for session in range(3):
        assert most_in_a_window(at for at, each in granted if each.session == session) <= SESSION_OPENS
    for user in range(2):
        assert most_in_a_window(at for at, each in granted if each.user == user) <= USER_OPENS


@attrs.frozen
class Walk:
    """A program that walks through files, and the arrangement of its processes."""

    files_each: int
    """Files that each process opens."""
    shells: bool
    """Whether each process runs in a new shell."""
    runner: bool
    """Whether a process such as find or xargs runs between them and the script."""

    def opener(self, number: int) -> Opener:
        """The opener of file `number`."""
        process = number // self.files_each
        jobs = [("process", process)]
        jobs += [("shell", process)] if self.shells else []
        jobs += [("runner", 0)] if self.runner else []
        return Opener((*jobs, ("script", 0)), "session", "user")


WALKS = st.builds(Walk, st.sampled_from([1, 1, 2, 3, 5, 9, 1000]), st.booleans(), st.booleans())


@given(WALKS, st.floats(min_value=0.0, max_value=5.0), st.integers(1, 6))
def test_a_walk_becomes_bulk_after_a_few_files(walk: Walk, pause_s: float, places: int) -> None:
    readers = OpenClassifier()
    classes = [readers.classify(walk.opener(n), n * places // 60, n * pause_s) for n in range(60)]
    if walk.files_each == 1:
        assert Priority.PERSON not in classes[PERSON_OPENS:]
    assert most_in_a_window(n * pause_s for n, each in enumerate(classes) if each is Priority.PERSON) <= (
        PERSON_OPENS + (ELSEWHERE_OPENS if walk.files_each == 1000 else SESSION_OPENS - PERSON_OPENS)
    )


@given(WALKS.filter(lambda walk: walk.runner or walk.files_each == 1000), st.floats(0.0, 1.5))
def test_a_person_stays_a_person_beside_a_walk_of_the_same_script(walk: Walk, pause_s: float) -> None:
    readers = OpenClassifier()
    spent = 0
    for n in range(60):
        spent += readers.classify(walk.opener(n), "place", n * pause_s) is Priority.PERSON
    person = Opener((("process", "cat"), ("script", 0)), "session", "user")
    if spent < SESSION_OPENS:
        assert readers.classify(person, "place", 60 * pause_s) is Priority.PERSON
