"""Telling a person's opens from those of a program that walks through files.

The kernel tells which process opens a file, and who started it. A program that walks through files shows in
one of two ways: one process opens many files (cp, `xargs cat`), or one process starts many that open a file
each (`find -exec cat`, a loop in a script, `xargs -P`). So a cold open counts for its process and for each
process above it, and the *lowest* of them that has too many is the walker: what it opened no longer counts
for those above. A script that starts a copy in the background can therefore still read a file as a person,
although both are of one process group.

Whatever this gets wrong is bounded: one session, and one user, get only so many opens of a person's class in
any window, however their processes are arranged.
"""

from collections.abc import Callable, Hashable
from typing import Final, TypeVar

import attrs

from rcfs.model import Priority

PERSON_OPENS: Final = 4
"""Cold opens in a window that a person may make with one program: as many as the reserve of the usual limit
of 40, so that all of them find a slot even while others copy."""
ELSEWHERE_OPENS: Final = 2
"""Cold opens in a window that a person may make with a process that is walking through files elsewhere: mc
shows a file while it copies. Half of `PERSON_OPENS`, as a copy of a whole tree comes to new places, too."""
SESSION_OPENS: Final = 10
"""Cold opens in a window of one session that may be a person's: a quarter of the usual limit. Somebody who
looks at a file every six seconds stays below it."""
USER_OPENS: Final = 20
"""The same of all sessions of a user: half of the usual limit. It bounds what starts a session for each file
(`setsid`), which nothing else would tell from a person."""
READER_WINDOW_S: Final = 60.0
"""Length of that window in seconds: the usual one of the rate limits, which it protects."""

_MOST_JOBS: Final = 1024
"""Jobs that are remembered, in less than 1 MB; the one idle longest is forgotten first. More than open files
within a minute, unless each file gets a process of its own, whose record is not used again."""
_MOST_PLACES: Final = 64
"""Places that are remembered of a job: a window's budget of 40 comes to no more."""

T = TypeVar("T")


@attrs.frozen
class Opener:
    """Whose open it is."""

    jobs: tuple[Hashable, ...]
    """What the open may be part of, from the smallest: the process, then each process above it. At least one;
    equal for opens that belong together."""
    session: Hashable = None
    """The session of the process."""
    user: Hashable = None
    """Whose process it is."""


@attrs.define(eq=False)
class _Open:
    """One cold open; the jobs that it counts for share it."""

    at_s: float


@attrs.define(eq=False)
class _Job:
    """What is remembered of a process and those below it."""

    last_s: float
    """Time of the last cold open."""
    opens: list[_Open] = attrs.field(factory=list)
    """The latest that count for it, at most `PERSON_OPENS`; those of a walker below it do not."""
    walks: bool = False
    """Whether it has made too many, and so walks through files."""
    places: dict[Hashable, float] = attrs.field(factory=dict)
    """Where it walks: when it was last there, in the order of that."""
    elsewhere_s: list[float] = attrs.field(factory=list)
    """Times of the opens elsewhere that were a person's."""

    def refresh(self, now: float) -> None:
        """Forgets what is older than a window."""
        if self.last_s + READER_WINDOW_S <= now:
            self.walks = False
        from_s = now - READER_WINDOW_S
        self.opens = [each for each in self.opens if each.at_s > from_s]
        self.elsewhere_s = [at_s for at_s in self.elsewhere_s if at_s > from_s]
        self.places = {place: at_s for place, at_s in self.places.items() if at_s > from_s}

    def count(self, opened: _Open) -> None:
        """Counts an open, in place of the oldest if there are too many."""
        self.opens = [*self.opens, opened][-PERSON_OPENS:]

    def discount(self, opens: list[_Open]) -> None:
        """Counts these no longer: they are the work of a walker below; it walks only if enough are left."""
        self.opens = [each for each in self.opens if each not in opens]
        self.walks = self.walks and len(self.opens) == PERSON_OPENS

    def walk(self, place: Hashable, now: float) -> None:
        """Notes that it walks through `place`."""
        self.places.pop(place, None)
        self.places[place] = now
        if len(self.places) > _MOST_PLACES:
            del self.places[next(iter(self.places))]


class ReaderClassifier:
    """Decides how urgent a cold open is, one whose content is not in the cache, by who opens.

    In any window at most `SESSION_OPENS` opens of a session and `USER_OPENS` of a user are a person's.
    """

    def __init__(self) -> None:
        self._jobs: dict[Hashable, _Job] = {}  # the one idle longest first
        self._granted: dict[Hashable, list[float]] = {}  # by session or user, the one idle longest first

    def classify(self, opener: Opener, place: Hashable, now: float) -> Priority:
        """PERSON for the first few cold opens of a job within a window, BULK for further ones.

        A job that has become bulk stays so until it has made no cold open for a whole window; but a process
        that walks through files may make `ELSEWHERE_OPENS` in a window where it does not walk.

        Args:
            opener: Whoever opens.
            place: Where the file is; equal for files that a walk comes to one after the other.
            now: Seconds, from any origin; never goes back.
        """
        jobs = [self._job(key, now) for key in opener.jobs]
        walker = next((n for n, job in enumerate(jobs) if job.walks or len(job.opens) == PERSON_OPENS), None)
        opened = _Open(now)
        for job in jobs if walker is None else jobs[: walker + 1]:
            job.last_s = now
        if walker is not None and not jobs[walker].walks:
            jobs[walker].walks = True
            jobs[0].places = {place: now}  # Before this open it may have been a person's, anywhere.
            for above in jobs[walker + 1 :]:
                # But for one: something that starts a walker for every few files walks through files itself.
                above.discount(jobs[walker].opens[:-1])
        if walker == 0 and self._is_elsewhere(jobs[0], place) and self._grant(opener, now):
            jobs[0].elsewhere_s.append(now)
            return Priority.PERSON
        jobs[0].walk(place, now)
        for job in jobs if walker is None else jobs[: walker + 1]:
            job.count(opened)
        return Priority.PERSON if walker is None and self._grant(opener, now) else Priority.BULK

    def is_bulk(self, opener: Opener, now: float) -> bool:
        """Whether `opener` has become bulk, and its next cold open would not be a person's again."""
        jobs = (self._jobs.get(key) for key in opener.jobs)
        return any(job is not None and job.walks and job.last_s + READER_WINDOW_S > now for job in jobs)

    def _job(self, key: Hashable, now: float) -> _Job:
        """What is remembered of a job, as of now."""
        job = _touch(self._jobs, key, lambda: _Job(now))
        job.refresh(now)
        return job

    @staticmethod
    def _is_elsewhere(walker: _Job, place: Hashable) -> bool:
        return place not in walker.places and len(walker.elsewhere_s) < ELSEWHERE_OPENS

    def _grant(self, opener: Opener, now: float) -> bool:
        """Whether the session and the user of `opener` may have one more open of a person's class; taken."""
        bounds = ((("session", opener.session), SESSION_OPENS), (("user", opener.user), USER_OPENS))
        granted = []
        for key, most in bounds:
            times = _touch(self._granted, key, list)
            times[:] = [at_s for at_s in times if at_s + READER_WINDOW_S > now]
            if len(times) >= most:
                return False
            granted.append(times)
        for times in granted:
            times.append(now)
        return True


def _touch(remembered: dict[Hashable, T], key: Hashable, make: Callable[[], T]) -> T:
    """What is remembered of `key`, which is now the latest to be forgotten; made if there is nothing."""
    value = remembered.pop(key) if key in remembered else make()
    remembered[key] = value
    if len(remembered) > _MOST_JOBS:
        del remembered[next(iter(remembered))]
    return value
